//! Where two agents find each other: an HTTP long-poll room.

use std::net::SocketAddr;

use crate::verdict::Verdict;

/// The command line of `ice-agent rendezvous`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address to listen on.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8088")]
    pub listen: SocketAddr,
}

/// Serves until interrupted.
///
/// # Errors
/// The address cannot be bound.
pub async fn run(args: Args) -> anyhow::Result<Verdict> {
    let listener = tokio::net::TcpListener::bind(args.listen).await?;
    anyhow::bail!("{}: not served yet", listener.local_addr()?)
}
