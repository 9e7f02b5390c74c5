//! The command line of `ice-agent connect`.

use std::net::IpAddr;

use crate::credentials::CredentialArgs;
use crate::reach::ReachArgs;
use crate::rendezvous::RoomName;
use crate::uri::ServerUri;

/// The command line of `ice-agent connect`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// URL of an `ice-agent rendezvous`, `http[s]://host[:port][/path]`. The first agent makes a
    /// secret room and prints a link; give that link to the other agent here.
    // Parsed later, since clap's errors would repeat the value.
    #[arg(long, value_name = "URL", env = "ICE_AGENT_RENDEZVOUS", hide_env_values = true)]
    pub rendezvous: String,
    /// Name of the room, which both agents give instead of a link. An outsider who guesses the name
    /// can join.
    #[arg(long, value_name = "NAME")]
    pub room: Option<RoomName>,
    /// STUN server for server-reflexive candidates, `stun:host:port`; may be repeated.
    #[arg(long, value_name = "URI")]
    pub stun: Vec<ServerUri>,
    /// TURN server for relayed candidates, `turn:host:port?transport=udp|tcp` or `turns:…`; may be
    /// repeated. A name without a port is resolved with SRV and NAPTR records (RFC 5928).
    #[arg(long, value_name = "URI")]
    pub turn: Vec<ServerUri>,
    /// User name and password for the TURN servers.
    #[command(flatten)]
    pub credentials: CredentialArgs,
    /// How to find and reach the servers.
    #[command(flatten)]
    pub reach: ReachArgs,
    /// Offer relayed candidates only.
    #[arg(long, conflicts_with = "no_relay")]
    pub relay_only: bool,
    /// Offer no relayed candidates.
    #[arg(long)]
    pub no_relay: bool,
    /// Offer a host candidate on this address only; may be repeated.
    #[arg(long, value_name = "ADDRESS", value_parser = bind_address)]
    pub bind: Vec<IpAddr>,
    /// Offer loopback addresses too; they are offered anyway if there are no others.
    #[arg(long)]
    pub loopback: bool,
    /// Time to select a pair after the peer has come, in seconds.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 20,
        value_parser = clap::value_parser!(u64).range(1..=600)
    )]
    pub timeout: u64,
    /// Time to wait for the peer, in seconds.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    pub wait: u64,
    /// Number of datagrams to send.
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
        default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..=10_000)
    )]
    pub interval: u64,
    /// Size of each datagram, in bytes.
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = 160,
        value_parser = clap::value_parser!(u16).range(16..=1200)
    )]
    pub size: u16,
    /// Maximum loss; more fails the test.
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0)]
    pub max_loss: f64,
    /// Print JSON instead of tables.
    #[arg(long)]
    pub json: bool,
}

/// Parses an address for a host candidate. A candidate cannot have a zone, which is valid on one
/// host only.
fn bind_address(text: &str) -> Result<IpAddr, String> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) if ip.is_unicast_link_local() => {
            Err("a link-local address cannot be a candidate: the peer cannot use it".into())
        }
        Ok(ip) => Ok(ip),
        Err(_) if text.contains('%') => {
            Err("an address with a zone cannot be a candidate: the peer cannot use it".into())
        }
        Err(_) => Err("expected an IPv4 or IPv6 address".into()),
    }
}
