//! `ice-agent nat`: what the NATs between this host and a STUN server do with UDP (RFC 5780 §4.3,
//! §4.4), in both families.
//!
//! Silence is told as a filter, as blocked or as no hairpin only when the chance that it is loss is
//! below 0.1 %: see `loss`. Otherwise the report says `unknown`.
//!
//! Servers that have no other address (RFC 5780 §7.4, or RFC 3489's CHANGED-ADDRESS) tell less: two
//! of them, whether the mapping is the same towards both.
//!
//! `--json` prints one object, of IPv4 or else of IPv6:
//!
//! | key | value |
//! |---|---|
//! | `classic` | `open-internet`, `full-cone`, `address-restricted-cone`, `port-restricted-cone`, `symmetric`, `symmetric-udp-firewall`, `udp-blocked` or `unknown` |
//! | `family`, `transport` | `ipv4` or `ipv6`; `udp`, or `tcp` where that was asked for: then filtering and hairpinning are not measured |
//! | `mapping`, `filtering` | `endpoint-independent`, `address-dependent`, `address-and-port-dependent`, `endpoint-dependent` (one of the two) or `unknown` |
//! | `nat` | whether addresses are translated; `null` if that could not be told |
//! | `local`, `mapped` | this host's address and port, and what the server saw |
//! | `ports` | what became of this host's ports in these tests: of how many `sockets` the port was `kept` towards every one of so many `destinations`, or `partly`; another host behind the NAT may change that |
//! | `hairpin` | whether the NAT turns datagrams around that are meant for its own outside; `null` without a NAT, or if that could not be told |
//! | `server`, `other_address` | the server's address that was asked, and its OTHER-ADDRESS |
//! | `round_trip_ms` | of the first test |
//! | `tcp` | whether the server answers over TCP; only tried if it does not over UDP |
//! | `loss` | how many plain `requests` had a known fate, and how many were `lost`, also in `percent` |
//! | `doubt` | the chance that silence which is told as filtered, blocked or not turned around was loss: a number from 0 to 1; `null` if nothing of that kind is told |
//! | `notes` | what could not be told, and why, and what to make of the rest; sentences for people |
//! | `tests` | each test: `name`, `local`, `sent_to`, `asked` (`change` flags), how many `requests` were sent, `mapped` and `answered_from`, or `failure` |
//! | `other_family` | the same keys of IPv6, where both were measured |
//! | `left_out` | what was not measured, and why; sentences for people |

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
    /// STUN server with two addresses and two ports (RFC 5780), as `HOST`, `HOST:PORT` or a
    /// `stun:` URI; may be repeated: two servers without a second address tell more than one.
    #[arg(long, value_name = "HOST[:PORT]", value_parser = server, required = true)]
    pub server: Vec<ServerUri>,
    /// How the servers are found.
    #[command(flatten)]
    pub reach: ReachArgs,
    /// How long each request waits for its answer, in seconds. Silence counts after 2.5 s at the
    /// earliest, and later on a path that loses packets.
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = seconds)]
    pub timeout: Duration,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Runs the tests and prints the report. [`Verdict::No`] if nothing comes back.
///
/// # Errors
/// The server's name has no address, or no socket can be had.
pub async fn run(args: Args) -> anyhow::Result<Verdict> {
    args.reach.learn();
    args.server.iter().for_each(ServerUri::learn);
    let transport = args.reach.transport.unwrap_or(Transport::Udp);
    if transport.is_secure() {
        bail!("what a NAT does is measured over UDP or TCP, not under {transport}");
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
        return Err("there is no NAT on the way to a link-local server".into());
    }
    match (uri.scheme, uri.secure) {
        (Scheme::Stun, false) => Ok(uri),
        (Scheme::Stun, true) => {
            Err("what a NAT does is measured over UDP or TCP; name the server by a stun: URI"
                .into())
        }
        (Scheme::Turn, _) => Err("a TURN server does not tell this; name a STUN server".into()),
    }
}
