//! `ice-agent check` over TLS and DTLS: which certificates pass, and what the report says of them.

use crate::check_support::{agent, check, outcome};
use crate::small_turn::authority::Authority;
use crate::small_turn::{Fault, PASSWORD, SmallTurn, USER};
use causeway_kit::Scratch;
use serde_json::Value;

#[tokio::test]
async fn rfc8489_10_the_alternate_domain_is_the_name_of_the_next_certificate() {
    let authority = Authority::new();
    let ca = authority.file();
    // The first server's name is `localhost`; its 300 names `turn.test`. The certificates of both
    // servers are for both names.
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
                && chain[0]["issuer"].as_str().unwrap().contains("Test Intermediate")
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
            "only its own certificate",
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
                "no request goes to a server that may be a false one"
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
async fn an_unverified_server_is_used_only_by_request_and_the_report_says_so() {
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
async fn a_server_without_tls_and_a_wrong_certificate_have_different_reasons() {
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
async fn h56_authorities_joined_without_a_line_end_are_refused() {
    let (one, other) = (Authority::new(), Authority::new());
    let scratch = Scratch::new();
    let file = scratch.write("glued.pem", format!("{}{}", one.root().trim_end(), other.root()));
    let output =
        agent(&["turns:127.0.0.1", "--ca", file.to_str().unwrap()]).output().await.unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(
        error.contains("two markers on one line: two files were joined without a line end"),
        "{error}"
    );
}

#[tokio::test]
async fn h56_unreadable_authorities_of_the_environment_are_reported() {
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
