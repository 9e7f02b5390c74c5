//! stund's command line as a shell sees it: exit status, standard output, standard error.

use std::process::Command;

use causeway_kit::{Scratch, program};

/// Runs stund with `args` and without its environment variables.
fn stund(args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stund"));
    command.args(args);
    program::as_a_shell_sees_it(command, "STUND_")
}

#[test]
fn a_good_configuration_is_explained() {
    let scope = "nat_discovery.scope=private";
    let args = [
        "--listen",
        "127.0.0.1:3478",
        "--alternate-address",
        "127.0.0.2",
        "--set",
        scope,
        "--check-config",
    ];
    let (code, out, err) = stund(&args);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.starts_with("configuration ok\n"), "{out}");
    assert!(out.contains("NAT discovery between 127.0.0.1:3478 and 127.0.0.2:3479"), "{out}");
}

#[test]
fn h44_a_bad_configuration_ends_with_2_and_says_why() {
    let (code, out, err) = stund(&["--set", "limit.tcp_connections=1", "--check-config"]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(
        err.starts_with(
            "stund: limit (--set limit.tcp_connections): unknown key; did you mean limits?"
        ),
        "{err}"
    );
}

#[test]
fn the_printed_default_configuration_passes_the_check() {
    let (code, text, _) = stund(&["--print-default-config"]);
    assert_eq!(code, Some(0));
    let scratch = Scratch::new();
    let file = scratch.write("default.toml", text);
    let outcome = stund(&["--check-config", "--config", file.to_str().unwrap()]);
    assert_eq!(outcome.0, Some(0), "{}", outcome.2);
}
