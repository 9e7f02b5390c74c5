//! From one relayed address of this process to another, in memory: the datagram does not pass
//! through the kernel between the two.

use std::ops::Range;

use causeway_net::{Io, Packet, Route, Sample};
use causeway_relay::{Discard, PeerAddress, RelayId, ToClient};

use super::deliver::Leg;
use super::lanes::{Batch, Heading, Lanes};
use super::{Worker, at};
use crate::counters::index;

/// Maximum length of a datagram, IPv4 and IPv6. A longer one could not pass from one socket to the
/// other; it is dropped here, too, or the receiver would get what no peer can send it.
const MAX_LEN: [usize; 2] = [65_507, 65_527];

impl Worker {
    /// Relays `data` of the packet from one relayed address to another of this process, with `tos`
    /// as between the two sockets. Both allocations decide, as if the datagram had been sent and
    /// received; the sender's has already.
    ///
    /// There is no path between the two: no hop decrements the TTL and there is no MTU, so nothing
    /// is fragmented and DONT-FRAGMENT changes nothing.
    pub(super) fn relay_to_relay(
        &mut self,
        now: Sample,
        (from, to): (RelayId, RelayId),
        (data, tos): (Range<usize>, u8),
        packet: &mut Packet<'_>,
        io: &mut Io,
    ) {
        let Some(source) = self.server.advertised(from) else {
            return self.discard(Discard::NotReady);
        };
        if data.len() > MAX_LEN[usize::from(source.is_ipv6())] {
            return self.discard(Discard::TooLong);
        }
        // The other client sees it as its peer.
        let peer = PeerAddress(source.0);
        if to.allocation.worker == self.index {
            self.counters.within.add(1);
            let verdict = self.server.handle_peer(at(now), to, peer, data.len());
            self.peer_verdict(verdict, tos, packet, data, io);
        } else if let Some(lanes) = &mut self.lanes {
            lanes.put(Heading { to, from: peer, tos }, &packet.payload()[data]);
        }
    }

    /// Hands over the datagrams that were collected for other workers.
    pub(super) fn hand_over_datagrams(&mut self, now: Sample) {
        if let Some(lanes) = &mut self.lanes {
            lanes.hand_over_all();
            lanes.tidy(now.monotonic);
            self.counters.crossing_lost.set(lanes.lost());
        }
    }

    /// Takes the datagrams of other workers, as many as fit into a turn. Called once a turn.
    pub(super) fn take_arrivals(&mut self, now: Sample, io: &mut Io) {
        if !self.lanes.as_mut().is_some_and(Lanes::has_arrivals) {
            return;
        }
        while let Some(batch) = self.lanes.as_mut().and_then(Lanes::next) {
            self.take_batch(now, &batch, io);
            if let Some(lanes) = &mut self.lanes {
                lanes.give_back(batch);
            }
        }
        self.carry_out(now, io);
    }

    fn take_batch(&mut self, now: Sample, batch: &Batch, io: &mut Io) {
        for (Heading { to, from, tos }, data) in batch.iter() {
            self.counters.across.add(1);
            match self.server.handle_peer(at(now), *to, *from, data.len()) {
                Ok(to_client) => {
                    if self.copy_to_client(&to_client, data, *tos, io) {
                        self.counters.to_client[index(to_client.client.transport)].add(data.len());
                    }
                }
                Err(discard) => self.discard(discard),
            }
        }
    }

    /// Sends a peer's datagram that does not lie in a packet to the client. Returns whether it was
    /// taken.
    fn copy_to_client(&self, to_client: &ToClient, data: &[u8], tos: u8, io: &mut Io) -> bool {
        let padding = &[0; 3][..usize::from(to_client.padding)];
        let parts = [to_client.prefix.as_bytes(), data, padding];
        let tos = if to_client.carry_tos { tos } else { 0 };
        match self.leg(&to_client.client) {
            Some(Leg::Datagram(route)) => {
                let len = copy(parts, io);
                io.reply(&Route { tos, ..route }, len);
                true
            }
            Some(Leg::Stream(stream)) => {
                let len = copy(parts, io);
                io.reply_frame(stream, len).is_ok()
            }
            Some(Leg::Association(key)) => io.send_secure(key, &parts, tos).is_ok(),
            None => false,
        }
    }
}

/// Copies the parts into the reply buffer, one behind the other. Returns their length.
fn copy(parts: [&[u8]; 3], io: &mut Io) -> usize {
    let (mut len, buffer) = (0, io.reply_buffer());
    for part in parts {
        buffer[len..len + part.len()].copy_from_slice(part);
        len += part.len();
    }
    len
}
