//! The main job: two agents, one of which may only use its relay, meet, connect and exchange data.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use causeway_kit::Scratch;
use comfy_table::{Table, presets};
use serde_json::Value;

use super::process::{Process, built};
use super::servers::Servers;
use super::stop::Stop;

const CALL: Duration = Duration::from_secs(40);

/// Runs a call between the two agents and prints the report of each.
pub(super) fn call(servers: &Servers, scratch: &Scratch, stop: &Stop) -> Result<()> {
    let caller = agent("caller", &["--relay-only"], servers, scratch)?;
    let callee = agent("callee", &["--bind", "127.0.0.1"], servers, scratch)?;
    let ends = [caller.succeeded_within(CALL, stop), callee.succeeded_within(CALL, stop)];
    let seen = [report("caller", scratch), report("callee", scratch)];
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header([
        "agent",
        "selected pair",
        "path",
        "selected after",
        "RTT p50",
        "RTT p99",
        "came back",
        "lost",
    ]);
    for (name, seen) in ["caller", "callee"].into_iter().zip(&seen) {
        if let Ok(seen) = seen {
            table.add_row(row(name, seen));
        }
    }
    causeway_cli::print_line(&table)?;
    ends.into_iter().collect::<Result<()>>()?;
    for seen in seen {
        let seen = seen?;
        ensure!(
            seen["path"] == "relayed",
            "the pair is {}, though the caller may only use its relay",
            seen["path"]
        );
    }
    Ok(())
}

fn agent(name: &str, more: &[&str], servers: &Servers, scratch: &Scratch) -> Result<Process> {
    let mut agent = built("ice-agent");
    agent.args([
        "connect",
        "--json",
        "--room",
        "demo",
        "--rendezvous",
        &format!("http://{}", servers.rendezvous),
    ]);
    agent
        .args(["--stun", &format!("stun:{}", servers.stun), "--turn", &servers.turn_uri("udp")])
        .args(more);
    servers.credentials.give_to(&mut agent);
    Process::logged(name, agent, scratch)
}

/// The report that the agent wrote at its end.
pub(super) fn report(name: &str, scratch: &Scratch) -> Result<Value> {
    let text = fs::read_to_string(scratch.path(&format!("{name}.out")))?;
    serde_json::from_str(&text).with_context(|| format!("{name} wrote no report"))
}

fn row(name: &str, seen: &Value) -> [String; 8] {
    let text = |value: &Value| value.as_str().unwrap_or("–").to_owned();
    let milliseconds =
        |value: &Value| value.as_f64().map_or("–".to_owned(), |value| format!("{value:.2} ms"));
    let end = |value: &Value| format!("{} {}", text(&value["type"]), text(&value["address"]));
    let selected = &seen["selected"];
    [
        name.to_owned(),
        format!("{} <-> {}", end(&selected["local"]), end(&selected["remote"])),
        text(&seen["path"]),
        milliseconds(&seen["connect_ms"]),
        milliseconds(&seen["rtt_ms"]["p50"]),
        milliseconds(&seen["rtt_ms"]["p99"]),
        format!("{} of {}", seen["received"], seen["sent"]),
        seen["loss_percent"].as_f64().map_or("–".to_owned(), |percent| format!("{percent:.1} %")),
    ]
}
