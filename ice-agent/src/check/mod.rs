//! `ice-agent check`: one STUN or TURN server, step by step.
//!
//! A `turn:` server is asked for two allocations, each is permitted to the other, and numbered
//! datagrams go from one to the other and back: first by Send and Data indications, then over
//! channels. A `stun:` server is asked one Binding request.
//!
//! Over TLS and DTLS the server's certificates are shown and verified. At the end it is asked for a
//! relayed address of each family, and of both.
//!
//! `--json` prints one object:
//!
//! | key | value |
//! |---|---|
//! | `uri`, `server`, `transport` | what was checked, the address that it has, and how it was reached |
//! | `ok` | whether every step went well |
//! | `secure` | over TLS and DTLS: `version`, `cipher`, `alpn`, `name`, `verified`, `why_not`, and the `chain` of certificates, each with `subject`, `issuer`, `names`, `not_before`, `not_after`, `days_left`, `key` |
//! | `credentials` | `key`, `integrity` and `user`: how requests were authenticated |
//! | `mapped`, `relayed`, `lifetime_s` | what the server told |
//! | `relay` | `sent`, `received`, `loss_percent`, `reordered`, `duplicated`, `rtt_p50_ms`, `rtt_p99_ms`, `jitter_ms` of the relayed loop |
//! | `families` | `ipv4` and `ipv6`: the relayed address of each family that is to be had; `both`: those of one allocation |
//! | `warnings` | what is well now and will not be before long, such as a certificate of fewer than 14 days |
//! | `notes` | what may be the cause of a failure; sentences for people |
//! | `steps` | each step: `name`, `ok`, `ms`, `detail`; of a failed one the STUN error's `code` and `reason` |

mod certificate;
mod checker;
mod families;
mod first_allocation;
mod quality;
mod relayed_loop;
mod report;
mod requests;
mod secure;
mod sequence;
mod step;
mod targets;

use std::time::Duration;

use causeway_client::Timing;

use crate::arguments::seconds;
use crate::credentials::CredentialArgs;
use crate::discovery::{local_domain, local_uri};
use crate::output;
use crate::reach::ReachArgs;
use crate::redact::Kind;
use crate::uri::{Host, ServerUri};
use crate::verdict::Verdict;

pub use certificate::CertificateReport;
use checker::Checker;
pub use quality::Quality;
use relayed_loop::Load;
pub use report::{CredentialReport, FamiliesReport, Report};
pub use secure::SecureReport;
pub use step::Step;

/// The command line of `ice-agent check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The server: `turn:HOST[:PORT][?transport=udp|tcp]`, `stun:HOST[:PORT]`, or over TLS and
    /// DTLS `turns:` and `stuns:`. A name without a port is looked up as RFC 5928 has it.
    #[arg(value_name = "URI", required_unless_present = "discover")]
    pub server: Option<ServerUri>,
    /// Instead of a URI: check the TURN server of this network, found by the domain that this host
    /// is in or by anycast (RFC 8155).
    #[arg(long, value_name = "DOMAIN", num_args = 0..=1, require_equals = true, conflicts_with = "server")]
    pub discover: Option<Option<Host>>,
    /// User name and password at the TURN server.
    #[command(flatten)]
    pub credentials: CredentialArgs,
    /// How the server is found and reached.
    #[command(flatten)]
    pub reach: ReachArgs,
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
    args.reach.learn();
    args.credentials.learn();
    args.server.iter().for_each(ServerUri::learn);
    for domain in args.discover.iter().flatten().filter_map(Host::name) {
        output::learn(Kind::Host, domain);
    }
    let network =
        args.discover.map(|domain| domain.map(|domain| domain.to_string()).or_else(local_domain));
    let checker = Checker {
        uri: args.server.unwrap_or_else(|| local_uri(network.as_ref().and_then(Option::as_deref))),
        network,
        reach: args.reach.load()?,
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
    let report = checker.run().await;
    for certificate in report.secure.iter().flat_map(|secure| &secure.chain) {
        output::learn(Kind::Certificate, &certificate.subject);
        output::learn(Kind::Certificate, &certificate.issuer);
        certificate.names.iter().for_each(|name| output::learn(Kind::Host, name));
    }
    if args.json {
        output::json(&report)?;
    } else {
        output::text(&report)?;
    }
    Ok(if report.ok { Verdict::Yes } else { Verdict::No })
}

/// Ten requests within the time: where one of five datagrams is lost in each direction, the chance
/// that all come to nothing is below 0.01 %.
// Deviation: RFC 8489 §6.2.1: the waits are not doubled, so that a step that fails has not failed
// because of loss.
fn timing(timeout: Duration) -> Timing {
    let rto = timeout / 10;
    Timing { rto, longest: rto, requests: 10, last_wait: 1, reliable: timeout }
}
