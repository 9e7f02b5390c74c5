//! Requests over a TURN connection, each awaited until the server answers.

use std::net::{IpAddr, SocketAddr};

use causeway_client::{Allocated, Event, Failure};

use crate::probe::ProbeError;
use crate::transport::turn::TurnConnection;

/// Waits for the allocation that the connection requested when it was made (RFC 8656 §7).
pub(super) async fn allocated(connection: &mut TurnConnection) -> Result<Allocated, ProbeError> {
    until(connection, |event| match event {
        Event::Allocated(allocated) => Some(*allocated),
        _ => None,
    })
    .await
}

/// Installs a permission (RFC 8656 §10).
pub(super) async fn permit(
    connection: &mut TurnConnection,
    peer: IpAddr,
) -> Result<(), ProbeError> {
    connection.permit(peer)?;
    until(connection, |event| (*event == Event::PermissionInstalled { peer }).then_some(())).await
}

/// Binds a channel (RFC 8656 §12) and returns its number.
pub(super) async fn bind(
    connection: &mut TurnConnection,
    peer: SocketAddr,
) -> Result<u16, ProbeError> {
    connection.bind(peer)?;
    until(connection, |event| match event {
        Event::ChannelBound { peer: bound, number } if *bound == peer => Some(number.number()),
        _ => None,
    })
    .await
}

/// Deletes the allocation (RFC 8656 §8.1).
pub(super) async fn close(connection: TurnConnection) -> Result<(), ProbeError> {
    if connection.close_patiently().await { Ok(()) } else { Err(Failure::TimedOut.into()) }
}

/// Runs the connection until `wanted` accepts an event, or a request fails. Relayed data that
/// arrives meanwhile is dropped.
async fn until<T>(
    connection: &mut TurnConnection,
    wanted: impl Fn(&Event) -> Option<T>,
) -> Result<T, ProbeError> {
    loop {
        connection.flush().await?;
        while let Some(event) = connection.poll_event() {
            if let Some(found) = wanted(&event) {
                return Ok(found);
            }
            match event {
                Event::Failed { failure, .. } => return Err(failure.into()),
                Event::Lost(_) => return Err(ProbeError::Lost),
                _ => {}
            }
        }
        connection.wait().await?;
    }
}
