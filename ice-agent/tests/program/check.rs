//! `ice-agent check` as a process, against a small TURN server with a fault on request.

use std::process::Stdio;

use crate::check_support::{agent, check, outcome};
use crate::small_turn::{Fault, PASSWORD, SmallTurn, USER};
use causeway_kit::Scratch;
use causeway_wire::{ErrorCode, Method};
use serde_json::Value;
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn a_server_that_works_passes_over_both_transports() {
    let server = SmallTurn::start(Fault::None).await;
    for transport in ["udp", "tcp"] {
        let uri = format!("turn:{}?transport={transport}", server.address);
        let outcome = check(&uri, PASSWORD, &[]).await;
        assert_eq!(
            (outcome.status, &outcome.report["ok"]),
            (0, &Value::Bool(true)),
            "{:#}",
            outcome.report
        );
        let names: Vec<_> = outcome.report["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| step["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "resolve",
                "Allocate",
                "Allocate, second",
                "CreatePermission",
                "Send and Data indications",
                "ChannelBind",
                "relayed loop",
                "Refresh with lifetime 0",
                "Allocate, IPv4",
                "Allocate, IPv6",
                "Allocate, both families",
                "relayed over both families"
            ]
        );
        let relay = &outcome.report["relay"];
        assert_eq!(
            (&relay["sent"], &relay["received"], &relay["reordered"]),
            (&50.into(), &50.into(), &0.into())
        );
        assert!(
            relay["rtt_p50_ms"].as_f64().unwrap() > 0.0
                && relay["rtt_p50_ms"].as_f64() <= relay["rtt_p99_ms"].as_f64()
        );
        assert!(relay["jitter_ms"].as_f64().unwrap() >= 0.0);
        assert_eq!(outcome.report["lifetime_s"], 600);
    }
}

#[tokio::test]
async fn a_wrong_password_is_401_at_allocate() {
    let server = SmallTurn::start(Fault::None).await;
    let uri = format!("turn:{}", server.address);
    let outcome = check(&uri, "wrong", &[]).await;
    assert_eq!(outcome.status, 1);
    let step = outcome.step("Allocate");
    assert_eq!(
        (&step["ok"], &step["code"], &step["reason"]),
        (&false.into(), &401.into(), &"Unauthenticated".into())
    );
    let output = agent(&[&uri, "--username", USER])
        .env("ICE_AGENT_PASSWORD", "wrong")
        .output()
        .await
        .unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("401 Unauthenticated"));
}

#[tokio::test]
async fn each_error_is_reported_with_its_step_code_and_reason() {
    for (method, code, step) in [
        (Method::ALLOCATE, ErrorCode::ALLOCATION_QUOTA_REACHED, "Allocate"),
        (Method::ALLOCATE, ErrorCode::INSUFFICIENT_CAPACITY, "Allocate"),
        (Method::CREATE_PERMISSION, ErrorCode::FORBIDDEN, "CreatePermission"),
        (Method::CHANNEL_BIND, ErrorCode::BAD_REQUEST, "ChannelBind"),
    ] {
        let server = SmallTurn::start(Fault::Refuses(method, code)).await;
        let outcome = check(&format!("turn:{}", server.address), PASSWORD, &[]).await;
        let failed = outcome.step(step);
        assert_eq!(
            (outcome.status, &failed["code"], &failed["reason"]),
            (1, &code.number().into(), &code.reason().into())
        );
    }
}

#[tokio::test]
async fn loss_is_counted_and_fails_the_check_beyond_the_limit() {
    let server = SmallTurn::start(Fault::Loses(10)).await;
    let uri = format!("turn:{}", server.address);
    let outcome = check(&uri, PASSWORD, &[]).await;
    assert_eq!(
        (outcome.status, &outcome.step("relayed loop")["ok"]),
        (1, &Value::Bool(false)),
        "{:#}",
        outcome.report
    );
    let relay = &outcome.report["relay"];
    let lost = 50 - relay["received"].as_u64().unwrap();
    assert!((9..=11).contains(&lost), "each tenth of the nearly hundred passes: {relay:#}");
    assert_eq!(relay["loss_percent"].as_f64().unwrap(), lost as f64 * 2.0);
    assert_eq!(check(&uri, PASSWORD, &["--max-loss", "50"]).await.status, 0);
}

