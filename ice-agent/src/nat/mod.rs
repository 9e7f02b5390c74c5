//! `ice-agent nat`: what the NATs between this host and a STUN server do with UDP or TCP (RFC 5780
//! §4.3, §4.4), in both families. docs/ice-agent.md has the JSON form.
//!
//! Silence counts as a filter, as blocked UDP or as missing hairpinning only if the chance that it
//! is loss is below 0.1 % (see `loss`). Otherwise the report says `unknown`.
//!
//! Servers without another address (RFC 5780 §7.4, or RFC 3489's CHANGED-ADDRESS) show less: two of
//! them show whether the mapping is the same for both.

mod behaviour;
mod comparison;
mod document;
mod families;
mod filtering;
mod hairpin;
mod loss;
mod network;
mod observations;
mod over_tcp;
mod over_udp;
mod pacer;
mod probe_socket;
mod repeated_request;
mod report;
mod servers;
mod session;
#[cfg(test)]
mod simulated;
mod tcp_probe;

use std::time::Duration;

use anyhow::bail;
use causeway_wire::Transport;

use crate::arguments::seconds;
use crate::output;
use crate::reach::ReachArgs;
use crate::uri::{Host, Scheme, ServerUri, UriError};
use crate::verdict::Verdict;

pub use behaviour::{Behaviour, Classic};
pub use document::Document;
pub use observations::{LossReport, Ports, Test};
pub use report::{Family, Report};

/// The command line of `ice-agent nat`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// STUN server with two addresses and two ports (RFC 5780), as `HOST`, `HOST:PORT` or a `stun:`
    /// URI. May be repeated: two servers without a second address show more than one.
    #[arg(long, value_name = "HOST[:PORT]", value_parser = server, required = true)]
    pub server: Vec<ServerUri>,
    /// How to find the servers.
    #[command(flatten)]
    pub reach: ReachArgs,
    /// Timeout of each request, in seconds. Silence counts after 2.5 s at the earliest, and later
    /// if the path loses packets.
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = seconds)]
    pub timeout: Duration,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Runs the tests and prints the report. Returns [`Verdict::No`] if no answer came.
///
/// # Errors
/// The server's name has no address, or no socket can be opened.
pub async fn run(args: Args) -> anyhow::Result<Verdict> {
    args.reach.learn();
    args.server.iter().for_each(ServerUri::learn);
    let transport = args.reach.transport.unwrap_or(Transport::Udp);
    if transport.is_secure() {
        bail!("--transport {transport}: NAT behaviour is measured over UDP or TCP");
    }
    let reach = args.reach.load()?;
    let document = families::measure(&args.server, &reach, transport, args.timeout).await?;
    if args.json {
        output::json(&document)?;
    } else {
        output::text(&document)?;
    }
    Ok(if document.is_blocked() { Verdict::No } else { Verdict::Yes })
}

fn server(text: &str) -> Result<ServerUri, String> {
    let lower = text.to_ascii_lowercase();
    let is_uri =
        ["stun:", "stuns:", "turn:", "turns:"].iter().any(|scheme| lower.starts_with(scheme));
    let uri: ServerUri = if is_uri { text.parse() } else { format!("stun:{text}").parse() }
        .map_err(|error: UriError| error.to_string())?;
    if matches!(uri.host, Host::Zoned(..)) {
        return Err("there is no NAT between this host and a link-local server".into());
    }
    match (uri.scheme, uri.secure) {
        (Scheme::Stun, false) => Ok(uri),
        (Scheme::Stun, true) => {
            Err("NAT behaviour is measured over UDP or TCP; write the server as a stun: URI".into())
        }
        (Scheme::Turn, _) => {
            Err("a TURN server cannot measure NAT behaviour; give a STUN server".into())
        }
    }
}
