//! A WebRTC stack that others wrote, held to relayed candidates over UDP: its data channel outlives
//! the crash of the relay.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use causeway_kit::program::target;
use causeway_tests::daemon::service::{PASSWORD, USER};
use serde_json::Value;

use crate::redis_server::RedisServer;
use crate::relay::Relay;

/// Ended when dropped; it ends by itself within 50 seconds.
struct Endpoints(Child);

#[test]
fn a_data_channel_outlives_a_crash() {
    let python = target().join("interop-venv/bin/python");
    assert!(
        python.is_file(),
        "{} is not there: `cargo xtask test store` makes it",
        python.display()
    );
    let redis = RedisServer::start();
    let mut relay = Relay::start(&redis.url());
    let child = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/interop/aiortc/crash_call.py"))
        .args(["--server", &relay.service.address.to_string(), "--user", USER])
        .env("TURN_PASSWORD", PASSWORD)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it is there");
    let mut endpoints = Endpoints(child);
    let mut lines = BufReader::new(endpoints.0.stdout.take().expect("it is piped")).lines();
    let mut line = || lines.next().and_then(Result::ok).unwrap_or_default();
    assert_eq!(line(), "up");
    let away = relay.crash();
    writeln!(endpoints.0.stdin.take().expect("it is piped"), "back").expect("it reads");
    let line = line();
    let seen: Value = serde_json::from_str(&line)
        .unwrap_or_else(|error| panic!("{error}: {line}\n{}", relay.service.log()));
    println!("\naiortc, with turnd away for {away:.1?}: {line}");
    assert!(endpoints.0.wait().expect("it is our child").success());
    assert_eq!(
        (&seen["in_order"], &seen["same_pairs"]),
        (&Value::Bool(true), &Value::Bool(true)),
        "{line}"
    );
    assert_eq!(seen["channel"], "open", "{line}");
    assert_eq!(seen["states"], serde_json::json!([]), "{line}");
    assert_eq!(seen["types"], serde_json::json!(["relay"]), "{line}");
    assert!(
        relay.service.metric("turnd_store_records_restored_total") > 0,
        "{}",
        relay.service.log()
    );
    for code in ["401", "437"] {
        // 401: nobody asked for an allocation anew; 437: nobody lost one.
        assert_eq!(
            relay.service.metric(&format!("turnd_stun_errors_total{{code=\"{code}\"}}")),
            0,
            "{code}"
        );
    }
    relay.service.end();
}

impl Drop for Endpoints {
    fn drop(&mut self) {
        // They may have ended: nothing is left to be done then.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
