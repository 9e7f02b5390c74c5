//! `ice-agent connect` as two processes, with a real rendezvous and a small TURN server.

use crate::connect_support::{Side, agent, turn};
use crate::name_server::NameServer;
use crate::small_turn::authority::Authority;
use crate::small_turn::{Fault, PASSWORD, SmallTurn, USER};
use crate::support::Rendezvous;
use crate::tunnel::{ProxyBehaviour, Tunnel};
use causeway_wire::{ErrorCode, Method};
use serde_json::Value;
use tokio::process::Command;

/// Runs both sides of a call.
async fn call(first: &[&str], second: &[&str]) -> [Side; 2] {
    let rendezvous = Rendezvous::start(&[]).await;
    let mut commands = [agent(&rendezvous, first), agent(&rendezvous, second)];
    for command in &mut commands {
        command.arg("--json").env("ICE_AGENT_PASSWORD", PASSWORD);
    }
    let [mut first, mut second] = commands;
    let (first, second) = tokio::join!(first.output(), second.output());
    [Side::read(&first.unwrap()), Side::read(&second.unwrap())]
}

#[tokio::test]
async fn two_agents_connect_directly_and_lose_nothing() {
    let sides = call(&["--bind", "127.0.0.1"], &["--bind", "127.0.0.1"]).await;
    for (side, other) in [(&sides[0], &sides[1]), (&sides[1], &sides[0])] {
        let report = &side.report;
        assert_eq!(
            (side.status, &report["outcome"], &report["path"]),
            (0, &"connected".into(), &"direct".into()),
            "{report:#}"
        );
        assert_eq!(
            (&report["sent"], &report["received"], &report["loss_percent"]),
            (&20.into(), &20.into(), &0.0.into())
        );
        assert_eq!(
            (&report["from_peer"]["sent"], &report["from_peer"]["received"]),
            (&20.into(), &20.into())
        );
        let (local, remote) = (&report["selected"]["local"], &report["selected"]["remote"]);
        assert_eq!((&local["type"], &remote["type"]), (&"host".into(), &"host".into()));
        assert_eq!(local["address"], other.report["selected"]["remote"]["address"]);
        let rtt = &report["rtt_ms"];
        assert!(
            rtt["p50"].as_f64().unwrap() > 0.0 && rtt["p50"].as_f64() <= rtt["p99"].as_f64(),
            "{rtt}"
        );
        let checks = report["checks"].as_array().unwrap();
        let selected = checks.iter().find(|check| check["selected"] == true).unwrap();
        assert_eq!(
            (&selected["state"], &selected["nominated"]),
            (&"succeeded".into(), &true.into()),
            "{selected:#}"
        );
        assert!(
            selected["responses_received"].as_u64().unwrap() >= 1
                && selected["responses_sent"].as_u64().unwrap() >= 1
        );
        assert_eq!(report["errors"].as_array().unwrap().len(), 0, "{report:#}");
    }
    assert_ne!(sides[0].report["role"], sides[1].report["role"]);
}

#[tokio::test]
async fn relays_carry_the_call_over_both_transports() {
    let server = SmallTurn::start(Fault::None).await;
    let (udp, tcp) = (turn(&server, "udp"), turn(&server, "tcp"));
    let options = |uri| ["--relay-only", "--turn", uri, "--username", USER];
    let sides = call(&options(udp.as_str()), &options(tcp.as_str())).await;
    for (side, [own, far]) in sides.iter().zip([["udp", "tcp"], ["tcp", "udp"]]) {
        let report = &side.report;
        assert_eq!(
            (side.status, &report["path"], &report["loss_percent"]),
            (0, &"relayed".into(), &0.0.into()),
            "{report:#}"
        );
        let (local, remote) = (&report["selected"]["local"], &report["selected"]["remote"]);
        assert_eq!(
            (&local["type"], &local["relay_transport"]),
            (&"relay".into(), &own.into()),
            "{report:#}"
        );
        assert_eq!(
            (&remote["type"], &remote["relay_transport"]),
            (&"relay".into(), &far.into()),
            "{report:#}"
        );
        let candidates = report["candidates"].as_array().unwrap();
        assert!(candidates.iter().all(|candidate| candidate["type"] == "relay"), "{report:#}");
        let own = candidates.iter().find(|candidate| candidate["side"] == "local").unwrap();
        assert!(own["server"].as_str().unwrap().starts_with("turn:127.0.0.1:"), "{own:#}");
    }
}

