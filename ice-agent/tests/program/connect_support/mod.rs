//! Runs `ice-agent connect` as a process and reads its report.

use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::process::Command;

use super::small_turn::SmallTurn;
use super::support::Rendezvous;

/// Short enough for a test, long enough for statistics.
pub(crate) const SHORT: &[&str] = &["--count", "20", "--interval", "5"];

pub(crate) fn agent(rendezvous: &Rendezvous, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ice-agent"));
    command.args(["connect", "--room", "r", "--rendezvous", &rendezvous.base.to_string()]);
    command
        .args(SHORT)
        .args(arguments)
        .env_remove("ICE_AGENT_USERNAME")
        .env_remove("ICE_AGENT_PASSWORD");
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

pub(crate) struct Side {
    pub(crate) status: i32,
    pub(crate) report: Value,
}

impl Side {
    pub(crate) fn read(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout);
        let report = serde_json::from_str(&text)
            .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
        Self { status: output.status.code().unwrap(), report }
    }

    /// The error codes of a step.
    pub(crate) fn codes(&self, step: &str) -> Vec<u64> {
        let errors = self.report["errors"].as_array().unwrap();
        errors
            .iter()
            .filter(|error| error["step"] == step)
            .filter_map(|error| error["code"].as_u64())
            .collect()
    }
}

pub(crate) fn turn(server: &SmallTurn, transport: &str) -> String {
    format!("turn:{}?transport={transport}", server.address)
}
