//! The output of `ice-agent` contains no secret, and with `--redact` no addresses and no names.

use std::process::Stdio;

use crate::name_server::NameServer;
use crate::small_turn::{Fault, PASSWORD, SmallTurn, USER};
use crate::support::Rendezvous;
use tokio::process::Command;

#[tokio::test]
async fn a_redacted_report_has_neither_addresses_nor_names() {
    let server = SmallTurn::start(Fault::None).await;
    let port = server.address.port();
    let zone = format!(
        "_turn._udp.example.org.\n    SRV 1 0 {port} relay.example.net.\nrelay.example.net.\n    \
        A 127.0.0.1\n"
    );
    let dns = NameServer::start(&zone, &[]).await;
    let name_server = dns.address.to_string();
    let options = [
        "--turn",
        "turn:example.org?transport=udp",
        "--username",
        USER,
        "--nameserver",
        &name_server,
        "--redact",
        "--bind",
        "127.0.0.1",
    ];
    let rendezvous = Rendezvous::start(&[]).await;
    let agent = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ice-agent"));
        command.args([
            "connect",
            "--room",
            "r",
            "--count",
            "20",
            "--interval",
            "5",
            "--rendezvous",
            &rendezvous.base.to_string(),
        ]);
        command.args(options).stdin(Stdio::null()).kill_on_drop(true);
        command
    };
    let [mut first, mut second] = [agent(), agent()];
    first.arg("--json");
    for command in [&mut first, &mut second] {
        command.env("ICE_AGENT_PASSWORD", PASSWORD);
    }
    let (first, second) = tokio::join!(first.output(), second.output());
    for output in [first.unwrap(), second.unwrap()] {
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert!(
            text.contains("turn:host-1?transport=udp") && text.contains("127.0.0.1:"),
            "{text}"
        );
        assert!(
            !text.contains("example")
                && !text.contains("room r ")
                && !text.contains(&format!("{USER}\"")),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_redacted_error_has_neither_addresses_nor_names() {
    for (arguments, hidden) in [
        (
            &["check", "turn:192.0.2.7", "--username", "anna", "--json"][..],
            &["192.0.2.7", "anna"][..],
        ),
        (
            &[
                "check",
                "turn:turn.example.invalid",
                "--nameserver",
                "127.0.0.1:9",
                "--timeout",
                "1",
            ],
            &["example"],
        ),
        (
            &["nat", "--server", "stun.example.invalid", "--nameserver", "127.0.0.1:9", "--json"],
            &["example"],
        ),
        (
            &["connect", "--rendezvous", "https://meet.example.invalid/x", "--bind", "127.0.0.1"],
            &["example"],
        ),
        (&["check", "stun:127.0.0.1:9", "--ca", "/home/anna/no-ca.pem", "--json"], &["anna"]),
        (&["check", "turn:bad host.example.org", "--json"], &["example"]),
        (&["nat", "--server", "192.0.2.7:x"], &["192.0.2.7"]),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ice-agent"));
        let output = command
            .args(arguments)
            .arg("--redact")
            .env_remove("ICE_AGENT_PASSWORD")
            .output()
            .await
            .unwrap();
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            output.status.code() != Some(0) && hidden.iter().all(|hidden| !text.contains(hidden)),
            "{arguments:?}: {text}"
        );
    }
}

#[tokio::test]
async fn no_error_repeats_a_secret_that_was_given_wrongly() {
    let arguments = [
        &["connect", "--json", "--rendezvous", "https://example.org/#s3cretLink"][..],
        &[
            "connect",
            "--json",
            "--rendezvous",
            "http://127.0.0.1:9",
            "--proxy",
            "http://anna:s3cretLink@h:port",
        ],
        &["check", "--json", "stun:127.0.0.1", "--proxy", "socks5://anna:s3cretLink@h"],
        &["nat", "--json", "--server", "127.0.0.1", "--proxy", "http://anna:s3cretLink@h/path"],
        &["check", "--json", "turn:anna:s3cretLink@127.0.0.1"],
        &["check", "--json", "turn://anna:s3cretLink@127.0.0.1"],
        &["nat", "--json", "--server", "anna:s3cretLink@127.0.0.1"],
        &["connect", "--json", "--rendezvous", "https://anna:s3cretLink@example.org"],
    ];
    for arguments in arguments {
        let output =
            Command::new(env!("CARGO_BIN_EXE_ice-agent")).args(arguments).output().await.unwrap();
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.code() == Some(2) && !text.contains("s3cretLink"), "{text}");
    }
}
