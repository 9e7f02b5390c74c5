//! The output of all programs: it is never lost silently, and a reader that leaves early causes no
//! panic.

use std::fs::OpenOptions;
use std::process::{Command, Output, Stdio};

use causeway_kit::program::built;

const TURND: &[&str] = &[
    "--realm=example.org",
    "--user=alice:wonderland",
    "--relay-address=127.0.0.1",
    "--set=relay.scope=private",
];

/// Programs that print to standard output and exit, with their exit status.
fn all() -> Vec<(&'static str, Vec<&'static str>, i32)> {
    let mut all = Vec::new();
    for program in ["turnd", "stund", "ice-agent", "turnload"] {
        all.extend(["--help", "--version"].map(|flag| (program, vec![flag], 0)));
    }
    all.extend(["turnd", "stund"].map(|program| (program, vec!["--print-default-config"], 0)));
    all.push(("turnd", [TURND, &["--check-config"]].concat(), 0));
    all.push(("stund", vec!["--check-config"], 0));
    all.push(("turnload", vec!["compare", "--list"], 0));
    // No server answers there: the verdict is "no".
    for format in [None, Some("--json")] {
        for server in [vec!["nat", "--server=127.0.0.1:9"], vec!["check", "stun:127.0.0.1:9"]] {
            all.push((
                "ice-agent",
                server.into_iter().chain(["--timeout=1"]).chain(format).collect(),
                1,
            ));
        }
    }
    all
}

fn run(program: &str, arguments: &[&str], stdout: impl Into<Stdio>) -> (Option<i32>, String) {
    let mut command = Command::new(built(program));
    let Output { status, stderr, .. } =
        command.args(arguments).stdin(Stdio::null()).stdout(stdout).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

fn full() -> std::fs::File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

/// Like `program | head -c 0`: the pipe is closed before the first byte.
#[test]
fn a_reader_that_has_left_is_no_error() {
    for (program, arguments, expected) in all() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (status, stderr) = run(program, &arguments, writer);
        assert_eq!((status, &*stderr), (Some(expected), ""), "{program} {arguments:?}");
    }
}

#[test]
fn a_full_disk_is_reported() {
    for (program, arguments, _) in all() {
        let (status, stderr) = run(program, &arguments, full());
        assert_eq!(status, Some(2), "{program} {arguments:?}: {stderr}");
        let told = format!("{program}: cannot write to standard output: No space left on device");
        assert!(stderr.starts_with(&told), "{program} {arguments:?}: {stderr}");
    }
}

/// A real pipe of a shell, whose reader takes ten bytes.
#[test]
fn ten_bytes_may_be_enough() {
    for (program, arguments, expected) in all() {
        let line = "set -o pipefail; \"$@\" | head -c 10";
        let output = Command::new("bash")
            .args(["-c", line, "bash"])
            .arg(built(program))
            .args(&arguments)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            (output.status.code(), &*stderr, output.stdout.len()),
            (Some(expected), "", 10),
            "{program} {arguments:?}"
        );
    }
}

/// The error cannot be printed; the exit status shows it.
#[test]
fn an_error_that_cannot_be_printed_is_no_panic() {
    for program in ["turnd", "stund", "ice-agent", "turnload"] {
        let mut command = Command::new(built(program));
        let status = command
            .arg("--no-such-flag")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(full())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(2), "{program}");
    }
    // The same for errors of the configuration, and of a running program.
    let [turnd, agent] = ["turnd", "ice-agent"].map(built);
    for (program, arguments) in
        [(turnd, ["--set", "realmm=x"]), (agent, ["rendezvous", "--listen=192.0.2.1:1"])]
    {
        let status = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(full())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(2), "{arguments:?}");
    }
}
