//! Running a program: its command line and output are shown, its failure is named, its time is
//! bounded.

use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// A command that starts in the repository's root.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(workspace::root());
    command
}

/// `cargo` with these arguments, and the versions of `Cargo.lock`. The environment that `cargo run`
/// gave to this very program is taken away, so that a crate is not built twice because of it.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = command("cargo", &[]);
    if let [subcommand, rest @ ..] = arguments {
        cargo.arg(subcommand);
        // rustfmt resolves nothing, and takes no such flag.
        if *subcommand != "fmt" {
            cargo.arg("--locked");
        }
        cargo.args(rest);
    }
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// `go` with these arguments: the Go that is installed, which fetches no other one, and the
/// versions of `go.sum`.
pub(crate) fn go(arguments: &[&str]) -> Command {
    let mut go = command("go", arguments);
    go.env("GOTOOLCHAIN", "local").env("GOFLAGS", "-mod=readonly");
    go
}

/// Runs the command to its end, with its output shown.
///
/// # Errors
/// It cannot be started, ends with another status than 0, or still runs at the deadline: then it is
/// ended, with all processes that it started.
pub(crate) fn run_until(command: &mut Command, deadline: Instant) -> Result<()> {
    let line = shown(command);
    causeway_cli::complain(format_args!("\n$ {line}"));
    let mut child = command.spawn().with_context(|| format!("{line}: cannot be started"))?;
    match wait_until(&mut child, deadline)? {
        Some(status) if status.success() => Ok(()),
        Some(status) => bail!("{line}: {status}"),
        None => {
            end_tree(child.id());
            child.wait()?;
            bail!("{line}: took too long and was ended");
        }
    }
}

/// [`run_until`], for commands that end by themselves.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    run_until(command, Instant::now() + Duration::from_secs(24 * 3600))
}

/// Builds the whole workspace, with the features that every suite builds with.
pub(crate) fn build(deadline: Instant) -> Result<()> {
    run_until(&mut cargo(&["build", "--workspace", "--lib", "--bins", "--tests"]), deadline)
}

/// The command's standard output, if it succeeds.
pub(crate) fn output_of(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The child's exit status, or `None` when the deadline comes first.
pub(crate) fn wait_until(child: &mut Child, deadline: Instant) -> Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// The command as a shell would take it.
fn shown(command: &Command) -> String {
    let mut line = String::new();
    for (name, value) in command.get_envs() {
        let value = value.map(|value| value.to_string_lossy());
        if let Some(value) = value {
            line.push_str(&format!("{}='{value}' ", name.to_string_lossy()));
        }
    }
    line.push_str(&command.get_program().to_string_lossy());
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

/// Ends a process and all processes that it started. Ending cargo alone would leave the test
/// program running.
fn end_tree(pid: u32) {
    for child in children_of(pid) {
        end_tree(child);
    }
    let ended = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
    if ended.is_err() {
        causeway_cli::complain(format_args!(
            "cannot end process {pid}: the program `kill` is missing"
        ));
    }
}

fn children_of(pid: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok())
        .flat_map(|children| {
            children.split_whitespace().filter_map(|child| child.parse().ok()).collect::<Vec<u32>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_takes_the_versions_of_the_lock_file() {
        let line = |arguments| shown(&cargo(arguments));
        assert_eq!(line(&["test", "--workspace"]), "cargo test --locked --workspace");
        assert_eq!(line(&["fmt", "--all"]), "cargo fmt --all");
    }

    #[test]
    fn cargo_and_go_are_called_in_one_place() {
        let mut folders = vec![workspace::root().join("xtask/src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("it is a folder") {
                let path = entry.expect("it can be read").path();
                if path.is_dir() {
                    folders.push(path);
                } else if !path.ends_with("command.rs") {
                    let text = std::fs::read_to_string(&path).expect("it is text");
                    for call in [
                        "Command::new(\"cargo\")",
                        "command(\"cargo\"",
                        "Command::new(\"go\")",
                        "command(\"go\"",
                    ] {
                        assert!(
                            !text.contains(call),
                            "{}: {call}; use the function of command.rs",
                            path.display()
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_failure_is_named() {
        let error = run(&mut command("false", &[])).expect_err("`false` fails");
        assert!(error.to_string().starts_with("false: exit status"), "{error}");
        let error = run(&mut command("no-such-program", &["x"])).expect_err("it is not there");
        assert!(error.to_string().contains("no-such-program x: cannot be started"));
    }

    #[test]
    fn what_hangs_is_ended_with_its_children() {
        let mut hangs = command("sh", &["-c", "sleep 61.625 & sleep 62.625; true"]);
        let error = run_until(&mut hangs, Instant::now() + Duration::from_millis(200))
            .expect_err("it sleeps for longer");
        assert!(error.to_string().ends_with("took too long and was ended"));
        let running = output_of(&mut command("ps", &["-eo", "args"])).expect("ps is there");
        assert!(!running.contains("61.625") && !running.contains("62.625"), "{running}");
    }
}
