//! One worker's share of the service. A datagram enters through `net`, is decided in `relay`, and
//! leaves through `net`; [`Worker`] joins the three.
//!
//! `deliver` carries verdicts to the sockets, `relay_to_relay` and `lanes` to other clients of this
//! process; `effects` does what the core asks for, `search` finds relayed ports, `restore` brings
//! stored allocations back, `account` writes accounts, `logging` the log;
//! `parts` makes a worker.

mod account;
mod deliver;
mod effects;
mod lanes;
mod logging;
mod parts;
mod relay_to_relay;
mod restore;
mod search;
#[cfg(test)]
mod tests;

pub(crate) use lanes::Lanes;
pub(crate) use parts::{Parts, Shared};

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use causeway_daemon::log::{self, LimitedAnswers};
use causeway_daemon::service::listeners::UdpListener;
use causeway_net::{
    Admission, Arrival, AssociationInfo, IcmpError, Io, Malformed, Packet, Rejection, Sample,
    Service, SocketKey, StreamEnd, StreamInfo, UdpOptions,
};
use causeway_relay::{Command, FiveTuple, IcmpNotice, Now, PeerAddress, Server, Transport};
use causeway_wire::stream;
use rand::rngs::StdRng;

use crate::accounts::Accounts;
use crate::capacity::Capacity;
use crate::clients::connections::{Connection, Connections, of_association, of_stream};
use crate::clients::proxied::Proxied;
use crate::clients::quota::UserQuota;
use crate::counters::Counters;
use crate::mail::Mail;
use crate::ports::holders::Holders;
use crate::ports::pool::PortPools;
use crate::ports::reservations::Reservations;
use crate::ports::sockets::{RelaySockets, Socket};
use crate::store::journal::Journal;
use crate::store::keys::KeyQuestions;
use logging::LoggedReasons;
use restore::Waiting;
use search::Searches;

/// Maximum number of connections without an allocation that are closed in one turn.
const ENDINGS: usize = 64;

/// One worker's share of the service.
pub(crate) struct Worker {
    pub(crate) index: u16,
    pub(crate) server: Server<UserQuota, StdRng>,
    /// The ledger of `server`: it also tells why an allocation was refused.
    pub(crate) quota: UserQuota,
    pub(crate) listeners: Vec<UdpListener>,
    pub(crate) relays: RelaySockets,
    pub(crate) connections: Connections,
    /// The proxies of plain UDP clients that have one.
    pub(crate) proxied: Proxied,
    pub(crate) pools: Arc<PortPools>,
    /// How relayed sockets are opened.
    pub(crate) relayed_options: UdpOptions,
    /// The holder of each relayed address, at all workers.
    pub(crate) relayed: Arc<Holders>,
    /// The lanes to and from the other workers; `None` for a single worker.
    pub(crate) lanes: Option<Lanes>,
    /// The reserved ports of all workers.
    pub(crate) reservations: Arc<Reservations>,
    /// Whether new allocations can be made, over all workers.
    pub(crate) capacity: Arc<Capacity>,
    /// Stored allocations whose ports another program still holds.
    pub(crate) waiting: Waiting,
    /// Searches for relayed ports that take more than one turn.
    pub(crate) searches: Searches,
    pub(crate) rng: StdRng,
    pub(crate) counters: Arc<Counters>,
    /// Hashes a 5-tuple to the session id of log lines.
    pub(crate) sessions: RandomState,
    /// The accounts of this worker's allocations.
    pub(crate) accounts: Accounts,
    /// The changes for the store, if there is one.
    pub(crate) journal: Option<Journal>,
    /// Asks the store for keys, if it has users.
    pub(crate) keys: Option<KeyQuestions>,
    pub(crate) limited_answers: LimitedAnswers,
    pub(crate) logged_reasons: LoggedReasons,
}

impl Service for Worker {
    type Message = Mail;

    fn datagram(&mut self, now: Sample, arrival: &Arrival, packet: &mut Packet<'_>, io: &mut Io) {
        match Socket::from_tag(arrival.tag, self.index) {
            Socket::Listener => {
                let from = self.client(now, arrival, io);
                let verdict =
                    self.server.handle_client(at(now), &from, packet.payload(), io.reply_buffer());
                self.client_verdict(now, &from, verdict, arrival.tos, packet, io);
            }
            Socket::Relay(relay) => {
                let verdict = self.server.handle_peer(
                    at(now),
                    relay,
                    PeerAddress(arrival.source),
                    packet.payload().len(),
                );
                let whole = 0..packet.payload().len();
                self.peer_verdict(verdict, arrival.tos, packet, whole, io);
            }
        }
        self.carry_out(now, io);
    }

