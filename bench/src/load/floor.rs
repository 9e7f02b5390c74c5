//! The fleet's setup with a floor forwarder, which has no users.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Result, ensure};

use crate::load::Fleet;

const TAG: &[u8; 4] = b"FLR1";
const LENGTH: usize = 10;
const UNDER_WAY: usize = 64;
/// Nanoseconds after which a client repeats its request.
const AGAIN: u64 = 500_000_000;
const PATIENCE: u64 = 6 * AGAIN;

impl Fleet {
    /// Sends each client's peer to the floor and stores the relayed addresses.
    pub(super) fn bind_floor(&mut self) -> Result<()> {
        let count = self.scenario.allocations;
        let mut known = vec![false; count];
        let start = self.clock.now();
        for first in (0..count).step_by(UNDER_WAY) {
            let group = first..count.min(first + UNDER_WAY);
            let mut asked = None;
            while !known[group.clone()].iter().all(|known| *known) {
                let now = self.clock.now();
                ensure!(now < start + PATIENCE, "the floor does not answer");
                if asked.is_none_or(|asked| now > asked + AGAIN) {
                    for client in group.clone().filter(|client| !known[*client]) {
                        let request = encode(self.flows.peers[client]);
                        self.legs.push(client, self.server, 0, |room| {
                            room[..LENGTH].copy_from_slice(&request);
                            LENGTH
                        })?;
                    }
                    self.legs.flush()?;
                    asked = Some(now);
                }
                let Self { legs, flows, server, .. } = self;
                let count = legs.receive(*server, |client, message, genuine| {
                    if let (Some(relayed), true) = (decode(message), genuine) {
                        (flows.relayed[client], known[client]) = (relayed, true);
                    }
                })?;
                if count == 0 {
                    self.idle.wait(self.clock, None, [self.legs.fd(), self.peers.fd()])?;
                } else {
                    self.idle.busy();
                }
            }
        }
        Ok(())
    }
}

fn encode(peer: SocketAddr) -> [u8; LENGTH] {
    let address = match peer {
        SocketAddr::V4(peer) => *peer.ip(),
        SocketAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    };
    let mut message = [0; LENGTH];
    message[..4].copy_from_slice(TAG);
    message[4..8].copy_from_slice(&address.octets());
    message[8..].copy_from_slice(&peer.port().to_be_bytes());
    message
}

fn decode(message: &[u8]) -> Option<SocketAddr> {
    let (address, port) = message.strip_prefix(TAG)?.split_first_chunk::<4>()?;
    Some((Ipv4Addr::from(*address), u16::from_be_bytes(port.try_into().ok()?)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_the_trip() {
        let address: SocketAddr = "127.0.0.1:40123".parse().unwrap();
        assert_eq!(decode(&encode(address)), Some(address));
        assert_eq!(decode(b"FLR2\x7f\0\0\x01\0\x01"), None);
        assert_eq!(decode(b"FLR1\x7f\0\0\x01\0"), None);
    }
}
