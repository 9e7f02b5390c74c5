//! Clients whose TLS differs from the others' (docs/clients.md), with the real programs.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use causeway_kit::program::{self, target};
use causeway_tests::daemon::certificates::{Certificates, KeyKind};
use causeway_tests::daemon::service::{PASSWORD, USER};
use serde_json::{Value, json};

use crate::legs::{Leg, Server};
use crate::long_calls::begin;

const LIMIT: Duration = Duration::from_secs(60);

fn server() -> Server {
    Server::with_certificates(Ipv4Addr::LOCALHOST, Certificates::make(KeyKind::Ecdsa), "")
}

/// The last line of a program that succeeded, as JSON.
fn report(command: Command, server: &Server) -> Value {
    let output = program::run(command, LIMIT);
    let line = output.text.lines().last().filter(|_| output.succeeded);
    let line = line.unwrap_or_else(|| panic!("{}\n{}", output.text, server.turnd.log()));
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn libnice_gets_its_relayed_candidates_over_udp_tcp_and_what_it_calls_tls() {
    let server = server();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/libnice.py");
    for (relay, allocations) in [("UDP", 0), ("TCP", 2), ("TLS", 4)] {
        // Debian's bindings belong to Debian's Python.
        let mut command = Command::new("/usr/bin/python3");
        let (ip, port) =
            (server.turnd.address.ip().to_string(), server.turnd.address.port().to_string());
        command.args([script, &ip, &port, USER, PASSWORD, relay]);
        let seen = report(command, &server);
        assert_eq!(
            (&seen["candidates"], &seen["received"]),
            (&json!(["relay"]), &json!("hello")),
            "{relay}"
        );
        let over = |transport: &str| {
            let log = server.turnd.log();
            let started = log.lines().filter(|line| line.contains("allocation started"));
            started.filter(|line| line.contains(&format!("transport=\"{transport}\""))).count()
        };
        // Two agents each. libnice's TLS is plain TCP.
        assert!(over("tcp") >= allocations && over("tls") == 0, "{relay}: {}", server.turnd.log());
    }
    server.end();
}

#[test]
fn werift_calls_over_tls_without_sni() {
    let server = server();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/node/long_call.mjs");
    let root = server.root().expect("it has certificates");
    for host in [server.turnd.address.ip().to_string(), "localhost".into()] {
        let uri = server.uri(Leg::Tls).replace(&server.turnd.address.ip().to_string(), &host);
        let mut command = Command::new("node");
        command.args([script, &uri, USER, "20"]);
        command
            .env("NODE_PACKAGES", target().join("interop-node"))
            .env("NODE_EXTRA_CA_CERTS", &root);
        // Twenty messages have come back when it says so.
        let (_endpoints, lines) = begin(&mut command);
        assert_eq!(lines.recv_timeout(LIMIT).as_deref(), Ok("up"), "{}", server.turnd.log());
    }
    assert!(server.turnd.log().contains("transport=\"tls\""), "{}", server.turnd.log());
    server.end();
}
