//! Executables: those of this workspace, and other programs, which are run to their end.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::{Error, Process};
use crate::scratch::Scratch;

/// The executable `name` of the build that the running program belongs to (`target/debug/name`).
///
/// # Errors
/// [`Error::NotBuilt`] when there is no such file: cargo does not build other packages' executables
/// for a test.
pub fn find(name: &str) -> Result<PathBuf, Error> {
    let path = folder().join(name);
    if path.is_file() {
        Ok(path)
    } else {
        Err(Error::NotBuilt { name: name.to_owned(), path: path.display().to_string() })
    }
}

/// [`find`], for tests.
///
/// # Panics
/// When it is not built.
#[must_use]
#[track_caller]
pub fn built(name: &str) -> PathBuf {
    find(name).unwrap_or_else(|error| panic!("{error}"))
}

/// The folder of the running program's executables: `target/debug`, for a test and for a program.
#[must_use]
pub fn folder() -> PathBuf {
    let running = std::env::current_exe().unwrap_or_default();
    profile_folder(&running).to_owned()
}

/// Cargo's target folder, which holds the folder of each profile.
#[must_use]
pub fn target() -> PathBuf {
    folder().parent().map(Path::to_owned).unwrap_or_default()
}

/// `target/debug` for both `target/debug/program` and `target/debug/deps/test-0123`.
fn profile_folder(running: &Path) -> &Path {
    let folder = running.parent().unwrap_or(running);
    if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder }
}

/// The end of a program that was [`run`].
pub struct Output {
    /// Whether it exited with status 0 in time.
    pub succeeded: bool,
    /// All that it wrote, both streams in the order of writing.
    pub text: String,
}

/// Runs a program to its end, or kills it after `limit`.
///
/// # Panics
/// It is not installed.
#[track_caller]
#[must_use]
pub fn run(command: Command, limit: Duration) -> Output {
    let scratch = Scratch::new();
    let name = command.get_program().to_string_lossy().into_owned();
    let mut process =
        Process::logged(name, command, &scratch.path("output")).unwrap_or_else(|error| {
            panic!("{error}; `cargo xtask test tools` installs what is missing")
        });
    let status = process.wait_end(limit).unwrap_or_else(|error| panic!("{error}"));
    // It has ended: the file is complete.
    drop(process);
    Output {
        succeeded: status.is_some_and(|status| status.success()),
        text: scratch.read("output"),
    }
}

/// Runs a program to its end, without the environment variables whose names begin with `prefix`:
/// its exit status, standard output and standard error.
///
/// # Panics
/// It cannot be started, or writes what is no text.
#[track_caller]
#[must_use]
pub fn as_a_shell_sees_it(mut command: Command, prefix: &str) -> (Option<i32>, String, String) {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with(prefix)) {
        command.env_remove(name);
    }
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes| String::from_utf8(bytes).unwrap_or_else(|error| panic!("{error}"));
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_and_programs_find_the_same_folder() {
        assert_eq!(profile_folder(Path::new("/t/debug/deps/proof-12")), Path::new("/t/debug"));
        assert_eq!(profile_folder(Path::new("/t/debug/xtask")), Path::new("/t/debug"));
    }

    #[test]
    fn a_missing_executable_says_how_to_build_it() {
        let error = find("no-such-program").unwrap_err().to_string();
        assert!(error.contains("cargo build --bin no-such-program"), "{error}");
    }

    #[test]
    fn a_program_that_takes_too_long_is_killed_and_its_text_is_kept() {
        let shell = |script: &str, limit| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            run(command, limit)
        };
        let slow = shell("echo begun; exec sleep 60", Duration::from_millis(300));
        assert_eq!((slow.succeeded, slow.text.as_str()), (false, "begun\n"));
        let both = shell("echo one; echo two >&2; echo three", Duration::from_secs(20));
        assert_eq!((both.succeeded, both.text.as_str()), (true, "one\ntwo\nthree\n"));
    }
}
