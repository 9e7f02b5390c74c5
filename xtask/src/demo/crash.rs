//! A call that survives its relay: `turnd` with a Redis behind it is killed during the call and
//! started again.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use causeway_kit::{Scratch, port};
use comfy_table::{Table, presets};
use serde_json::Value;

use super::call::report;
use super::process::{Process, built};
use super::servers::{Servers, turnd_config};
use super::stop::Stop;

const START: Duration = Duration::from_secs(15);
const END: Duration = Duration::from_secs(10);
/// How long the call with its crash may take.
const CALL: Duration = Duration::from_secs(60);
/// How long the agents have to connect before the crash.
const BEFORE: Duration = Duration::from_secs(4);
/// Number of datagrams of each agent.
const COUNT: u32 = 1600;
/// Milliseconds between two of them.
const INTERVAL: u32 = 5;

/// Runs a call through a `turnd` of its own, kills it, starts it again, and prints what each agent
/// lost.
///
/// # Errors
/// The call did not survive.
pub(super) fn crash(redis: &str, servers: &Servers, scratch: &Scratch, stop: &Stop) -> Result<()> {
    let [turn, admin] = [port::try_free()?, port::try_free()?]
        .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let config = config(redis, turn, admin, servers, scratch)?;
    let turnd = start("turnd", &config, turn, scratch, stop)?;
    let ends = ["first", "second"].map(|name| agent(name, turn, servers, scratch));
    let [first, second] =
        ends.map(|end| end.map_err(|error| error.context("an agent does not start")));
    let (first, second) = (first?, second?);
    pause(BEFORE, stop)?;

    let killed = Instant::now();
    turnd.kill()?;
    let turnd = start("turnd-again", &config, turn, scratch, stop)?;
    let away = killed.elapsed();

    let ended = [first.succeeded_within(CALL, stop), second.succeeded_within(CALL, stop)];
    let seen = ["first", "second"].map(|name| report(name, scratch));
    print(away, &seen)?;
    ended.into_iter().collect::<Result<()>>().context("the call did not survive the crash")?;
    for seen in seen {
        let seen = seen?;
        ensure!(
            seen["path"] == "relayed",
            "the pair is {}, though both may only use their relay",
            seen["path"]
        );
        ensure!(
            lost(&seen).is_some_and(|lost| lost > 0),
            "no datagram was lost: the call was over before the crash"
        );
    }
    turnd.end(END)
}

fn config(
    redis: &str,
    turn: SocketAddr,
    admin: SocketAddr,
    servers: &Servers,
    scratch: &Scratch,
) -> Result<PathBuf> {
    let key =
        scratch.try_write("fleet-key", &super::credentials::random_hex(32)?)?.display().to_string();
    let locks = scratch.folder().display().to_string();
    // A URL may hold a password: it goes into a file that only its owner can read.
    let url = scratch.try_write("redis-url", redis)?.display().to_string();
    let node = super::credentials::random_hex(4)?;
    let store = format!(
        r#"
[store]
url_file = "{url}"
node_id = "demo-{node}"
fleet_key_file = "{key}"
lock_directory = "{locks}"
"#
    );
    let config = turnd_config(turn, admin, &servers.credentials) + &store;
    Ok(scratch.try_write("turnd-redis.toml", config)?)
}

fn start(
    name: &str,
    config: &std::path::Path,
    turn: SocketAddr,
    scratch: &Scratch,
    stop: &Stop,
) -> Result<Process> {
    let mut command = built("turnd");
    command.arg("--config").arg(config);
    let mut turnd = Process::logged(name, command, scratch)?;
    turnd.wait_until("listener", || TcpStream::connect(turn).is_ok(), START, stop)?;
    Ok(turnd)
}

fn agent(name: &str, turn: SocketAddr, servers: &Servers, scratch: &Scratch) -> Result<Process> {
    let mut agent = built("ice-agent");
    agent.args([
        "connect",
        "--json",
        "--relay-only",
        "--room",
        "crash",
        "--rendezvous",
        &format!("http://{}", servers.rendezvous),
    ]);
    agent.args([
        "--turn",
        &format!("turn:{turn}?transport=udp"),
        "--count",
        &COUNT.to_string(),
        "--interval",
        &INTERVAL.to_string(),
    ]);
    servers.credentials.give_to(&mut agent);
    Process::logged(name, agent, scratch)
}

fn pause(time: Duration, stop: &Stop) -> Result<()> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        stop.check()?;
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn lost(seen: &Value) -> Option<u64> {
    Some(seen["sent"].as_u64()? - seen["received"].as_u64()?)
}

fn print(away: Duration, seen: &[Result<Value>; 2]) -> Result<()> {
    causeway_cli::print_line(format_args!(
        "turnd was killed and is back after {:.0} ms, with the same relayed addresses",
        away.as_secs_f64() * 1e3
    ))?;
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header([
        "agent",
        "relayed address",
        "sent",
        "came back",
        "lost in the crash",
        "so a gap of",
    ]);
    for (name, seen) in ["first", "second"].into_iter().zip(seen) {
        if let Ok(seen) = seen {
            let lost = lost(seen).unwrap_or_default();
            table.add_row([
                name.to_owned(),
                seen["selected"]["local"]["address"].as_str().unwrap_or("–").to_owned(),
                seen["sent"].to_string(),
                seen["received"].to_string(),
                lost.to_string(),
                // One datagram every few milliseconds: their number gives the length of the gap.
                format!("about {} ms", lost * u64::from(INTERVAL)),
            ]);
        }
    }
    Ok(causeway_cli::print_line(&table)?)
}
