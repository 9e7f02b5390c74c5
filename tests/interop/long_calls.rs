//! Calls that last longer than a permission, by clients that never send CreatePermission (H46).
//!
//! The server's clock is moved ahead by 335 seconds to save the wait; `cargo xtask test calls`
//! waits for them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use causeway_kit::port;
use causeway_kit::program::target;
use causeway_tests::daemon::service::{self, PASSWORD, Service, USER};
use serde_json::{Value, json};

/// With it, the tests wait.
const REAL_TIME: &str = "CAUSEWAY_REAL_TIME";
/// A permission lasts 300 s.
const CALL: Duration = Duration::from_secs(340);
/// Messages that pass before and after, at 50 a second.
const MESSAGES: &str = "50";
/// For the messages behind the jump, which take a second.
const PATIENCE: Duration = Duration::from_secs(20);

const NO_PERMISSION: &str = "turnd_discarded_total{cause=\"no_permission\"}";

/// Two endpoints in one process. Ended when dropped.
pub(crate) struct Endpoints(Child);

impl Drop for Endpoints {
    fn drop(&mut self) {
        // They may have ended: nothing is left to be done then.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn h46_a_call_of_aiortc_lasts_longer_than_a_permission() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/aiortc/crash_call.py");
    long_call(|server| {
        let mut command = Command::new(target().join("interop-venv/bin/python"));
        command.args([
            folder,
            "--server",
            &server.to_string(),
            "--user",
            USER,
            "--messages",
            MESSAGES,
            "--timeout",
            "400",
        ]);
        command
    });
}

#[test]
fn h46_a_call_of_werift_lasts_longer_than_a_permission() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/node/long_call.mjs");
    long_call(|server| {
        let mut command = Command::new("node");
        command.args([script, &format!("turn:{server}?transport=udp"), USER, MESSAGES]);
        command.env("NODE_PACKAGES", target().join("interop-node"));
        command
    });
}

#[test]
fn h46_by_the_letter_of_rfc_8656_such_a_call_ends() {
    let server = start("[protocol]\nchannel_permission = \"rfc8656\"\n");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/node/long_call.mjs");
    let mut command = Command::new("node");
    command.args([script, &format!("turn:{}?transport=udp", server.address), USER, MESSAGES]);
    let (_endpoints, up) = begin(command.env("NODE_PACKAGES", target().join("interop-node")));
    assert_eq!(up.recv_timeout(PATIENCE).as_deref(), Ok("up"));
    server.move_clock(CALL);
    let before = server.metric(NO_PERMISSION);
    thread::sleep(Duration::from_secs(1));
    assert!(server.metric(NO_PERMISSION) > before, "the clock has moved\n{}", server.log());
    server.end();
}

/// A call whose endpoints are the program that `command` starts.
fn long_call(command: impl Fn(SocketAddr) -> Command) {
    let server = start("");
    let (mut endpoints, lines) = begin(&mut command(server.address));
    let line =
        || lines.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("{error}\n{}", server.log()));
    assert_eq!(line(), "up");
    // A check may have come before its permission.
    let refused = server.metric(NO_PERMISSION);
    if std::env::var_os(REAL_TIME).is_some() {
        thread::sleep(CALL);
    } else {
        server.move_clock(CALL);
        // What is under way is no proof.
        thread::sleep(Duration::from_secs(1));
    }
    writeln!(endpoints.0.stdin.take().expect("it is piped"), "back").expect("it reads");
    let line = line();
    println!("{line}");
    let seen: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert!(endpoints.0.wait().expect("it is our child").success());
    assert_eq!((&seen["in_order"], &seen["channel"]), (&json!(true), &json!("open")), "{line}");
    assert_eq!(seen["types"], json!(["relay"]), "{line}");
    assert_eq!(server.metric(NO_PERMISSION), refused, "{}", server.log());
    server.end();
}

/// `turnd` over UDP on loopback, under a clock that can be moved.
fn start(more: &str) -> Service {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
    let config = service::turnd_config(
        address,
        r#""allow 127.0.0.0/8""#,
        &format!("[net]\nworkers = 2\n{more}"),
    );
    Service::start_under_clock("turnd", address, &config)
}

/// Starts the endpoints; their lines.
pub(crate) fn begin(command: &mut Command) -> (Endpoints, Receiver<String>) {
    let command =
        command.env("TURN_PASSWORD", PASSWORD).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| {
        panic!("{error}; `cargo xtask test tools interop` brings what is missing")
    });
    let output = BufReader::new(child.stdout.take().expect("it is piped"));
    let (said, lines) = mpsc::channel();
    // It ends with the program.
    thread::spawn(move || {
        output.lines().map_while(Result::ok).try_for_each(|line| said.send(line))
    });
    (Endpoints(child), lines)
}
