//! `ice-agent check` of servers that a name server on loopback names.

use std::time::{Duration, Instant};

use crate::name_server::NameServer;
use crate::small_turn::authority::Authority;
use crate::small_turn::{Fault, PASSWORD, SmallTurn, USER};
use serde_json::Value;
use tokio::net::UdpSocket;
use tokio::process::Command;

struct Outcome {
    status: i32,
    report: Value,
    took: Duration,
}

async fn check(dns: &NameServer, arguments: &[&str]) -> Outcome {
    let start = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_ice-agent"))
        .args([
            "check",
            "--json",
            "--count",
            "3",
            "--interval",
            "5",
            "--username",
            USER,
            "--nameserver",
            &dns.address.to_string(),
        ])
        .args(arguments)
        .env("ICE_AGENT_PASSWORD", PASSWORD)
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    Outcome { status: output.status.code().unwrap(), report, took: start.elapsed() }
}

/// The detail of a step.
fn detail<'a>(report: &'a Value, step: &str) -> &'a str {
    let steps = report["steps"].as_array().unwrap();
    steps.iter().find(|one| one["name"] == step).unwrap_or_else(|| panic!("no {step}: {report:#}"))
        ["detail"]
        .as_str()
        .unwrap()
}

#[tokio::test]
async fn rfc5928_3_the_way_is_shown_and_the_first_server_that_works_is_taken() {
    let authority = Authority::new();
    let ca = authority.file();
    let server = SmallTurn::start_secure(Fault::None, authority.server(90)).await;
    let (plain, secure) = (server.address.port(), server.secure.unwrap().port());
    let zone = format!(
        r#"
turn.test.
    NAPTR 10 10 S RELAY:turn.tls "" _turns._tcp.turn.test.
    NAPTR 20 10 S RELAY:turn.udp "" _turn._udp.turn.test.
_turns._tcp.turn.test.
    SRV 0 0 {secure} relay.test.
_turn._udp.turn.test.
    SRV 0 0 {plain} relay.test.
relay.test.
    A 127.0.0.1
"#
    );
    let dns = NameServer::start(&zone, &[]).await;
    let Outcome { status, report, .. } = check(&dns, &["turns:turn.test", "--ca", ca.path()]).await;
    assert_eq!((status, &report["transport"]), (0, &"tls".into()), "{report:#}");
    assert_eq!(
        detail(&report, "resolve"),
        format!(
            "tls via NAPTR turn.test → SRV _turns._tcp.turn.test → relay.test → 127.0.0.1:{secure}"
        )
    );
    // The certificate must be for the name in the URI, not for the names in DNS records.
    assert_eq!(report["secure"]["name"], "turn.test", "{report:#}");

    // Without a trusted certificate TLS fails, but a `turn:` URI may use UDP.
    let Outcome { status, report, .. } =
        check(&dns, &["turn:turn.test", "--transport", "udp"]).await;
    assert_eq!((status, &report["transport"]), (0, &"udp".into()), "{report:#}");
}

#[tokio::test]
async fn rfc8305_5_a_silent_family_does_not_hold_up_the_other_one() {
    let server = SmallTurn::start(Fault::None).await;
    let port = server.address.port();
    // A silent server on IPv6, without ICMP errors.
    let silent = UdpSocket::bind(("::1", port)).await.unwrap();
    let dns = NameServer::start("both.test.\n    A 127.0.0.1\n    AAAA ::1\n", &[]).await;
    let uri = format!("turn:both.test:{port}?transport=udp");
    let Outcome { status, report, took } = check(&dns, &[&uri, "--timeout", "10"]).await;
    assert_eq!((status, &report["server"]), (0, &server.address.to_string().into()), "{report:#}");
    assert!(
        detail(&report, "resolve").ends_with(&format!("[::1]:{port}, 127.0.0.1:{port}")),
        "{report:#}"
    );
    assert!(took < Duration::from_secs(6), "{took:?}");
    drop(silent);

    let Outcome { status, report, .. } = check(&dns, &[&uri, "--timeout", "1", "-6"]).await;
    assert_eq!((status, &report["server"]), (1, &format!("[::1]:{port}").into()), "{report:#}");
}

#[tokio::test]
async fn over_tcp_a_family_that_refuses_is_reported_and_left() {
    let server = SmallTurn::start(Fault::None).await;
    let port = server.address.port();
    let dns = NameServer::start("both.test.\n    A 127.0.0.1\n    AAAA ::1\n", &[]).await;
    let Outcome { status, report, .. } =
        check(&dns, &[&format!("turn:both.test:{port}?transport=tcp")]).await;
    assert_eq!((status, &report["server"]), (0, &server.address.to_string().into()), "{report:#}");
    assert!(report["notes"].to_string().contains(&format!("[::1]:{port} over tcp")), "{report:#}");
    // No server in either family: the failed step reports it.
    drop(server);
    let Outcome { status, report, .. } =
        check(&dns, &[&format!("turn:both.test:{port}?transport=tcp")]).await;
    assert_eq!(status, 1);
    assert!(detail(&report, "Allocate").contains("refused"), "{report:#}");
}

#[tokio::test]
async fn rfc8155_4_2_the_server_of_this_network_is_found_by_its_domain() {
    let server = SmallTurn::start(Fault::None).await;
    let zone = format!(
        "campus.test.\n    NAPTR 10 10 S RELAY:turn.udp \"\" \
        _turn._udp.campus.test.\n_turn._udp.campus.test.\n    SRV 0 0 {} t.campus.test.\n\
         t.campus.test.\n    A 127.0.0.1\n",
        server.address.port()
    );
    let dns = NameServer::start(&zone, &[]).await;
    let Outcome { status, report, .. } = check(&dns, &["--discover=campus.test"]).await;
    assert_eq!((status, &report["uri"]), (0, &"turn:campus.test".into()), "{report:#}");
    // RFC 8155 §6: the anycast addresses are there for when the domain's server is not.
    let found = detail(&report, "resolve");
    assert!(
        found
            .contains("NAPTR campus.test → SRV _turn._udp.campus.test → t.campus.test → 127.0.0.1")
            && found.contains("anycast"),
        "{found}"
    );
}
