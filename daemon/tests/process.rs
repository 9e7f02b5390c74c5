//! What only a process of its own can show: its exit status, its signals, what it writes to
//! standard error.
//!
//! Each test starts this test program again with the name of a part to play in `CAUSEWAY_PART`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};

use causeway_daemon::lifecycle::{self, EXIT_FAILURE, Termination};
use causeway_daemon::log::{self, AuthFailure, Format, Log, RedactKind};

const PART: &str = "CAUSEWAY_PART";

fn start(part: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_part", "--nocapture", "--test-threads=1"])
        .env(PART, part)
        .env_remove("RUST_BACKTRACE")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn run(part: &str) -> (Output, String) {
    let output = start(part).wait_with_output().unwrap();
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    (output, text)
}

/// Waits until the child says that it is ready, sends `signals`, and returns its end.
fn signalled(part: &str, signals: &[&str]) -> (Option<i32>, String) {
    let mut child = start(part);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut text = String::new();
    for signal in signals {
        // One line for each step: "ready", then "ending".
        text += &(lines.next().unwrap().unwrap() + "\n");
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }
    text.extend(lines.map(|line| line.unwrap() + "\n"));
    (child.wait().unwrap().code(), text)
}

/// The part that this program plays when it was started by one of the tests below; nothing
/// otherwise.
#[test]
fn the_part() {
    let Ok(part) = std::env::var(PART) else { return };
    let format = if part.ends_with("-human") { Format::Human } else { Format::Json };
    let redact = if part.starts_with("prefix") { RedactKind::Prefix } else { RedactKind::None };
    log::init(&Log { format, level: "info".parse().unwrap(), redact }).unwrap();
    lifecycle::abort_on_panic();
    match part.trim_end_matches("-human") {
        "panic" => {
            let worker =
                std::thread::Builder::new().name("worker-0".into()).spawn(|| panic!("a bug"));
            let _ = worker.unwrap().join();
            unreachable!("the process has ended");
        }
        "flood" | "prefix-flood" => {
            flood();
            let _ = lifecycle::exit_code(Ok::<(), std::io::Error>(()));
        }
        "serve" => std::process::exit(i32::from(serve(false))),
        "hang" => std::process::exit(i32::from(serve(true))),
        other => unreachable!("no part is called {other}"),
    }
    log::flush();
}

fn flood() {
    let client: SocketAddr = "203.0.113.77:5000".parse().unwrap();
    for session in 0..10_000 {
        log::auth_failure(&AuthFailure {
            client,
            session: 0xabc0 + session,
            reason: "wrong-password",
            code: 401,
        });
    }
}

fn serve(hangs: bool) -> u8 {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let termination = Termination::install().unwrap();
        tracing::info!("ready");
        termination.requested().await;
        if hangs {
            std::future::pending::<()>().await;
        }
    });
    log::flush();
    lifecycle::EXIT_OK
}

fn json(line: &str) -> serde_json::Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn a_panic_on_any_thread_is_logged_and_aborts() {
    let (output, text) = run("panic");
    assert_eq!(output.status.signal(), Some(6), "SIGABRT ends it: {text}");
    let line = json(text.lines().next().unwrap());
    assert_eq!(
        (line["level"].as_str(), line["thread"].as_str()),
        (Some("ERROR"), Some("worker-0"))
    );
    assert_eq!(line["panic"].as_str().or(line["message"].as_str()), Some("a bug"), "{text}");
    assert!(line["place"].as_str().unwrap().contains("process.rs:"), "{text}");
}

#[test]
fn the_first_signal_ends_in_order_and_the_second_at_once() {
    for signal in ["TERM", "INT"] {
        let (code, text) = signalled("serve", &[signal]);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains(&format!("SIG{signal}")), "{text}");
    }
    let (code, text) = signalled("hang", &["TERM", "INT"]);
    assert_eq!(code, Some(i32::from(EXIT_FAILURE)), "{text}");
    assert!(text.contains("ending at once"), "{text}");
}

#[test]
fn h42_an_authentication_failure_is_one_documented_event() {
    let (_, text) = run("flood");
    let first = json(text.lines().next().unwrap());
    assert_eq!(first["target"], "causeway::auth_failure");
    assert_eq!(first["level"], "WARN");
    assert_eq!(first["message"], "authentication failed");
    assert_eq!((&first["client"], &first["port"]), (&"203.0.113.77".into(), &5_000.into()));
    assert_eq!((&first["session"], &first["code"]), (&"000000000000abc0".into(), &401.into()));
    assert_eq!((&first["reason"], &first["suppressed"]), (&"wrong-password".into(), &0.into()));
}

#[test]
fn h42_the_event_is_text_too_and_addresses_can_be_truncated() {
    let (_, text) = run("prefix-flood-human");
    let line = text.lines().next().unwrap();
    for word in [
        "WARN causeway::auth_failure: authentication failed",
        "client=203.0.113.0/24",
        "port=5000",
        "code=401",
    ] {
        assert!(line.contains(word), "{word:?} is not in {line:?}");
    }
    assert!(!text.contains("203.0.113.77"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colours: they would be noise in a file");
}

#[test]
fn h42_a_flood_of_failures_does_not_flood_the_log() {
    let (_, text) = run("flood");
    let lines = text.lines().filter(|line| line.contains("auth_failure")).count();
    // 10,000 events take well under two seconds, and a window is a second.
    assert!((20..=60).contains(&lines), "{lines} lines");
    let suppressed: u64 = text.lines().filter_map(|line| json(line)["suppressed"].as_u64()).sum();
    let single = text.lines().filter(|line| line.contains("wrong-password")).count() as u64;
    assert_eq!(single + suppressed, 10_000, "each is told, singly or in a sum");
}
