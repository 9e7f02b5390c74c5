//! IPv4 and IPv6, each by itself.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::bail;

use super::discovery::Discovery;
use super::document::Document;
use super::over_tcp;
use super::pace::Pace;
use super::probe::local_address;
use super::report::{Family, Report};
use crate::discovery::Choice;
use crate::net::target::Transport;
use crate::uri::ServerUri;
use crate::ways::Ways;

/// So many of the addresses that a name resolves to are used, in each family.
const MAX_ADDRESSES: usize = 4;

/// Measures both families, or those that there is a way for.
///
/// # Errors
/// No server has an address that could be asked.
pub(super) async fn measure(servers: &[ServerUri], ways: &Ways, transport: Transport, timeout: Duration) -> anyhow::Result<Document> {
    let choice = Choice { transport: Some(transport), nat_behaviour: true, ..ways.choice().clone() };
    let mut known: Vec<Vec<SocketAddr>> = Vec::new();
    let mut notes = Vec::new();
    for server in servers {
        match ways.discover_choosing(server, &choice).await {
            Ok(discovered) => known.push(discovered.attempts().map(|(_, address)| address).collect()),
            Err(error) => notes.push(format!("{server}: {error}")),
        }
    }
    let pace = Pace::default();
    let measured = |family| one(family, &known, transport, timeout, pace.clone());
    let (v4, v6) = tokio::join!(measured(Family::Ipv4), measured(Family::Ipv6));
    let is_named = servers.iter().any(|server| server.host.ip().is_none());
    let mut reports = Vec::new();
    for (family, measured) in [(Family::Ipv4, v4), (Family::Ipv6, v6)] {
        match measured {
            Ok(Some(report)) => reports.push(report),
            // Whoever gives an address means its family.
            Ok(None) if is_named && !known.is_empty() && choice.families.has(family.unspecified()) => {
                notes.push(format!("{family}: no server has such an address."));
            }
            Ok(None) => {}
            Err(error) => notes.push(format!("{family}: {error:#}.")),
        }
    }
    let mut reports = reports.into_iter();
    match reports.next() {
        Some(first) => Ok(Document { first, other_family: reports.next(), left_out: notes }),
        None => bail!("{}", notes.join(" ")),
    }
}

/// One family, if a server has an address of it.
async fn one(
    family: Family,
    known: &[Vec<SocketAddr>],
    transport: Transport,
    timeout: Duration,
    pace: Pace,
) -> anyhow::Result<Option<Report>> {
    let of_family = |addresses: &Vec<SocketAddr>| -> Vec<SocketAddr> {
        addresses.iter().copied().filter(|address| family == Family::of(*address)).take(MAX_ADDRESSES).collect()
    };
    let servers: Vec<Vec<SocketAddr>> = known.iter().map(of_family).filter(|addresses| !addresses.is_empty()).collect();
    let mut unreachable = None;
    for server in servers.iter().flatten() {
        match local_address(*server).await {
            Ok(local) if transport == Transport::Tcp => return over_tcp::run(local, &servers, *server, timeout, pace).await.map(Some),
            Ok(local) => return Discovery::new(*server, timeout, pace).run(local, &servers).await.map(Some),
            Err(error) => {
                unreachable.get_or_insert_with(|| anyhow::Error::new(error).context(format!("this host has no way to {server}")));
            }
        }
    }
    unreachable.map_or(Ok(None), Err)
}
