//! `ice-agent check`: one STUN or TURN server, step by step. docs/ice-agent.md has the JSON form.
//!
//! At a `turn:` server two allocations permit each other, and numbered datagrams go from one to
//! the other and back: first in Send and Data indications, then over channels. At the end the check
//! requests a relayed address of each family, and of both. A `stun:` server gets one Binding
//! request. Over TLS and DTLS the server's certificates are shown and verified.

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
    /// The server: `turn:HOST[:PORT][?transport=udp|tcp]` or `stun:HOST[:PORT]`; over TLS and DTLS
    /// `turns:` or `stuns:`. A name without a port is resolved with SRV and NAPTR records (RFC
    /// 5928).
    #[arg(value_name = "URI", required_unless_present = "discover")]
    pub server: Option<ServerUri>,
    /// Check the TURN server of this network instead of a URI; it is found by the domain of this
    /// host or by anycast (RFC 8155).
    #[arg(
        long,
        value_name = "DOMAIN",
        num_args = 0..=1,
        require_equals = true,
        conflicts_with = "server"
    )]
    pub discover: Option<Option<Host>>,
    /// User name and password for the TURN server.
    #[command(flatten)]
    pub credentials: CredentialArgs,
    /// How to find and reach the server.
    #[command(flatten)]
    pub reach: ReachArgs,
    /// Number of datagrams to relay.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 50,
        value_parser = clap::value_parser!(u32).range(1..=100_000)
    )]
    pub count: u32,
    /// Time between two datagrams, in milliseconds.
    #[arg(
        long,
        value_name = "MS",
        default_value_t = 20,
        value_parser = clap::value_parser!(u64).range(1..=10_000)
    )]
    pub interval: u64,
    /// Size of each datagram, in bytes.
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = 160,
        value_parser = clap::value_parser!(u16).range(12..=1400)
    )]
    pub size: u16,
    /// Maximum loss; more fails the check.
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0)]
    pub max_loss: f64,
    /// Timeout of each step, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub timeout: Duration,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Runs the check and prints the report. Returns [`Verdict::No`] if a step failed.
///
/// # Errors
/// The credentials, the certificates or the proxy cannot be read.
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

/// Ten requests within the timeout: if one of five datagrams is lost in each direction, the chance
/// that none of them is answered is below 0.01 %.
// Deviation: RFC 8489 §6.2.1: the waits are not doubled, so that loss alone does not fail a step.
fn timing(timeout: Duration) -> Timing {
    let rto = timeout / 10;
    Timing { rto, longest: rto, requests: 10, last_wait: 1, reliable: timeout }
}
