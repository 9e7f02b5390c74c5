//! `ice-agent check` as a shell sees it, against a small TURN server that fails where it is told
//! to.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod small_turn;

use std::process::Stdio;

use causeway_wire::{ErrorCode, Method};
use serde_json::Value;
use small_turn::authority::Authority;
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
        steps
            .iter()
            .find(|step| step["name"] == name)
            .unwrap_or_else(|| panic!("no step {name}: {:#}", self.report))
    }
}

fn agent(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ice-agent"));
    command
        .arg("check")
        .args(arguments)
        .env_remove("ICE_AGENT_USERNAME")
        .env_remove("ICE_AGENT_PASSWORD");
    command
}

async fn outcome(command: &mut Command) -> Outcome {
    let output = command.output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let report = serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    Outcome { status: output.status.code().unwrap(), report }
}

async fn check(uri: &str, password: &str, more: &[&str]) -> Outcome {
    let timeout: &[&str] = if more.contains(&"--timeout") { &[] } else { &["--timeout", "2"] };
    let arguments =
        [&[uri, "--json", "--username", USER, "--interval", "5"], timeout, more].concat();
    outcome(agent(&arguments).env("ICE_AGENT_PASSWORD", password)).await
}

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
async fn rfc8489_10_the_alternate_domain_is_the_name_of_the_next_certificate() {
    let authority = Authority::new();
    let ca = authority.file();
    // The first server is known as `localhost`; its 300 says `turn.test`, which the certificates of
    // both are for.
    let target = SmallTurn::start_secure(Fault::None, authority.server(90)).await;
    let server =
        SmallTurn::start_secure(Fault::Redirects(target.secure), authority.server(90)).await;
    for transport in ["tcp", "udp"] {
        let uri = format!("turns:{}?transport={transport}", server.secure.unwrap());
        let outcome = check(
            &uri,
            PASSWORD,
            &["--ca", ca.path(), "--server-name", "localhost", "--count", "1"],
        )
        .await;
        assert_eq!(
            (outcome.status, &outcome.report["secure"]["name"]),
            (0, &"turn.test".into()),
            "{:#}",
            outcome.report
        );
        assert_eq!(outcome.report["server"], target.secure.unwrap().to_string());
        assert!(
            outcome.report["notes"].to_string().contains("redirects to"),
            "{:#}",
            outcome.report["notes"]
        );
    }
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

/// Both secure transports at a server whose name is `turn.test`.
fn secure_uris(server: &SmallTurn) -> [String; 2] {
    ["tcp", "udp"]
        .map(|transport| format!("turns:{}?transport={transport}", server.secure.unwrap()))
}

#[tokio::test]
async fn over_tls_and_dtls_the_certificates_are_verified_and_shown() {
    let authority = Authority::new();
    let ca = authority.file();
    let server = SmallTurn::start_secure(Fault::None, authority.server(90)).await;
    for (uri, version) in secure_uris(&server).into_iter().zip(["TLS 1.3", "DTLS 1.2"]) {
        let outcome =
            check(&uri, PASSWORD, &["--ca", ca.path(), "--server-name", "turn.test"]).await;
        assert_eq!(
            (outcome.status, &outcome.report["ok"]),
            (0, &Value::Bool(true)),
            "{:#}",
            outcome.report
        );
        let secure = &outcome.report["secure"];
        assert_eq!(
            (&secure["version"], &secure["verified"], &secure["name"]),
            (&version.into(), &true.into(), &"turn.test".into())
        );
        assert!(secure["cipher"].as_str().unwrap().starts_with("TLS_"), "{secure:#}");
        assert_eq!(
            secure["alpn"],
            if version == "TLS 1.3" { "stun.turn".into() } else { Value::Null }
        );
        let chain = secure["chain"].as_array().unwrap();
        assert_eq!(chain.len(), 2);
        assert!(
            chain[0]["subject"].as_str().unwrap().contains("turn.test")
                && chain[0]["issuer"].as_str().unwrap().contains("Test Between")
        );
        assert_eq!(
            chain[0]["names"],
            serde_json::json!(["turn.test", "localhost", "127.0.0.1", "::1"])
        );
        assert_eq!((&chain[0]["days_left"], &chain[0]["key"]), (&90.into(), &"EC 256".into()));
        assert_eq!(outcome.report["relay"]["received"], 50);
        assert_eq!(outcome.report["warnings"], serde_json::json!([]));
    }
}

#[tokio::test]
async fn a_binding_is_asked_over_tls_and_dtls() {
    let authority = Authority::new();
    let ca = authority.file();
    let server = SmallTurn::start_secure(Fault::None, authority.server(90)).await;
    let uri = format!("stuns:{}", server.secure.unwrap());
    for (transport, alpn) in [("tls", "stun.nat-discovery".into()), ("dtls", Value::Null)] {
        let arguments = [
            &uri,
            "--json",
            "--transport",
            transport,
            "--ca",
            ca.path(),
            "--server-name",
            "localhost",
        ];
        let outcome = outcome(&mut agent(&arguments)).await;
        assert_eq!(
            (outcome.status, &outcome.report["secure"]["alpn"]),
            (0, &alpn),
            "{:#}",
            outcome.report
        );
        assert!(outcome.report["mapped"].as_str().unwrap().starts_with("127.0.0.1:"));
    }
}

#[tokio::test]
async fn rfc8489_6_2_3_a_certificate_that_is_not_verified_ends_it() {
    let authority = Authority::new();
    let ca = authority.file();
    let good = SmallTurn::start_secure(Fault::None, authority.server(90)).await;
    let expired = SmallTurn::start_secure(Fault::None, authority.server(-3)).await;
    let mut alone = authority.server(90);
    alone.chain.truncate(1);
    let alone = SmallTurn::start_secure(Fault::None, alone).await;
    let cases: [(&SmallTurn, &[&str], &str, &str); 4] = [
        (&good, &["--server-name", "turn.test"], "leads to no authority", "NOT verified"),
        (
            &good,
            &["--ca", ca.path(), "--server-name", "other.test"],
            "not for other.test",
            "NOT verified",
        ),
        (&expired, &["--ca", ca.path(), "--server-name", "turn.test"], "expired", "has expired on"),
        (
            &alone,
            &["--ca", ca.path(), "--server-name", "turn.test"],
            "leads to no authority",
            "its own certificate alone",
        ),
    ];
    for (server, options, reason, note) in cases {
        for (uri, step) in secure_uris(server).iter().zip(["TLS handshake", "DTLS handshake"]) {
            let outcome = check(uri, PASSWORD, options).await;
            let failed = outcome.step(step);
            assert_eq!(
                (outcome.status, &failed["ok"]),
                (1, &Value::Bool(false)),
                "{:#}",
                outcome.report
            );
            assert!(failed["reason"].as_str().unwrap().contains(reason), "{failed:#}");
            assert_eq!(
                outcome.report["steps"].as_array().unwrap().len(),
                2,
                "nothing is asked of a server that may be another"
            );
            let secure = &outcome.report["secure"];
            assert_eq!(secure["verified"], false);
            assert!(
                !secure["chain"].as_array().unwrap().is_empty()
                    && secure["why_not"].as_str().unwrap().contains(reason)
            );
            assert!(
                outcome.report["notes"].to_string().contains(note),
                "{:#}",
                outcome.report["notes"]
            );
        }
    }
}

#[tokio::test]
async fn an_unverified_server_is_spoken_with_only_when_told_so_and_the_report_says_it() {
    let server = SmallTurn::start_secure(Fault::None, Authority::new().server(90)).await;
    for uri in secure_uris(&server) {
        let options = ["--insecure-no-verify", "--server-name", "turn.test", "--count", "1"];
        let outcome = check(&uri, PASSWORD, &options).await;
        assert_eq!(
            (outcome.status, &outcome.report["secure"]["verified"]),
            (0, &Value::Bool(false)),
            "{:#}",
            outcome.report
        );
        let mut command = agent(&[&uri, "--username", USER]);
        let output =
            command.args(options).env("ICE_AGENT_PASSWORD", PASSWORD).output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.contains("NOT VERIFIED for turn.test")
                && text.contains("The certificate is NOT verified"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_certificate_that_expires_soon_is_a_warning() {
    let authority = Authority::new();
    let ca = authority.file();
    for (days, warns) in [(13, true), (14, false)] {
        let server = SmallTurn::start_secure(Fault::None, authority.server(days)).await;
        let options = ["--ca", ca.path(), "--server-name", "turn.test", "--count", "1"];
        let outcome = check(&secure_uris(&server)[0], PASSWORD, &options).await;
        let warnings = outcome.report["warnings"].as_array().unwrap();
        assert_eq!((outcome.status, !warnings.is_empty()), (0, warns), "{warnings:?}");
        assert!(!warns || warnings[0].as_str().unwrap().contains("expires in 13 days"));
    }
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_told_from_a_wrong_certificate() {
    let server = SmallTurn::start(Fault::None).await;
    let uri = format!("turns:{}?transport=tcp", server.address);
    let outcome = check(&uri, PASSWORD, &["--server-name", "turn.test"]).await;
    let failed = outcome.step("TLS handshake");
    assert_eq!((outcome.status, &outcome.report["secure"]), (1, &Value::Null));
    assert!(
        failed["reason"].as_str().is_some_and(|reason| !reason.contains("certificate")),
        "{failed:#}"
    );
}

#[tokio::test]
async fn the_families_that_a_server_has_are_told() {
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
async fn h56_authorities_joined_without_a_line_end_are_refused() {
    let authority =
        || rcgen::generate_simple_self_signed(["authority.example".to_owned()]).unwrap().cert.pem();
    let file = std::env::temp_dir().join(format!("ice-agent-glued-{}.pem", std::process::id()));
    std::fs::write(&file, format!("{}{}", authority().trim_end(), authority())).unwrap();
    let output =
        agent(&["turns:127.0.0.1", "--ca", file.to_str().unwrap()]).output().await.unwrap();
    std::fs::remove_file(&file).unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(
        error.contains("two markers on one line: two files were joined without a line end"),
        "{error}"
    );
}

#[tokio::test]
async fn h56_authorities_of_the_environment_that_cannot_be_read_are_told_of() {
    let server = SmallTurn::start_secure(Fault::None, Authority::new().server(90)).await;
    for uri in secure_uris(&server) {
        let mut command = agent(&[
            &uri,
            "--json",
            "--username",
            USER,
            "--timeout",
            "2",
            "--server-name",
            "turn.test",
        ]);
        command
            .env("ICE_AGENT_PASSWORD", PASSWORD)
            .env("SSL_CERT_FILE", "/no/such/bundle.pem")
            .env_remove("SSL_CERT_DIR");
        let outcome = outcome(&mut command).await;
        let why = outcome.report["secure"]["why_not"].as_str().unwrap();
        assert!(why.contains("SSL_CERT_FILE=/no/such/bundle.pem names no authority"), "{why}");
    }
}

#[tokio::test]
async fn what_cannot_run_exits_with_2_and_says_why() {
    for (arguments, said) in [
        (&[][..], "URI"),
        (&["turn.example.org"], "none of `stun:`, `stuns:`, `turn:` and `turns:`"),
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
