//! Requests over a TURN leg, each waited for until it is answered.

use std::net::{IpAddr, SocketAddr};

use causeway_client::{Allocated, Event, Failure};

use super::step::StepError;
use crate::net::turn_leg::TurnLeg;

/// RFC 8656 §7, which the leg has asked for when it was made.
pub(super) async fn allocated(leg: &mut TurnLeg) -> Result<Allocated, StepError> {
    until(leg, |event| match event {
        Event::Allocated(allocated) => Some(*allocated),
        _ => None,
    })
    .await
}

/// RFC 8656 §10.
pub(super) async fn permit(leg: &mut TurnLeg, peer: IpAddr) -> Result<(), StepError> {
    leg.permit(peer)?;
    until(leg, |event| (*event == Event::PermissionInstalled { peer }).then_some(())).await
}

/// RFC 8656 §12; the channel's number.
pub(super) async fn bind(leg: &mut TurnLeg, peer: SocketAddr) -> Result<u16, StepError> {
    leg.bind(peer)?;
    until(leg, |event| match event {
        Event::ChannelBound { peer: bound, number } if *bound == peer => Some(number.number()),
        _ => None,
    })
    .await
}

/// RFC 8656 §8.1.
pub(super) async fn close(leg: TurnLeg) -> Result<(), StepError> {
    if leg.close_patiently().await { Ok(()) } else { Err(Failure::TimedOut.into()) }
}

/// Runs until an event is what is waited for, or a failure. Data that comes meanwhile is dropped.
async fn until<T>(leg: &mut TurnLeg, wanted: impl Fn(&Event) -> Option<T>) -> Result<T, StepError> {
    loop {
        leg.flush().await?;
        while let Some(event) = leg.poll_event() {
            if let Some(found) = wanted(&event) {
                return Ok(found);
            }
            match event {
                Event::Failed { failure, .. } => return Err(failure.into()),
                Event::Lost(_) => return Err(StepError::Lost),
                _ => {}
            }
        }
        leg.wait().await?;
    }
}
