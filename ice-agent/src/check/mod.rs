//! `ice-agent check`: one STUN or TURN server, step by step.
//!
//! A `turn:` server is asked for two allocations, each is permitted to the other, and numbered datagrams go from one to the other and back:
//! first by Send and Data indications, then over channels. A `stun:` server is asked one Binding request.
//!
//! `--json` prints one object:
//!
//! | key | value |
//! |---|---|
//! | `uri`, `server` | what was checked, and the address that it has |
//! | `ok` | whether every step went well |
//! | `mapped`, `relayed`, `lifetime_s` | what the server told |
//! | `relay` | `sent`, `received`, `loss_percent`, `reordered`, `duplicated`, `rtt_p50_ms`, `rtt_p99_ms`, `jitter_ms` of the relayed loop |
//! | `notes` | what may be the cause of a failure; sentences for people |
//! | `steps` | each step: `name`, `ok`, `ms`, `detail`; of a failed one the STUN error's `code` and `reason` |

mod binding;
mod measure;
mod relay;
mod relayed_loop;
mod report;
mod step;
mod steps;

use std::time::Duration;

use causeway_client::Timing;

use crate::credentials::CredentialArgs;
use crate::nat::seconds;
use crate::uri::ServerUri;
use crate::verdict::Verdict;

pub use binding::binding;
pub use measure::Quality;
pub use relay::{Datagram, Relay};
use relayed_loop::Load;
pub use report::Report;
pub use step::{Step, StepError};
use steps::Check;

/// The command line of `ice-agent check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The server: `turn:HOST[:PORT][?transport=udp|tcp]`, or `stun:HOST[:PORT]`.
    #[arg(value_name = "URI")]
    pub server: ServerUri,
    /// User name and password at the TURN server.
    #[command(flatten)]
    pub credentials: CredentialArgs,
    /// How many datagrams to relay.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub count: u32,
    /// Time between two of them, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub interval: u64,
    /// Their size in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 160, value_parser = clap::value_parser!(u16).range(12..=1400))]
    pub size: u16,
    /// More loss than this fails the check.
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0)]
    pub max_loss: f64,
    /// How long each step waits for the server, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub timeout: Duration,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Runs the check and prints the report. [`Verdict::No`] if a step failed.
///
/// # Errors
/// The credentials cannot be read.
pub async fn run(args: Args) -> anyhow::Result<Verdict> {
    let check = Check {
        uri: args.server,
        credentials: args.credentials.load()?,
        timing: timing(args.timeout),
        load: Load {
            count: args.count,
            interval: Duration::from_millis(args.interval),
            size: args.size.into(),
            patience: args.timeout.min(Duration::from_secs(2)),
        },
        max_loss_percent: args.max_loss,
    };
    let report = check.run().await;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(if report.ok { Verdict::Yes } else { Verdict::No })
}

/// Four requests within the time.
fn timing(timeout: Duration) -> Timing {
    Timing { rto: timeout / 10, requests: 4, last_wait: 3, reliable: timeout }
}
