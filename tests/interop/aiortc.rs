//! A WebRTC stack that others wrote, held to relayed candidates: a data channel through `turnd`.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use causeway_tests::daemon::program::{self, target};
use causeway_tests::daemon::service::{self, PASSWORD, USER};

#[test]
fn a_data_channel_passes_over_udp() {
    call("udp");
}

#[test]
fn a_data_channel_passes_over_tcp() {
    call("tcp");
}

fn call(transport: &str) {
    let python = target().join("interop-venv/bin/python");
    assert!(python.is_file(), "{} is not there: `cargo xtask test interop` makes it", python.display());
    let turnd = service::turnd(r#""allow 127.0.0.1""#, "");
    let mut command = Command::new(python);
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/interop/aiortc/relay_call.py"))
        .args(["--server", &turnd.address.to_string(), "--transport", transport, "--user", USER])
        .env("TURN_PASSWORD", PASSWORD);
    let output = program::run(command, Duration::from_secs(60));
    assert!(output.succeeded, "{}\n{}", output.text, turnd.log());
    let line = output.text.lines().last().expect("it prints what it saw");
    let seen: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {}", output.text));
    for end in ["caller", "callee"] {
        assert_eq!(seen[end]["intact"], true, "{end}: {line}");
        for side in ["local", "remote"] {
            assert_eq!(seen[end][side]["type"], "relay", "{end}: {line}");
        }
    }
    assert_eq!(seen["caller"]["local"], seen["callee"]["remote"], "both mean the same pair: {line}");
    turnd.end();
}
