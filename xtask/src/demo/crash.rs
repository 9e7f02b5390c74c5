//! A call that outlives its relay: `turnd` with a Redis behind it is killed in the middle, and
//! started again.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use comfy_table::{Table, presets};
use serde_json::Value;

use super::call::report;
use super::process::{Process, built};
use super::scratch::Scratch;
use super::servers::{Servers, turnd_config};
use super::stop::Stop;

const START: Duration = Duration::from_secs(15);
const END: Duration = Duration::from_secs(10);
/// The call with its crash.
const CALL: Duration = Duration::from_secs(60);
/// So long the agents have to find each other, before the crash.
const BEFORE: Duration = Duration::from_secs(4);
/// Datagrams of each agent, so many milliseconds apart.
const COUNT: u32 = 1600;
const INTERVAL: u32 = 5;

/// Lets two agents call through a `turnd` of its own, kills it, starts it again, and prints what
/// the agents felt.
///
/// # Errors
/// The call did not outlive it.
pub(super) fn crash(redis: &str, servers: &Servers, scratch: &Scratch, stop: &Stop) -> Result<()> {
    let [turn, admin] =
        super::port::free()?.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
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
    ended.into_iter().collect::<Result<()>>().context("the call ended with the crash")?;
    for seen in seen {
        let seen = seen?;
        ensure!(
            seen["path"] == "relayed",
            "the pair is {}, though both may use their relay only",
            seen["path"]
        );
        ensure!(
            lost(&seen).is_some_and(|lost| lost > 0),
            "the call has not felt the crash: it was over before"
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
        scratch.write("fleet-key", &super::credentials::random_hex(32)?)?.display().to_string();
    let locks = scratch.path("").display().to_string();
    // A URL may hold a password: it stands in a file that nobody else can read.
    let url = scratch.write("redis-url", redis)?.display().to_string();
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
    scratch.write("turnd-redis.toml", &(turnd_config(turn, admin, &servers.credentials) + &store))
}

fn start(
    name: &str,
    config: &std::path::Path,
    turn: SocketAddr,
    scratch: &Scratch,
    stop: &Stop,
) -> Result<Process> {
    let mut turnd = Process::logged(name, built("turnd").arg("--config").arg(config), scratch)?;
    turnd.wait_until(|| TcpStream::connect(turn).is_ok(), START, stop)?;
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
    Process::logged(name, &mut agent, scratch)
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
        "so, a gap of",
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
                // One every few milliseconds: so many of them, so long the silence.
                format!("about {} ms", lost * u64::from(INTERVAL)),
            ]);
        }
    }
    Ok(causeway_cli::print_line(&table)?)
}
