//! turnd's command line as a shell sees it: exit status, standard output, standard error.

use std::process::Command;

use causeway_kit::{Scratch, program};

const GOOD: [&str; 6] =
    ["--realm", "example.org", "--user", "alice:secret", "--relay-address", "203.0.113.7"];

/// Runs turnd with `args` and without its environment variables.
fn turnd(args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_turnd"));
    command.args(args);
    program::as_a_shell_sees_it(command, "TURND_")
}

#[test]
fn a_good_configuration_is_explained() {
    let (code, out, err) = turnd(&[&GOOD[..], &["--check-config"]].concat());
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(
        out.starts_with("configuration ok\n") && out.contains("203.0.113.7, ports 49152-65535"),
        "{out}"
    );
    assert!(!out.contains("secret"), "{out}");
}

#[test]
fn the_check_names_what_ends_calls_of_known_clients() {
    let check = |settings: &[&str]| {
        let settings = settings.iter().flat_map(|setting| ["--set", setting]);
        turnd(&GOOD.into_iter().chain(["--check-config"]).chain(settings).collect::<Vec<_>>())
    };
    let (code, out, _) = check(&[
        "limits.max_lifetime=5m",
        "limits.default_lifetime=5m",
        "protocol.nonce_lifetime=10m",
    ]);
    assert_eq!(code, Some(0));
    for warning in [
        "warning: limits.max_lifetime: 300s is below 10 minutes",
        "warning: protocol.nonce_lifetime: 600s is below 1 hour",
    ] {
        assert!(out.contains(warning), "no {warning:?}: {out}");
    }
    let (_, out, _) = check(&["limits.default_lifetime=9m"]);
    assert!(
        out.contains("warning: limits.default_lifetime: 540s") && out.contains("ice4j"),
        "{out}"
    );
    assert!(!check(&[]).1.contains("warning"));
}

#[test]
fn h44_a_bad_configuration_ends_with_2_and_a_line_a_problem() {
    let (code, out, err) = turnd(&["--relay-address", "10.0.0.7", "--check-config"]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    let keys: Vec<&str> = err.lines().map(|line| line.split([':', ' ']).nth(2).unwrap()).collect();
    assert_eq!(keys, ["realm", "relay.addresses", "auth"], "{err}");
    let (code, _, again) = turnd(&["--relay-address", "10.0.0.7"]);
    assert_eq!((code, again), (Some(2), err), "it does not start either");
}

#[test]
fn h48_a_take_over_without_a_store_is_refused() {
    let (code, _, err) = turnd(&[&GOOD[..], &["--take-over", "--check-config"]].concat());
    assert!(
        code == Some(2) && err.contains("set store.url, or leave --take-over out"),
        "{code:?}: {err}"
    );
}

#[test]
fn usage_errors_end_with_2_and_questions_with_0() {
    assert_eq!(turnd(&["--relm", "x"]).0, Some(2));
    assert_eq!(turnd(&["--user", "alice"]).0, Some(2));
    assert_eq!(turnd(&["--version"]).1, concat!("turnd ", env!("CARGO_PKG_VERSION"), "\n"));
    let (code, help, _) = turnd(&["--help"]);
    assert_eq!(code, Some(0));
    for flag in [
        "--config",
        "--set",
        "--listen",
        "--realm",
        "--user",
        "--relay-address",
        "--external-address",
        "--insecure-allow-all-peers",
    ] {
        assert!(help.contains(flag), "{flag}");
    }
}

#[test]
fn the_printed_default_configuration_passes_the_check() {
    let (code, text, _) = turnd(&["--print-default-config"]);
    assert_eq!(code, Some(0));
    let scratch = Scratch::new();
    let file = scratch.write("default.toml", text);
    let outcome =
        turnd(&[&GOOD[..], &["--check-config", "--config", file.to_str().unwrap()]].concat());
    assert_eq!(outcome.0, Some(0), "{}", outcome.2);
}
