//! ICE between two agents (RFC 8445, trickled as RFC 8838 has it), then numbered datagrams over the
//! selected pair.
//!
//! | noun | file |
//! |---|---|
//! | host, reflexive and relayed candidates | `host.rs`, `sockets.rs`, `reflexive.rs`, `relay/`; `gathering.rs`, `candidate.rs` |
//! | the ICE engine and its trace | `ice.rs`, `ice_credentials.rs`, `trace.rs` |
//! | the exchange and its figures | `exchange.rs`, `statistics.rs` |
//! | the call: all of the above without I/O | `call.rs` |
//! | the rendezvous and the room in it | `meeting.rs`, `signaling.rs` |
//! | sockets, timers and the call brought together | `run.rs` |
//! | what it showed | `report.rs` (the JSON schema), `describe.rs`, `print.rs` |

mod call;
mod candidate;
mod describe;
mod exchange;
mod gathering;
mod host;
mod ice;
mod ice_credentials;
mod meeting;
mod print;
mod reflexive;
mod relay;
pub mod report;
mod resolving;
mod run;
mod signaling;
mod sockets;
mod statistics;
mod trace;

use std::net::IpAddr;
use std::time::Duration;

use anyhow::bail;

pub use candidate::CandidateType;
pub use gathering::Problem;
pub use statistics::RoundTripFigures;
pub use trace::CheckState;

use crate::credentials::CredentialArgs;
use crate::output;
use crate::reach::ReachArgs;
use crate::redact::Kind;
use crate::rendezvous::RoomName;
use crate::uri::{Scheme, ServerUri};
use crate::verdict::Verdict;

/// The command line of `ice-agent connect`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where both agents meet: the URL of an `ice-agent rendezvous`,
    /// `http[s]://host[:port][/path]`. The first agent makes a secret room and prints the link
    /// for the other one, which gives that link here.
    // Not parsed by the command line's parser, whose errors repeat what was given.
    #[arg(long, value_name = "URL", env = "ICE_AGENT_RENDEZVOUS", hide_env_values = true)]
    pub rendezvous: String,
    /// Instead of a link: a name for the room that both agents give. Anyone who guesses it can
    /// take part.
    #[arg(long, value_name = "NAME")]
    pub room: Option<RoomName>,
    /// STUN server for server-reflexive candidates, `stun:host:port`; may be repeated.
    #[arg(long, value_name = "URI")]
    pub stun: Vec<ServerUri>,
    /// TURN server for relayed candidates, `turn:host:port?transport=udp|tcp` or `turns:…`; may be
    /// repeated. A name without a port is looked up as RFC 5928 has it.
    #[arg(long, value_name = "URI")]
    pub turn: Vec<ServerUri>,
    /// User name and password at the TURN servers.
    #[command(flatten)]
    pub credentials: CredentialArgs,
    /// How the servers are found and reached.
    #[command(flatten)]
    pub reach: ReachArgs,
    /// Offer relayed candidates only.
    #[arg(long, conflicts_with = "no_relay")]
    pub relay_only: bool,
    /// Offer no relayed candidates.
    #[arg(long)]
    pub no_relay: bool,
    /// Host candidate on this address only; may be repeated.
    #[arg(long, value_name = "ADDRESS", value_parser = bind_address)]
    pub bind: Vec<IpAddr>,
    /// Offer loopback addresses too; they are offered anyway where there is nothing else.
    #[arg(long)]
    pub loopback: bool,
    /// Seconds until a pair must be selected, once the peer is there.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub timeout: u64,
    /// Seconds to wait for the peer.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub wait: u64,
    /// Numbered datagrams to send.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub count: u32,
    /// Milliseconds between two of them.
    #[arg(long, value_name = "MS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub interval: u64,
    /// Octets of each.
    #[arg(long, value_name = "OCTETS", default_value_t = 160, value_parser = clap::value_parser!(u16).range(16..=1200))]
    pub size: u16,
    /// Most loss in percent with which the call still counts as good.
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0)]
    pub max_loss: f64,
    /// One JSON document on standard output instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Runs ICE and the exchange, and prints what they showed.
///
/// # Errors
/// What keeps the test from running: options that contradict each other, no rendezvous, a full
/// room, no peer.
pub async fn run(args: Args) -> anyhow::Result<Verdict> {
    args.reach.learn();
    args.credentials.learn();
    args.stun.iter().chain(&args.turn).for_each(ServerUri::learn);
    if let Some(room) = &args.room {
        output::learn(Kind::Room, &room.to_string());
    }
    for (uris, scheme, option) in
        [(&args.stun, Scheme::Stun, "--stun"), (&args.turn, Scheme::Turn, "--turn")]
    {
        if let Some(uri) = uris.iter().find(|uri| uri.scheme != scheme) {
            bail!("{option} {uri}: that is a URI of the other service");
        }
    }
    if let Some(uri) = args.stun.iter().find(|uri| uri.secure) {
        bail!(
            "--stun {uri}: server-reflexive candidates are asked for over UDP, from the sockets that the call uses; name a stun: server"
        );
    }
    if args.relay_only && args.turn.is_empty() {
        bail!("--relay-only needs a server: --turn turn:host:port");
    }
    let (json, most) = (args.json, args.max_loss);
    let plan = exchange::Plan {
        count: args.count,
        interval: Duration::from_millis(args.interval),
        size: usize::from(args.size),
    };
    let report = run::call(args, plan).await?;
    if json {
        output::json(&report)?;
    } else {
        output::text(print::text(&report))?;
    }
    Ok(if report.is_good(most) { Verdict::Yes } else { Verdict::No })
}

/// A candidate has no zone: the peer would not know which of its interfaces is meant.
fn bind_address(text: &str) -> Result<IpAddr, String> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) if ip.is_unicast_link_local() => {
            Err("a link-local address is no candidate: it means nothing to the peer".into())
        }
        Ok(ip) => Ok(ip),
        Err(_) if text.contains('%') => {
            Err("an address with a zone is no candidate: it means nothing to the peer".into())
        }
        Err(_) => Err("an IPv4 or IPv6 address is needed".into()),
    }
}