#[tokio::test]
async fn relays_over_tls_and_dtls_give_candidates_of_both_families() {
    let authority = Authority::new();
    let ca = authority.file();
    let server = SmallTurn::start_secure(Fault::None, authority.server(90)).await;
    let uri = |transport: &str| format!("turns:{}?transport={transport}", server.secure.unwrap());
    let (tls, dtls) = (uri("tcp"), uri("udp"));
    let options = |uri| {
        [
            "--relay-only",
            "--turn",
            uri,
            "--username",
            USER,
            "--ca",
            ca.path(),
            "--server-name",
            "turn.test",
        ]
    };
    let sides = call(&options(tls.as_str()), &options(dtls.as_str())).await;
    for (side, [own, far]) in sides.iter().zip([["tls", "dtls"], ["dtls", "tls"]]) {
        let report = &side.report;
        assert_eq!(
            (side.status, &report["path"], &report["loss_percent"]),
            (0, &"relayed".into(), &0.0.into()),
            "{report:#}"
        );
        let pair = &report["selected"];
        assert_eq!(
            (&pair["local"]["relay_transport"], &pair["remote"]["relay_transport"]),
            (&own.into(), &far.into()),
            "{report:#}"
        );
        let candidates = report["candidates"].as_array().unwrap();
        let own: Vec<&str> = candidates
            .iter()
            .filter(|one| one["side"] == "local")
            .map(|one| one["address"].as_str().unwrap())
            .collect();
        assert!(
            own.len() == 2 && own.iter().filter(|address| address.starts_with('[')).count() == 1,
            "{own:?}"
        );
    }
}

#[tokio::test]
async fn relays_are_reached_over_ipv6_and_one_family_will_do() {
    for fault in [Fault::None, Fault::LacksIpv6] {
        let server = SmallTurn::start_at("::1".parse().unwrap(), fault, None).await;
        let (udp, tcp) = (turn(&server, "udp"), turn(&server, "tcp"));
        let options = |uri| ["--relay-only", "--turn", uri, "--username", USER];
        for side in call(&options(udp.as_str()), &options(tcp.as_str())).await {
            let report = &side.report;
            assert_eq!((side.status, &report["path"]), (0, &"relayed".into()), "{report:#}");
            let candidates = report["candidates"].as_array().unwrap();
            let own = candidates.iter().filter(|one| one["side"] == "local").count();
            assert_eq!(own, if fault == Fault::None { 2 } else { 1 }, "{report:#}");
        }
    }
}

#[tokio::test]
async fn rfc8489_6_2_3_a_relay_whose_certificate_is_not_trusted_is_not_used() {
    let authority = Authority::new();
    let server = SmallTurn::start_secure(Fault::None, authority.server(90)).await;
    let uri = format!("turns:{}?transport=tcp", server.secure.unwrap());
    let first = ["--bind", "127.0.0.1", "--turn", uri.as_str(), "--username", USER];
    let [first, _] = call(&first, &["--bind", "127.0.0.1"]).await;
    let errors = first.report["errors"].to_string();
    assert!(first.status == 0 && errors.contains("certificate"), "{errors}");
    assert!(
        !first.report["candidates"].to_string().contains("relay_transport\":\"tls"),
        "{:#}",
        first.report
    );
}

#[tokio::test]
async fn a_relay_over_tcp_is_reached_through_a_proxy() {
    let server = SmallTurn::start(Fault::None).await;
    let tunnel = Tunnel::start(ProxyBehaviour::Password("anna:p@ss")).await;
    let (udp, tcp) = (turn(&server, "udp"), turn(&server, "tcp"));
    let through = format!("http://anna:p%40ss@{}", tunnel.address);
    let proxied =
        ["--relay-only", "--turn", tcp.as_str(), "--username", USER, "--proxy", through.as_str()];
    let sides = call(&proxied, &["--relay-only", "--turn", udp.as_str(), "--username", USER]).await;
    assert!(
        sides.iter().all(|side| side.status == 0 && side.report["path"] == "relayed"),
        "{:#}",
        sides[0].report
    );
    assert_eq!(tunnel.asked().len(), 1, "{:?}", tunnel.asked());
}

#[tokio::test]
async fn servers_are_found_by_srv_and_a_silent_one_is_followed_by_the_next() {
    let server = SmallTurn::start(Fault::None).await;
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (port, silent) = (server.address.port(), silent.local_addr().unwrap().port());
    let zone = format!(
        "_turn._tcp.example.org.\n    SRV 1 0 {silent} t.example.org.\n    SRV 2 0 {port} \
        t.example.org.\nt.example.org.\n    A 127.0.0.1\n"
    );
    let dns = NameServer::start(&zone, &[]).await;
    let name_server = dns.address.to_string();
    let turn = [
        "--relay-only",
        "--turn",
        "turn:example.org?transport=tcp",
        "--username",
        USER,
        "--nameserver",
        &name_server,
    ];
    let sides = call(&turn, &turn).await;
    assert!(
        sides.iter().all(|side| side.status == 0 && side.report["path"] == "relayed"),
        "{:#}",
        sides[0].report
    );
    assert!(sides[0].report["errors"].to_string().contains("refused"), "{:#}", sides[0].report);
}

