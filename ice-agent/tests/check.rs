//! `ice-agent check` as a shell sees it, against a small TURN server that fails where it is told to.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod small_turn;

use std::process::Stdio;

use causeway_wire::{ErrorCode, Method};
use serde_json::Value;
use small_turn::{Fault, PASSWORD, SmallTurn, USER};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

struct Outcome {
    status: i32,
    report: Value,
}

impl Outcome {
    fn step(&self, name: &str) -> &Value {
        let steps = self.report["steps"].as_array().unwrap();
        steps.iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("no step {name}: {:#}", self.report))
    }
}

fn agent(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ice-agent"));
    command.arg("check").args(arguments).env_remove("ICE_AGENT_USERNAME").env_remove("ICE_AGENT_PASSWORD");
    command
}

async fn outcome(command: &mut Command) -> Outcome {
    let output = command.output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let report = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    Outcome { status: output.status.code().unwrap(), report }
}

async fn check(uri: &str, password: &str, more: &[&str]) -> Outcome {
    let timeout: &[&str] = if more.contains(&"--timeout") { &[] } else { &["--timeout", "2"] };
    let arguments = [&[uri, "--json", "--username", USER, "--interval", "5"], timeout, more].concat();
    outcome(agent(&arguments).env("ICE_AGENT_PASSWORD", password)).await
}

#[tokio::test]
async fn a_server_that_works_passes_over_both_transports() {
    let server = SmallTurn::start(Fault::None).await;
    for transport in ["udp", "tcp"] {
        let uri = format!("turn:{}?transport={transport}", server.address);
        let outcome = check(&uri, PASSWORD, &[]).await;
        assert_eq!((outcome.status, &outcome.report["ok"]), (0, &Value::Bool(true)), "{:#}", outcome.report);
        let names: Vec<_> = outcome.report["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
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
                "Refresh with lifetime 0"
            ]
        );
        let relay = &outcome.report["relay"];
        assert_eq!((&relay["sent"], &relay["received"], &relay["reordered"]), (&50.into(), &50.into(), &0.into()));
        assert!(relay["rtt_p50_ms"].as_f64().unwrap() > 0.0 && relay["rtt_p50_ms"].as_f64() <= relay["rtt_p99_ms"].as_f64());
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
    assert_eq!((&step["ok"], &step["code"], &step["reason"]), (&false.into(), &401.into(), &"Unauthenticated".into()));
    let output = agent(&[&uri, "--username", USER]).env("ICE_AGENT_PASSWORD", "wrong").output().await.unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("401 Unauthenticated"));
}

#[tokio::test]
async fn each_error_is_told_with_its_step_code_and_reason() {
    for (method, code, step) in [
        (Method::ALLOCATE, ErrorCode::ALLOCATION_QUOTA_REACHED, "Allocate"),
        (Method::ALLOCATE, ErrorCode::INSUFFICIENT_CAPACITY, "Allocate"),
        (Method::CREATE_PERMISSION, ErrorCode::FORBIDDEN, "CreatePermission"),
        (Method::CHANNEL_BIND, ErrorCode::BAD_REQUEST, "ChannelBind"),
    ] {
        let server = SmallTurn::start(Fault::Refuses(method, code)).await;
        let outcome = check(&format!("turn:{}", server.address), PASSWORD, &[]).await;
        let failed = outcome.step(step);
        assert_eq!((outcome.status, &failed["code"], &failed["reason"]), (1, &code.number().into(), &code.reason().into()));
    }
}

#[tokio::test]
async fn loss_is_counted_and_fails_the_check_beyond_the_limit() {
    let server = SmallTurn::start(Fault::Loses(10)).await;
    let uri = format!("turn:{}", server.address);
    let outcome = check(&uri, PASSWORD, &[]).await;
    assert_eq!((outcome.status, &outcome.step("relayed loop")["ok"]), (1, &Value::Bool(false)), "{:#}", outcome.report);
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
    assert_eq!((outcome.status, &outcome.report["server"]), (0, &target.address.to_string().into()), "{:#}", outcome.report);
    let circle = SmallTurn::start(Fault::Redirects(None)).await;
    let outcome = check(&format!("turn:{}", circle.address), PASSWORD, &[]).await;
    assert_eq!((outcome.status, &outcome.step("Allocate")["code"]), (1, &300.into()), "{:#}", outcome.report);
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
    let file = std::env::temp_dir().join(format!("ice-agent-check-{}", std::process::id()));
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let status =
        agent(&[&uri, "--username", USER, "--password-file", file.to_str().unwrap(), "--count", "1"]).output().await.unwrap().status;
    std::fs::remove_file(&file).unwrap();
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
async fn nobody_there_is_told_from_nobody_answering() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("turn:{}", silent.local_addr().unwrap());
    let outcome = check(&uri, PASSWORD, &["--timeout", "0.5"]).await;
    assert_eq!((outcome.status, &outcome.step("Allocate")["reason"]), (1, &"no answer in time".into()));
    drop(silent);
    for transport in ["udp", "tcp"] {
        let outcome = check(&format!("{uri}?transport={transport}"), PASSWORD, &["--timeout", "0.5"]).await;
        assert_eq!(outcome.status, 1);
        assert!(outcome.step("Allocate")["reason"].as_str().unwrap().contains("refused"), "{:#}", outcome.report);
    }
}

#[tokio::test]
async fn what_cannot_run_exits_with_2_and_says_why() {
    for (arguments, said) in [
        (&[][..], "URI"),
        (&["turn.example.org"], "neither `stun:` nor `turn:`"),
        (&["turns:example.org"], "TLS"),
        (&["turn:127.0.0.1", "--username", USER], "no password"),
        (&["turn:127.0.0.1", "--username", USER, "--password-file", "/no/such/file"], "/no/such/file"),
        (&["turn:127.0.0.1", "--count", "0"], "--count"),
    ] {
        let output = agent(arguments).output().await.unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
}
