//! Hole punching with bare sockets: whether two sites can talk directly, with no ICE in the way of
//! the answer.

use std::net::SocketAddr;
use std::time::Duration;

use crate::{Lab, LabError, UdpProbe};

/// Rounds of sending to every known address of the other side. Two suffice: the first opens the
/// filters.
const ROUNDS: usize = 4;
const ROUND: Duration = Duration::from_millis(120);
const FIRST_ANSWER: Duration = Duration::from_millis(500);

/// Tries to connect sites 0 and 1 directly: each learns its external address from the server, tells
/// the other side, and both send at once, and also to whatever address the other is then seen to
/// send from. True when each has heard the other.
///
/// # Errors
/// [`LabError`] when the lab breaks.
pub fn punch(lab: &Lab) -> Result<bool, LabError> {
    let mut server =
        UdpProbe::bind(&lab.server.namespace, SocketAddr::new(lab.server.address(), 3478))?;
    let mut sides = [Side::new(lab, 0, &mut server)?, Side::new(lab, 1, &mut server)?];
    for side in 0..2 {
        let known = sides[1 - side].mapped;
        sides[side].destinations.extend(known);
    }
    for _ in 0..ROUNDS {
        for side in &mut sides {
            for &to in &side.destinations {
                side.probe.send(to, "punch")?;
            }
        }
        for side in &mut sides {
            side.collect();
        }
        if sides.iter().all(|side| side.heard) {
            return Ok(true);
        }
    }
    Ok(false)
}

struct Side {
    probe: UdpProbe,
    /// Its external address towards the server; `None` when it cannot send UDP.
    mapped: Option<SocketAddr>,
    /// Where the other side may be.
    destinations: Vec<SocketAddr>,
    heard: bool,
}

impl Side {
    fn new(lab: &Lab, index: usize, server: &mut UdpProbe) -> Result<Self, LabError> {
        let client = &lab.sites[index].client;
        let mut probe = UdpProbe::bind(&client.namespace, SocketAddr::new(client.address(), 0))?;
        let mut mapped = None;
        for _ in 0..3 {
            probe.send(server.address(), "who am I")?;
            mapped = server.receive(FIRST_ANSWER).map(|arrival| arrival.from);
            if mapped.is_some() {
                break;
            }
        }
        Ok(Self { probe, mapped, destinations: Vec::new(), heard: false })
    }

    fn collect(&mut self) {
        while let Some(arrival) = self.probe.receive(ROUND) {
            self.heard = true;
            if !self.destinations.contains(&arrival.from) {
                self.destinations.push(arrival.from);
            }
        }
    }
}