#[tokio::test]
async fn a_relay_over_udp_is_preferred_to_one_over_tcp() {
    let server = SmallTurn::start(Fault::None).await;
    let (udp, tcp) = (turn(&server, "udp"), turn(&server, "tcp"));
    let options =
        ["--relay-only", "--turn", tcp.as_str(), "--turn", udp.as_str(), "--username", USER];
    for side in call(&options, &options).await {
        let pair = &side.report["selected"];
        assert_eq!(
            (&pair["local"]["relay_transport"], &pair["remote"]["relay_transport"]),
            (&"udp".into(), &"udp".into()),
            "{pair:#}"
        );
    }
}

#[tokio::test]
async fn servers_that_fail_are_named_and_do_not_stop_the_call() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let stun = format!("stun:{}", silent.local_addr().unwrap());
    let server =
        SmallTurn::start(Fault::Refuses(Method::ALLOCATE, ErrorCode::ALLOCATION_QUOTA_REACHED))
            .await;
    let uri = turn(&server, "udp");
    // The port of a closed listener refuses connections.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = format!("turn:{gone}?transport=tcp");
    let first = [
        "--bind",
        "127.0.0.1",
        "--turn",
        uri.as_str(),
        "--turn",
        closed.as_str(),
        "--username",
        USER,
    ];
    let second = ["--bind", "127.0.0.1", "--stun", stun.as_str()];
    let sides = call(&first, &second).await;
    assert!(sides.iter().all(|side| side.status == 0 && side.report["path"] == "direct"));
    assert_eq!(sides[0].codes("Allocate"), [486]);
    let errors = sides[0].report["errors"].as_array().unwrap();
    assert!(
        errors.iter().any(|error| error["at"] == closed.as_str() && error["step"] == "connect"),
        "{errors:#?}"
    );
}

#[tokio::test]
async fn rfc8656_7_4_another_port_after_437_and_another_server_after_300() {
    let server = SmallTurn::start(Fault::Mismatches(1)).await;
    let redirecting = SmallTurn::start(Fault::Redirects(Some(server.address))).await;
    let (direct, led) = (turn(&server, "udp"), turn(&redirecting, "udp"));
    let options = |uri| ["--relay-only", "--turn", uri, "--username", USER];
    let sides = call(&options(direct.as_str()), &options(led.as_str())).await;
    assert!(
        sides.iter().all(|side| side.status == 0 && side.report["path"] == "relayed"),
        "{:#}",
        sides[0].report
    );
    assert!(sides[1].codes("Allocate").contains(&300), "{:#}", sides[1].report);
    let mismatches = sides.iter().filter(|side| side.codes("Allocate").contains(&437)).count();
    assert_eq!(mismatches, 1, "the first one to come met it");
}

#[tokio::test]
async fn a_wrong_password_is_reported_with_its_code() {
    let server = SmallTurn::start(Fault::None).await;
    let uri = turn(&server, "tcp");
    let rendezvous = Rendezvous::start(&[]).await;
    let arguments = ["--bind", "127.0.0.1", "--turn", &uri, "--username", USER, "--json"];
    let mut wrong = agent(&rendezvous, &arguments);
    wrong.env("ICE_AGENT_PASSWORD", "wrong");
    let mut other = agent(&rendezvous, &["--bind", "127.0.0.1", "--json"]);
    let (wrong, other) = tokio::join!(wrong.output(), other.output());
    let (wrong, other) = (Side::read(&wrong.unwrap()), Side::read(&other.unwrap()));
    assert_eq!((wrong.status, other.status), (0, 0), "the direct path does not need the server");
    assert_eq!(wrong.codes("Allocate"), [401], "{:#}", wrong.report["errors"]);
}

#[tokio::test]
async fn without_a_pair_the_answer_is_no() {
    let server =
        SmallTurn::start(Fault::Refuses(Method::CREATE_PERMISSION, ErrorCode::FORBIDDEN)).await;
    let uri = turn(&server, "udp");
    let options = ["--relay-only", "--turn", uri.as_str(), "--username", USER, "--timeout", "3"];
    for side in call(&options, &options).await {
        let report = &side.report;
        assert_eq!(
            (side.status, &report["outcome"], &report["path"]),
            (1, &"no_pair".into(), &Value::Null),
            "{report:#}"
        );
        assert!(side.codes("CreatePermission").contains(&403), "{report:#}");
        assert_eq!(report["selected"], Value::Null);
    }
}

