//! Runs `ice-agent check` as a process and reads its report.

use serde_json::Value;
use tokio::process::Command;

use super::small_turn::USER;

pub(crate) struct Outcome {
    pub(crate) status: i32,
    pub(crate) report: Value,
}

impl Outcome {
    pub(crate) fn step(&self, name: &str) -> &Value {
        let steps = self.report["steps"].as_array().unwrap();
        steps
            .iter()
            .find(|step| step["name"] == name)
            .unwrap_or_else(|| panic!("no step {name}: {:#}", self.report))
    }
}

pub(crate) fn agent(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ice-agent"));
    command
        .arg("check")
        .args(arguments)
        .env_remove("ICE_AGENT_USERNAME")
        .env_remove("ICE_AGENT_PASSWORD");
    command
}

pub(crate) async fn outcome(command: &mut Command) -> Outcome {
    let output = command.output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let report = serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    Outcome { status: output.status.code().unwrap(), report }
}

pub(crate) async fn check(uri: &str, password: &str, more: &[&str]) -> Outcome {
    let timeout: &[&str] = if more.contains(&"--timeout") { &[] } else { &["--timeout", "2"] };
    let arguments =
        [&[uri, "--json", "--username", USER, "--interval", "5"], timeout, more].concat();
    outcome(agent(&arguments).env("ICE_AGENT_PASSWORD", password)).await
}
