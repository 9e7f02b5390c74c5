//! `ice-agent connect`: ICE between two agents (RFC 8445) with trickled candidates (RFC 8838), then
//! numbered datagrams over the selected pair. docs/ice-agent.md has the JSON form.
//!
//! | noun | file |
//! |---|---|
//! | host candidates | `host.rs`, `sockets.rs` |
//! | reflexive and relayed candidates | `reflexive.rs`, `resolving.rs`, `relay/`, `gathering.rs` |
//! | a candidate, of any type | `candidate.rs` |
//! | the ICE engine and its trace | `ice.rs`, `ice_credentials.rs`, `trace.rs` |
//! | the exchange and its figures | `exchange.rs`, `statistics.rs` |
//! | the call: all of the above without I/O | `call.rs` |
//! | the rendezvous and the room | `meeting.rs`, `signaling.rs` |
//! | sockets, timers and the call together | `run.rs`, `event.rs` |
//! | the report | `report.rs` (the JSON form), `describe.rs`, `print.rs` |

mod arguments;
mod call;
mod candidate;
mod describe;
mod event;
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

use std::time::Duration;

use anyhow::bail;

pub use arguments::Args;
pub use candidate::CandidateType;
pub use gathering::Problem;
pub use statistics::RoundTripFigures;
pub use trace::CheckState;

use crate::output;
use crate::redact::Kind;
use crate::uri::{Scheme, ServerUri};
use crate::verdict::Verdict;

/// Runs ICE and the exchange of datagrams, and prints the report.
///
/// # Errors
/// The test could not run: the options contradict each other, the rendezvous does not answer, the
/// room is full, or no peer came.
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
            bail!("{option} {uri}: expected a {} URI", option.trim_start_matches("--"));
        }
    }
    if let Some(uri) = args.stun.iter().find(|uri| uri.secure) {
        bail!(
            "--stun {uri}: server-reflexive candidates need UDP, since they come from the sockets \
                         of the call; give a stun: URI"
        );
    }
    if args.relay_only && args.turn.is_empty() {
        bail!("--relay-only requires a server: --turn turn:host:port");
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
