//! From one relayed address of this process to another: the datagram does not visit the kernel on
//! its way between the two.

use std::ops::Range;

use causeway_net::{Io, Packet, Route, Sample};
use causeway_relay::{Discard, FiveTuple, RelayId, Transport, Verdict};

use super::lanes::{Batch, Crossing, Envelope};
use super::{Worker, at};
use crate::clients::connections::Connection;
use crate::counters::index;

/// The longest datagram of each family. What is longer would not get from one socket to the other;
/// so it does not here, or a receiver would be sent what no peer can send him.
const MOST: [usize; 2] = [65_507, 65_527];

impl Worker {
    /// From the relayed address `from` to another of this process: `data` of the packet, and with
    /// it `tos` as between the two sockets. Both allocations have their say, as if it had been
    /// sent and received: that of the sender has had it.
    ///
    /// There is no path between the two: no hop that counts the TTL down, no MTU, so that nothing
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
            return self.counters.discarded(Discard::NotReady);
        };
        if data.len() > MOST[usize::from(source.is_ipv6())] {
            return self.counters.discarded(Discard::TooLong);
        }
        if to.allocation.worker == self.index {
            self.counters.within.add(1);
            let verdict = self.server.handle_peer(at(now), to, source, data.len());
            self.peer_verdict(verdict, tos, packet, data, io);
        } else if let Some(crossing) = &mut self.crossing {
            crossing.put(Envelope { to, from: source, tos }, &packet.payload()[data]);
        }
    }

    /// What was collected for other workers leaves for them.
    pub(super) fn depart(&mut self, now: Sample) {
        if let Some(crossing) = &mut self.crossing {
            crossing.depart();
            crossing.tidy(now.monotonic);
            self.counters.crossing_lost.set(crossing.lost());
        }
    }

    /// Takes what other workers have sent, as far as a turn goes. Once a turn.
    pub(super) fn take_arrivals(&mut self, now: Sample, io: &mut Io) {
        if !self.crossing.as_mut().is_some_and(Crossing::has_arrivals) {
            return;
        }
        while let Some(batch) = self.crossing.as_mut().and_then(Crossing::next) {
            self.take_batch(now, &batch, io);
            if let Some(crossing) = &mut self.crossing {
                crossing.give_back(batch);
            }
        }
        self.carry_out(now, io);
    }

    fn take_batch(&mut self, now: Sample, batch: &Batch, io: &mut Io) {
        for (Envelope { to, from, tos }, data) in batch.iter() {
            self.counters.across.add(1);
            match self.server.handle_peer(at(now), *to, *from, data.len()) {
                Verdict::ToClient { client, prefix, padding, carry_tos } => {
                    let tos = if carry_tos { *tos } else { 0 };
                    if self.copy_to_client(
                        &client,
                        [prefix.as_bytes(), data, &[0; 3][..padding]],
                        tos,
                        io,
                    ) {
                        self.counters.to_client[index(client.transport)].add(data.len());
                    }
                }
                Verdict::Discard(discard) => self.counters.discarded(discard),
                Verdict::Later
                | Verdict::ToPeer { .. }
                | Verdict::Notify { .. }
                | Verdict::Respond(_) => {}
            }
        }
    }

    /// Sends a message to a client whose parts do not lie in a packet. Whether it was taken.
    fn copy_to_client(&self, client: &FiveTuple, parts: [&[u8]; 3], tos: u8, io: &mut Io) -> bool {
        let connection = match client.transport {
            Transport::Udp => None,
            Transport::Tcp | Transport::Tls | Transport::Dtls => {
                match self.connections.find(client) {
                    Some(Connection::Association(key)) => {
                        return io.send_secure(key, &parts, tos).is_ok();
                    }
                    Some(Connection::Stream(stream)) => Some(stream),
                    None => return false,
                }
            }
        };
        let mut len = 0;
        let room = io.reply_buffer();
        for part in parts {
            room[len..len + part.len()].copy_from_slice(part);
            len += part.len();
        }
        match connection {
            Some(stream) => io.reply_frame(stream, len).is_ok(),
            None => {
                self.route(client).map(|route| io.reply(&Route { tos, ..route }, len)).is_some()
            }
        }
    }
}
