//! ICE between two agents.

use crate::credentials::CredentialArgs;
use crate::uri::ServerUri;
use crate::verdict::Verdict;

/// The command line of `ice-agent connect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// STUN server for server-reflexive candidates, `stun:host:port`; may be repeated.
    #[arg(long, value_name = "URI")]
    pub stun: Vec<ServerUri>,
    /// TURN server for relayed candidates, `turn:host:port?transport=udp|tcp`; may be repeated.
    #[arg(long, value_name = "URI")]
    pub turn: Vec<ServerUri>,
    /// User name and password at the TURN servers.
    #[command(flatten)]
    pub credentials: CredentialArgs,
}

/// Runs ICE and the exchange.
///
/// # Errors
/// What keeps the test from running.
pub async fn run(args: Args) -> anyhow::Result<Verdict> {
    args.credentials.load()?;
    anyhow::bail!("connect: not built yet")
}
