//! Man pages and shell completions of a program, from its flags. Compiled with the feature `manual`
//! only, which `cargo xtask man` sets: the programs that are shipped do not carry it.

use std::fs::{File, create_dir_all, read_to_string};
use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::{Shell, generate_to};

/// Writes the manual to the folder behind `--generate-manual`, if that is the first argument, and
/// returns the exit code.
#[cfg(feature = "manual")]
pub(crate) fn write_if_asked(
    command: Command,
    arguments: impl IntoIterator<Item = std::ffi::OsString>,
) -> Option<std::process::ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    arguments.next().filter(|first| first == "--generate-manual")?;
    let folder = arguments.next().unwrap_or_else(|| ".".into());
    Some(match generate(command, Path::new(&folder)) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            crate::complain(format_args!("{}: {error}", Path::new(&folder).display()));
            std::process::ExitCode::FAILURE
        }
    })
}

/// Writes a man page for `command` and for each of its subcommands, and completions for bash, zsh
/// and fish, to `folder`.
///
/// # Errors
/// A file cannot be written, or it lacks a flag or a subcommand.
pub(crate) fn generate(mut command: Command, folder: &Path) -> io::Result<()> {
    create_dir_all(folder)?;
    let name = command.get_name().to_owned();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let file = generate_to(shell, &mut command, &name, folder)?;
        let text = read_to_string(&file)?;
        if let Some(missing) = words(&command).iter().find(|word| !text.contains(**word)) {
            return Err(io::Error::other(format!("{} lacks {missing}", file.display())));
        }
    }
    command.build();
    write_pages(&command, &name, folder)
}

fn write_pages(command: &Command, name: &str, folder: &Path) -> io::Result<()> {
    let page = clap_mangen::Man::new(command.clone()).title(name);
    let mut text = Vec::new();
    page.render(&mut text)?;
    if let Some(missing) = missing_flags(command, &String::from_utf8_lossy(&text)).first() {
        return Err(io::Error::other(format!("{name}.1 lacks --{missing}")));
    }
    io::Write::write_all(&mut File::create(folder.join(format!("{name}.1")))?, &text)?;
    let visible = |inner: &&Command| inner.get_name() != "help" && !inner.is_hide_set();
    for inner in command.get_subcommands().filter(visible) {
        write_pages(inner, &format!("{name}-{}", inner.get_name()), folder)?;
    }
    Ok(())
}

/// The visible flags of `command`, by their long names.
fn flags(command: &Command) -> impl Iterator<Item = &str> {
    let visible = command.get_arguments().filter(|flag| !flag.is_hide_set());
    visible.filter_map(clap::Arg::get_long)
}

/// The words that a shell completes: the visible subcommands of `command`, and their flags.
fn words(command: &Command) -> Vec<&str> {
    let mut words: Vec<&str> = flags(command).collect();
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        words.push(inner.get_name());
        words.extend(self::words(inner));
    }
    words
}

/// The visible flags of `command` that `page` does not name.
fn missing_flags<'a>(command: &'a Command, page: &str) -> Vec<&'a str> {
    // roff escapes a hyphen.
    let is_missing = |name: &&str| !page.contains(&format!("--{name}").replace('-', "\\-"));
    flags(command).filter(is_missing).collect()
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    fn command() -> Command {
        let inner = Command::new("inner").arg(Arg::new("deep-one").long("deep-one").help("Deep."));
        Command::new("program")
            .about("A program.")
            .arg(Arg::new("a-flag").long("a-flag").help("A flag."))
            .arg(Arg::new("hidden").long("hidden").hide(true))
            .subcommand(inner)
    }

    #[test]
    fn each_flag_is_in_its_page_and_in_each_completion() {
        let scratch = causeway_kit::Scratch::new();
        generate(command(), scratch.folder()).unwrap();
        let read = |name: &str| std::fs::read_to_string(scratch.path(name)).unwrap();
        assert!(read("program.1").contains("\\-\\-a\\-flag"));
        assert!(!read("program.1").contains("hidden"));
        assert!(read("program-inner.1").contains("\\-\\-deep\\-one"));
        for file in ["program.bash", "_program", "program.fish"] {
            let text = read(file);
            assert!(text.contains("a-flag") && text.contains("deep-one"), "{file}: {text}");
        }
    }

    #[test]
    fn a_shell_completes_subcommands_and_all_flags_that_are_not_hidden() {
        assert_eq!(words(&command()), ["a-flag", "inner", "deep-one"]);
    }

    #[test]
    fn a_page_without_a_flag_is_found() {
        assert_eq!(missing_flags(&command(), "nothing"), ["a-flag"]);
        assert_eq!(missing_flags(&command(), "\\-\\-a\\-flag"), [""; 0]);
    }
}