    fn accepted(&mut self, now: Sample, stream: &StreamInfo, io: &mut Io) -> Admission {
        self.replace(now, &of_stream(stream), io);
        self.admit(now, &of_stream(stream), Connection::Stream(stream.key), 0)
    }

    fn secured(&mut self, now: Sample, stream: &StreamInfo, _: &mut Io) {
        let before = of_stream(&StreamInfo { secure: false, ..*stream });
        self.connections.rename(now.monotonic, &before, &of_stream(stream));
    }

    fn frame_len(&mut self, _: &StreamInfo, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        stream::frame_len(bytes).map_err(|_| Malformed)
    }

    fn frame(&mut self, now: Sample, stream: &StreamInfo, frame: &mut Packet<'_>, io: &mut Io) {
        let from = of_stream(stream);
        let verdict = self.server.handle_client(at(now), &from, frame.payload(), io.reply_buffer());
        // RFC 8656 §15: from a stream, the IP layer's fields have their defaults.
        self.client_verdict(now, &from, verdict, 0, frame, io);
        self.carry_out(now, io);
    }

    fn rejected(&mut self, _: Sample, rejection: &Rejection) {
        log::refusal(&rejection.into());
    }

    fn closed(&mut self, now: Sample, stream: &StreamInfo, _: StreamEnd, io: &mut Io) {
        self.client_gone(now, &of_stream(stream), io);
    }

    fn associated(&mut self, now: Sample, association: &AssociationInfo, _: &mut Io) -> Admission {
        self.admit(
            now,
            &of_association(association),
            Connection::Association(association.key),
            association.tag,
        )
    }

    fn dissociated(&mut self, now: Sample, association: &AssociationInfo, io: &mut Io) {
        self.client_gone(now, &of_association(association), io);
    }

    fn icmp(&mut self, now: Sample, socket: SocketKey, tag: u64, error: &IcmpError, io: &mut Io) {
        let Socket::Relay(relay) = Socket::from_tag(tag, self.index) else { return };
        if self.relays.get(relay) != Some(socket) {
            return;
        }
        let notice =
            IcmpNotice { kind: error.kind, code: error.code, data: u32::from_be_bytes(error.data) };
        let verdict = self.server.handle_icmp(
            at(now),
            relay,
            PeerAddress(error.peer),
            &notice,
            io.reply_buffer(),
        );
        self.notice_verdict(verdict, io);
        self.carry_out(now, io);
    }

    fn message(&mut self, now: Sample, mail: Mail, io: &mut Io) {
        match mail {
            Mail::Stop => io.stop(),
            Mail::Changes { limit } => {
                if let Some(journal) = &mut self.journal {
                    journal.give(&self.counters, &mut self.server, &self.proxied, (at(now), limit));
                }
            }
            Mail::Key { username, answer } => {
                self.server.handle_key(at(now), &username, answer);
                self.answer_parked(now, io);
            }
            Mail::Command(command) => {
                self.server.handle_command(at(now), command);
                self.carry_out(now, io);
            }
            Mail::OfferAll { round } => {
                if let Some(journal) = &mut self.journal {
                    journal.offer_all(&self.counters, &mut self.server, round);
                }
            }
            Mail::Leave(reply) => {
                if let Some(journal) = &mut self.journal {
                    journal.stop(&mut self.server);
                }
                // The control side may have stopped waiting.
                let _told = reply.send(self.account_stop(now));
            }
            Mail::Adopt(left) => self.restore_late(now, left, io),
            // It has woken the loop; the lanes are looked into at the end of the turn.
            Mail::Lanes => {}
        }
    }

    fn next_deadline(&self) -> Option<Duration> {
        let at_once = self.lanes.as_ref().is_some_and(Lanes::has_more).then_some(Duration::ZERO);
        let (connections, reservations) =
            (self.connections.next_deadline(), self.reservations.next_expiry());
        let accounts = self.accounts.next_deadline();
        let (searches, waiting) = (self.searches.next_deadline(), self.waiting.next_deadline());
        let deadlines = [
            at_once,
            self.server.poll_timeout(),
            connections,
            reservations,
            accounts,
            searches,
            waiting,
        ];
        deadlines.into_iter().flatten().min()
    }