#[tokio::test]
async fn reordering_is_counted_and_no_loss() {
    let server = SmallTurn::start(Fault::Reorders(7)).await;
    let outcome = check(&format!("turn:{}", server.address), PASSWORD, &["--max-loss", "2"]).await;
    assert_eq!(outcome.status, 0, "{:#}", outcome.report);
    assert!(outcome.report["relay"]["reordered"].as_u64().unwrap() > 0, "{:#}", outcome.report);
}

#[tokio::test]
async fn rfc8656_7_4_a_mismatch_is_tried_from_another_port() {
    let server = SmallTurn::start(Fault::Mismatches(2)).await;
    assert_eq!(check(&format!("turn:{}", server.address), PASSWORD, &[]).await.status, 0);
    let server = SmallTurn::start(Fault::Mismatches(3)).await;
    let outcome = check(&format!("turn:{}", server.address), PASSWORD, &[]).await;
    assert_eq!((outcome.status, &outcome.step("Allocate")["code"]), (1, &437.into()));
}

#[tokio::test]
async fn rfc8489_10_a_redirection_is_followed_but_not_in_circles() {
    let target = SmallTurn::start(Fault::None).await;
    let server = SmallTurn::start(Fault::Redirects(Some(target.address))).await;
    let outcome = check(&format!("turn:{}", server.address), PASSWORD, &[]).await;
    assert_eq!(
        (outcome.status, &outcome.report["server"]),
        (0, &target.address.to_string().into()),
        "{:#}",
        outcome.report
    );
    let circle = SmallTurn::start(Fault::Redirects(None)).await;
    let outcome = check(&format!("turn:{}", circle.address), PASSWORD, &[]).await;
    assert_eq!(
        (outcome.status, &outcome.step("Allocate")["code"]),
        (1, &300.into()),
        "{:#}",
        outcome.report
    );
}