#[tokio::test]
async fn loss_is_measured_and_judged() {
    let server = SmallTurn::start(Fault::Loses(5)).await;
    let uri = turn(&server, "udp");
    let options = ["--relay-only", "--turn", uri.as_str(), "--username", USER];
    let (strict, lenient) = (
        [&options[..], &["--max-loss", "1"]].concat(),
        [&options[..], &["--max-loss", "90"]].concat(),
    );
    let sides = call(&strict, &lenient).await;
    // Which side's datagrams the server drops is not defined; that it drops some is certain.
    let lost: Vec<f64> =
        sides.iter().map(|side| side.report["loss_percent"].as_f64().unwrap()).collect();
    assert!(lost.iter().sum::<f64>() > 10.0 && lost.iter().all(|lost| *lost < 80.0), "{lost:?}");
    assert_eq!((sides[0].status, sides[1].status), (i32::from(lost[0] > 1.0), 0));
    for (side, lost) in sides.iter().zip(lost) {
        let report = &side.report;
        let received = report["received"].as_f64().unwrap();
        assert_eq!((&report["sent"], (20.0 - received) * 5.0), (&20.into(), lost));
        assert!(
            report["from_peer"]["sent"] == 20
                && report["from_peer"]["received"].as_u64() <= Some(20),
            "{report:#}"
        );
    }
}

#[tokio::test]
async fn people_read_tables_and_a_result() {
    let rendezvous = Rendezvous::start(&[]).await;
    let mut commands = [agent(&rendezvous, &["--loopback"]), agent(&rendezvous, &["--loopback"])];
    let [first, second] = &mut commands;
    let (first, second) = tokio::join!(first.output(), second.output());
    for output in [first.unwrap(), second.unwrap()] {
        let text = String::from_utf8(output.stdout).unwrap();
        for part in [
            "Candidates",
            "Checks, as seen at our sockets",
            "succeeded",
            "selected",
            "Result  direct: host",
            "20 sent, 20 echoed",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }
}

#[tokio::test]
async fn what_keeps_the_test_from_running_is_said_and_exits_with_2() {
    let rendezvous = Rendezvous::start(&[]).await;
    let alone = agent(&rendezvous, &["--bind", "127.0.0.1", "--wait", "1"]).output().await.unwrap();
    assert_eq!(alone.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&alone.stderr).contains("no peer came"), "{alone:?}");

    for (arguments, reason) in [
        (&["--stun", "turn:127.0.0.1"][..], "expected a stun URI"),
        (&["--relay-only"], "--relay-only requires a server"),
        (&["--relay-only", "--no-relay"], "cannot be used with"),
        (&["--turn", "turn:127.0.0.1", "--username", "anna"], "has no password"),
        (&["--stun", "stuns:example.org"], "give a stun: URI"),
        (&["--bind", "192.0.2.77"], "host candidates"),
        (&["--size", "5000"], "is not in"),
    ] {
        let output = agent(&rendezvous, arguments).output().await.unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(2) && stderr.contains(reason),
            "{arguments:?}: {stderr}"
        );
        assert!(output.stdout.is_empty());
    }
    let mut nowhere = Command::new(env!("CARGO_BIN_EXE_ice-agent"));
    nowhere.args([
        "connect",
        "--room",
        "r",
        "--bind",
        "127.0.0.1",
        "--rendezvous",
        "http://127.0.0.1:9",
    ]);
    let output = nowhere.output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&output.stderr)
            .contains("cannot join the room at http://127.0.0.1:9")
    );
}

#[tokio::test]
async fn exit_status_2_comes_with_json_where_json_was_asked_for() {
    let rendezvous = Rendezvous::start(&[]).await;
    let alone = agent(&rendezvous, &["--bind", "127.0.0.1", "--wait", "1", "--json"])
        .output()
        .await
        .unwrap();
    let side = Side::read(&alone);
    assert_eq!((side.status, &side.report["outcome"]), (2, &"could_not_run".into()));
    assert!(side.report["error"].as_str().unwrap().contains("no peer came"));
    for arguments in [
        &["nat", "--server", "stun:127.0.0.1", "--transport", "tls", "--json"][..],
        &["nat", "--json"],
        &["check", "--json"],
        &["check", "turn:127.0.0.1", "--json", "--password-file", "x"],
        &["check", "--json", "turn:127.0.0.1", "--no-such-option"],
        &["connect", "--json"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_ice-agent"))
            .args(arguments)
            .env_remove("ICE_AGENT_USERNAME")
            .output()
            .await
            .unwrap();
        let side = Side::read(&output);
        assert_eq!(
            (side.status, &side.report["outcome"]),
            (2, &"could_not_run".into()),
            "{arguments:?}"
        );
        assert!(
            !side.report["error"].as_str().unwrap().is_empty() && !output.stderr.is_empty(),
            "{arguments:?}"
        );
    }
}