    fn timeout(&mut self, now: Sample, io: &mut Io) {
        self.server.handle_timeout(at(now));
        self.answer_parked(now, io);
        for unclaimed in self.reservations.expire(now.monotonic) {
            self.pools.give_back(unclaimed);
        }
        self.searches.take_back(now.monotonic, &self.pools);
        self.restore_waiting(now, io);
        self.account_due(now);
        // If more are due, the deadline has passed already, and the next turn begins at once.
        for _ in 0..ENDINGS {
            let Some((five_tuple, connection)) = self.connections.due(now.monotonic) else { break };
            // H14: the time of a connection without an allocation is over.
            if self.server.allocation(&five_tuple).is_none() {
                tracing::debug!(
                    session = %self.session(&five_tuple),
                    "closing a connection without an allocation"
                );
                match connection {
                    Connection::Stream(stream) => io.close_stream(stream),
                    Connection::Association(association) => io.close_association(association),
                }
                self.client_gone(now, &five_tuple, io);
            }
        }
    }

    fn after_batch(&mut self, now: Sample, io: &mut Io) {
        // Once a turn, not once a message: messages that arrive while the mailbox is drained would
        // make the turn longer without bound.
        self.take_arrivals(now, io);
        self.go_on_searching(now, io);
        self.hand_over_datagrams(now);
        self.accounts.send(now.monotonic);
        if let Some(journal) = &mut self.journal {
            journal.announce(&self.counters, self.server.unwritten());
        }
        self.counters.fill(&self.server.gauges());
    }
}

impl Worker {
    /// The 5-tuple of a datagram that arrived at a listener. Behind a proxy, the client's address
    /// is the one that the proxy names, and the server's is the one that the proxy sends to: the
    /// address between client and proxy is not an address of this server.
    fn client(&mut self, now: Sample, arrival: &Arrival, io: &Io) -> FiveTuple {
        let Some(proxy) = arrival.via else {
            let transport =
                if arrival.association.is_some() { Transport::Dtls } else { Transport::Udp };
            return FiveTuple { client: arrival.source, server: arrival.destination, transport };
        };
        let port = io.local_addr(arrival.socket).map_or(0, |local| local.port());
        let from = FiveTuple {
            client: arrival.source,
            server: (arrival.local, port).into(),
            transport: Transport::Udp,
        };
        if self.heard_through(now, &from, proxy) {
            self.server.rewrite(&from);
        }
        from
    }

    /// Notes that a UDP client was heard through `proxy`. Returns whether it used another proxy
    /// before.
    fn heard_through(&mut self, now: Sample, client: &FiveTuple, proxy: SocketAddr) -> bool {
        let lives = |client: &FiveTuple| self.server.allocation(client).is_some();
        self.proxied.heard(now.monotonic, client, proxy, lives)
    }

    /// Ends the earlier streams of a client that connects again from the same address and port:
    /// behind a proxy, the new stream may arrive before they have ended.
    fn replace(&mut self, now: Sample, new: &FiveTuple, io: &mut Io) {
        for transport in [Transport::Tcp, Transport::Tls] {
            let old = FiveTuple { transport, ..*new };
            if let Some(Connection::Stream(stream)) = self.connections.find(&old) {
                io.reset_stream(stream);
                self.client_gone(now, &old, io);
            }
        }
    }

    fn admit(
        &mut self,
        now: Sample,
        client: &FiveTuple,
        connection: Connection,
        tag: u64,
    ) -> Admission {
        match self.connections.admit(now.monotonic, client, connection) {
            Ok(()) => Admission::Accept { tag },
            Err(full) => {
                logging::log_refused_connection(client, connection, full);
                Admission::Refuse
            }
        }
    }

    fn client_gone(&mut self, now: Sample, five_tuple: &FiveTuple, io: &mut Io) {
        self.connections.remove(five_tuple);
        self.server.handle_command(at(now), Command::ClientGone(*five_tuple));
        self.carry_out(now, io);
    }
}

fn at(now: Sample) -> Now {
    Now { monotonic: now.monotonic, unix: now.unix }
}
