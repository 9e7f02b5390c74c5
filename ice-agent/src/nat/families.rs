//! Runs the tests for IPv4 and IPv6 at the same time, and combines their reports.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::bail;
use causeway_wire::Transport;

use super::document::Document;
use super::network::System;
use super::over_tcp;
use super::over_udp::OverUdp;
use super::pacer::Pacer;
use super::probe_socket::local_address;
use super::report::{Family, Report};
use crate::discovery::{Choice, DiscoveryError, Families};
use crate::reach::Reach;
use crate::uri::ServerUri;

/// Maximum number of addresses of a name that are used, in each family.
const MAX_ADDRESSES: usize = 4;

/// Measures both families, or those that this host can reach. Each starts as soon as its own
/// addresses are known, so that a name server's silence about one family does not delay the other.
///
/// # Errors
/// No server has an address to test with.
pub(super) async fn measure(
    servers: &[ServerUri],
    reach: &Reach,
    transport: Transport,
    timeout: Duration,
) -> anyhow::Result<Document> {
    let pacer = Pacer::default();
    let measured = |family: Family| {
        let pacer = pacer.clone();
        async move {
            if !reach.choice().families.has(family.unspecified()) {
                return (Ok(None), Resolved::default());
            }
            let resolved = resolve(family, servers, reach, transport).await;
            (one(family, &resolved.known, transport, timeout, pacer).await, resolved)
        }
    };
    let ((v4, of_v4), (v6, of_v6)) = tokio::join!(measured(Family::Ipv4), measured(Family::Ipv6));
    let is_named = servers.iter().any(|server| server.host.ip().is_none());
    let is_known = [&of_v4, &of_v6].iter().any(|resolved| !resolved.known.is_empty());
    let mut reports = Vec::new();
    let mut notes: Vec<String> = Vec::new();
    for note in [&of_v4, &of_v6].into_iter().flat_map(|resolved| &resolved.notes) {
        if !notes.contains(note) {
            notes.push(note.clone());
        }
    }
    for (family, measured, resolved) in [(Family::Ipv4, v4, of_v4), (Family::Ipv6, v6, of_v6)] {
        match measured {
            Ok(Some(report)) => reports.push(report),
            Ok(None) if is_known && !resolved.failed.is_empty() => {
                notes.extend(resolved.failed.iter().map(|failed| format!("{family}: {failed}.")));
            }
            // A server given as an address has one family only; that is no news.
            Ok(None)
                if is_named && is_known && reach.choice().families.has(family.unspecified()) =>
            {
                notes.push(format!("{family}: no server has an address of this family."));
            }
            Ok(None) => {}
            Err(error) => notes.push(format!("{family}: {error:#}.")),
        }
        if !is_known {
            let unknown = resolved
                .failed
                .into_iter()
                .chain(resolved.absent)
                .filter(|note| !notes.contains(note))
                .collect::<Vec<_>>();
            notes.extend(unknown);
        }
    }
    let mut reports = reports.into_iter();
    match reports.next() {
        Some(first) => Ok(Document { first, other_family: reports.next(), left_out: notes }),
        None => bail!("{}", notes.join(" ")),
    }
}

/// The addresses of the servers in one family.
#[derive(Debug, Default)]
struct Resolved {
    known: Vec<Vec<SocketAddr>>,
    /// Names that could not be resolved, with the reasons.
    failed: Vec<String>,
    /// Names without an address of the family.
    absent: Vec<String>,
    /// Notes about unused records.
    notes: Vec<String>,
}

async fn resolve(
    family: Family,
    servers: &[ServerUri],
    reach: &Reach,
    transport: Transport,
) -> Resolved {
    let families = if family == Family::Ipv4 { Families::V4 } else { Families::V6 };
    let choice = Choice {
        transport: Some(transport),
        families,
        nat_behaviour: true,
        ..reach.choice().clone()
    };
    let mut resolved = Resolved::default();
    for server in servers {
        match reach.discover_choosing(server, &choice).await {
            Ok(discovered) => {
                let addresses: Vec<SocketAddr> =
                    discovered.attempts().map(|(_, address)| address).collect();
                resolved.notes.extend(discovered.notes);
                if addresses.len() > MAX_ADDRESSES {
                    let number = addresses.len();
                    resolved.notes.push(format!(
                        "{server} has {number} {family} addresses; only \
                        the first {MAX_ADDRESSES} are used."
                    ));
                }
                resolved.known.push(addresses);
            }
            Err(error @ DiscoveryError::NoAddress(_)) => {
                resolved.absent.push(format!("{server}: {error}"));
            }
            Err(error) => resolved.failed.push(format!("{server}: {error}")),
        }
    }
    resolved
}

/// Measures one family; `None` if no server has an address of it.
async fn one(
    family: Family,
    known: &[Vec<SocketAddr>],
    transport: Transport,
    timeout: Duration,
    pacer: Pacer,
) -> anyhow::Result<Option<Report>> {
    let of_family = |addresses: &Vec<SocketAddr>| -> Vec<SocketAddr> {
        addresses
            .iter()
            .copied()
            .filter(|address| family == Family::of(*address))
            .take(MAX_ADDRESSES)
            .collect()
    };
    let servers: Vec<Vec<SocketAddr>> =
        known.iter().map(of_family).filter(|addresses| !addresses.is_empty()).collect();
    let mut unreachable = None;
    for server in servers.iter().flatten() {
        match local_address(*server).await {
            Ok(local) if transport == Transport::Tcp => {
                return over_tcp::run(local, &servers, *server, timeout, pacer).await.map(Some);
            }
            Ok(local) => {
                return OverUdp::new(System, *server, timeout, pacer)
                    .run(local, &servers)
                    .await
                    .map(Some);
            }
            Err(error) => {
                unreachable.get_or_insert_with(|| {
                    anyhow::Error::new(error).context(format!("this host has no route to {server}"))
                });
            }
        }
    }
    unreachable.map_or(Ok(None), Err)
}
