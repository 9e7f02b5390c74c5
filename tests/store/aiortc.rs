//! An independent WebRTC stack that may use relayed candidates over UDP only: its data channel
//! outlives the crash of the relay.

use std::process::Command;
use std::time::Duration;

use causeway_kit::program::target;
use causeway_kit::{Finished, Process};
use causeway_tests::daemon::service::{PASSWORD, USER};
use serde_json::Value;

use crate::redis_server::RedisServer;
use crate::relay::Relay;

/// The endpoints end by themselves within 50 seconds.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_data_channel_outlives_a_crash() {
    let python = target().join("interop-venv/bin/python");
    assert!(python.is_file(), "{} is missing: `cargo xtask test store` makes it", python.display());
    let redis = RedisServer::start();
    let mut relay = Relay::start(&redis.url());
    let mut command = Command::new(python);
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/interop/aiortc/crash_call.py"))
        .args(["--server", &relay.service.address.to_string(), "--user", USER])
        .env("TURN_PASSWORD", PASSWORD);
    let mut endpoints = Process::start("aiortc", command).expect("Python is installed");
    let (next, line) = endpoints.next_output(0, PATIENCE).unwrap_or_default();
    assert_eq!(line, "up", "{}", endpoints.log_tail());
    let away = relay.crash();
    endpoints.write_line("back").expect("it reads");
    endpoints.close_input();
    let (_, line) = endpoints.next_output(next, PATIENCE).unwrap_or_default();
    let seen: Value = serde_json::from_str(&line)
        .unwrap_or_else(|error| panic!("{error}: {line}\n{}", relay.service.log()));
    println!("\naiortc, with turnd away for {away:.1?}: {line}");
    endpoints.finish(PATIENCE).and_then(Finished::success).expect("the endpoints succeed");
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
        // 401: no client asked for a new allocation; 437: none lost its own.
        assert_eq!(
            relay.service.metric(&format!("turnd_stun_errors_total{{code=\"{code}\"}}")),
            0,
            "{code}"
        );
    }
    relay.service.end();
}