#[tokio::test]
async fn a_stun_server_is_asked_one_binding() {
    let server = SmallTurn::start(Fault::None).await;
    let outcome = outcome(&mut agent(&[&format!("stun:{}", server.address), "--json"])).await;
    assert_eq!(outcome.status, 0);
    assert!(outcome.report["mapped"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(outcome.step("Binding")["ok"], true);
}

#[tokio::test]
async fn credentials_come_from_a_file_or_standard_input() {
    let server = SmallTurn::start(Fault::None).await;
    let uri = format!("turn:{}", server.address);
    let scratch = Scratch::new();
    let file = scratch.write("password", format!("{PASSWORD}\n"));
    let status = agent(&[
        &uri,
        "--username",
        USER,
        "--password-file",
        file.to_str().unwrap(),
        "--count",
        "1",
    ])
    .output()
    .await
    .unwrap()
    .status;
    assert_eq!(status.code(), Some(0));

    let mut child = agent(&[&uri, "--username", USER, "--password-file", "-", "--count", "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{PASSWORD}\n").as_bytes()).await.unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn without_credentials_the_report_says_what_is_missing() {
    let server = SmallTurn::start(Fault::None).await;
    let output = agent(&[&format!("turn:{}", server.address)]).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("401 Unauthenticated") && text.contains("--username"), "{text}");
}

#[tokio::test]
async fn a_closed_port_and_a_silent_server_have_different_reasons() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("turn:{}", silent.local_addr().unwrap());
    let over = |transport: &str| format!("{uri}?transport={transport}");
    let outcome = check(&over("udp"), PASSWORD, &["--timeout", "0.5"]).await;
    assert_eq!(
        (outcome.status, &outcome.step("Allocate")["reason"]),
        (1, &"no answer in time".into())
    );
    let outcome = check(&uri, PASSWORD, &["--timeout", "0.5"]).await;
    let notes = outcome.report["notes"].to_string();
    assert!(
        outcome.status == 1 && notes.contains("over udp: no answer in time"),
        "the other transports are tried too: {notes}"
    );
    drop(silent);
    for transport in ["udp", "tcp"] {
        let outcome = check(&over(transport), PASSWORD, &["--timeout", "0.5"]).await;
        assert_eq!(outcome.status, 1);
        assert!(
            outcome.step("Allocate")["reason"].as_str().unwrap().contains("refused"),
            "{:#}",
            outcome.report
        );
    }
}

#[tokio::test]
async fn the_families_of_a_server_are_reported() {
    for (fault, v6) in [(Fault::None, true), (Fault::LacksIpv6, false)] {
        let server = SmallTurn::start(fault).await;
        let outcome = check(&format!("turn:{}", server.address), PASSWORD, &["--count", "1"]).await;
        assert_eq!(outcome.status, 0, "{:#}", outcome.report);
        let families = &outcome.report["families"];
        assert_eq!(families["ipv4"], "203.0.113.1:50000");
        assert_eq!(families["ipv6"], if v6 { "[2001:db8::1]:50000".into() } else { Value::Null });
        assert_eq!(families["both"].as_array().unwrap().len(), if v6 { 2 } else { 1 });
        let detail = outcome.step("Allocate, IPv6")["detail"].as_str().unwrap();
        assert!(v6 || detail.contains("not offered: 440"), "{detail}");
        let detail = outcome.step("Allocate, both families")["detail"].as_str().unwrap();
        assert!(v6 || detail.contains("only: Ipv6 440"), "{detail}");
    }
}

#[tokio::test]
async fn a_server_is_checked_over_ipv6() {
    let server = SmallTurn::start_at("::1".parse().unwrap(), Fault::None, None).await;
    for transport in ["udp", "tcp"] {
        let uri = format!("turn:{}?transport={transport}", server.address);
        let outcome = check(&uri, PASSWORD, &["--count", "1"]).await;
        assert_eq!(
            (outcome.status, &outcome.report["server"]),
            (0, &server.address.to_string().into()),
            "{:#}",
            outcome.report
        );
    }
}

#[tokio::test]
async fn rfc8489_9_2_5_the_algorithm_that_was_used_is_told() {
    for (fault, expected) in [
        (Fault::None, ["MD5", "MESSAGE-INTEGRITY", "USERNAME"]),
        (Fault::WantsSha256, ["SHA-256", "MESSAGE-INTEGRITY-SHA256", "USERHASH"]),
    ] {
        let server = SmallTurn::start(fault).await;
        let uri = format!("turn:{}", server.address);
        let outcome = check(&uri, PASSWORD, &["--count", "1"]).await;
        let told = &outcome.report["credentials"];
        let told = ["key", "integrity", "user"].map(|key| told[key].as_str().unwrap());
        assert_eq!((outcome.status, told), (0, expected), "{:#}", outcome.report);
        assert_eq!(check(&uri, "wrong", &[]).await.step("Allocate")["code"], 401);
    }
}

#[tokio::test]
async fn a_program_that_cannot_run_exits_with_2_and_says_why() {
    for (arguments, said) in [
        (&[][..], "URI"),
        (&["turn.example.org"], "does not start with `stun:`, `stuns:`, `turn:` or `turns:`"),
        (&["turns:127.0.0.1", "--ca", "/no/such/file"], "/no/such/file"),
        (&["turns:127.0.0.1", "--ca", "/dev/null"], "--ca /dev/null: the file is empty"),
        (&["turn:127.0.0.1", "--username", USER], "no password"),
        (
            &["turn:127.0.0.1", "--username", USER, "--password-file", "/no/such/file"],
            "/no/such/file",
        ),
        (&["turn:127.0.0.1", "--count", "0"], "--count"),
    ] {
        let output = agent(arguments).output().await.unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
}
