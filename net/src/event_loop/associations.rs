//! A worker's DTLS associations, and the handshakes that may become some.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::arrival::{Arrival, Route};
use super::streams::Unsent;
use crate::keys::{AssociationKey, DtlsAssociation, DtlsHandshake, HandshakeKey, SocketKey};
use crate::secure::dtls::{Cookies, MAX_PLAINTEXT, Opened, Pipe, Records, Request};
use crate::secure::{Failure, HandshakerClient, Request as AnyRequest};
use crate::slots::Slots;
use crate::stats::Stats;

/// How much longer than the handshaker a worker waits for the outcome of a handshake: it comes by a
/// mailbox that may have been full.
const SLACK: Duration = Duration::from_secs(2);

pub(super) struct Association {
    pub(super) info: AssociationInfo,
    pub(super) flow: Flow,
    /// The way of its outgoing datagrams.
    pub(super) route: Route,
    pub(super) records: Box<Records>,
    /// The random number of the ClientHello that it began with.
    pub(super) random: [u8; 32],
}

/// One established DTLS association, as the service sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssociationInfo {
    /// Its key.
    pub key: AssociationKey,
    /// The number that the service gave it; while it is being admitted: the socket's.
    pub tag: u64,
    /// The socket that its datagrams come through.
    pub socket: SocketKey,
    /// The client's address.
    pub peer: SocketAddr,
    /// The server's address that the client sends to.
    pub local: SocketAddr,
}

/// The addresses that tell the datagrams of one association from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Flow {
    socket: SocketKey,
    source: SocketAddr,
    destination: SocketAddr,
    via: Option<SocketAddr>,
}

impl Flow {
    pub(super) fn of(arrival: &Arrival) -> Self {
        Self {
            socket: arrival.socket,
            source: arrival.source,
            destination: arrival.destination,
            via: arrival.via,
        }
    }

    pub(super) fn client(&self) -> IpAddr {
        self.source.ip()
    }
}

/// The association and the handshake of a flow. It has both while a client that was restarted
/// proves its address again.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    pub(super) association: Option<AssociationKey>,
    pub(super) handshake: Option<HandshakeKey>,
}

/// A handshake that the handshaker computes.
pub(super) struct UnderWay {
    pub(super) flow: Flow,
    pub(super) arrival: Arrival,
    /// The random number of its ClientHello.
    pub(super) random: [u8; 32],
    /// When it began, in monotonic time.
    pub(super) since: Duration,
}

/// The associations and handshakes of one worker.
pub(super) struct Associations {
    established: Slots<DtlsAssociation, Association>,
    under_way: Slots<DtlsHandshake, UnderWay>,
    flows: HashMap<Flow, Held>,
    /// Made when the first ClientHello comes.
    cookies: Option<Cookies>,
    /// Lent to the association that is read.
    reading: Pipe,
    /// Where records behind the first of a datagram are decrypted to; empty until one comes.
    opened: Vec<u8>,
    /// Lent to the association that is written.
    writing: Pipe,
    /// The plaintext that is encrypted next.
    plaintext: Vec<u8>,
    handshaker: Option<HandshakerClient>,
    stats: Arc<Stats>,
}

impl Associations {
    pub(super) fn new(handshaker: Option<HandshakerClient>, stats: Arc<Stats>) -> Self {
        Self {
            established: Slots::new(),
            under_way: Slots::new(),
            flows: HashMap::new(),
            cookies: None,
            reading: Pipe::default(),
            opened: Vec::new(),
            writing: Pipe::default(),
            plaintext: Vec::new(),
            handshaker,
            stats,
        }
    }

    /// Whether DTLS can be served: there is a handshaker.
    pub(super) fn are_possible(&self) -> bool {
        self.handshaker.is_some()
    }

    pub(super) fn get(&self, key: AssociationKey) -> Option<&Association> {
        self.established.get(key)
    }

    pub(super) fn get_mut(&mut self, key: AssociationKey) -> Option<&mut Association> {
        self.established.get_mut(key)
    }

    pub(super) fn info(&self, key: AssociationKey) -> Option<AssociationInfo> {
        self.established.get(key).map(|association| association.info)
    }

    pub(super) fn held(&self, flow: &Flow) -> Held {
        self.flows.get(flow).copied().unwrap_or_default()
    }

    /// Changes what a flow has, and forgets a flow that has nothing.
    fn hold(&mut self, flow: Flow, change: impl FnOnce(&mut Held)) {
        match self.flows.entry(flow) {
            Entry::Occupied(mut entry) => {
                change(entry.get_mut());
                if entry.get().association.is_none() && entry.get().handshake.is_none() {
                    entry.remove();
                }
            }
            Entry::Vacant(entry) => {
                let mut held = Held::default();
                change(&mut held);
                if held.association.is_some() || held.handshake.is_some() {
                    entry.insert(held);
                }
            }
        }
    }

    /// The maker of cookies; `None`: this host has no randomness, and no client can be served.
    pub(super) fn cookies(&mut self, now: Duration) -> Option<&mut Cookies> {
        if self.cookies.is_none() {
            self.cookies = Cookies::new(now).ok();
        }
        self.cookies.as_mut()
    }

    /// The pipe for reading, to be given back by [`return_reader`](Self::return_reader).
    pub(super) fn take_reader(&mut self) -> Pipe {
        std::mem::take(&mut self.reading)
    }

    pub(super) fn return_reader(&mut self, pipe: Pipe) {
        self.reading = pipe;
    }

    /// Decrypts the next record of the datagram that was read last, to [`opened`](Self::opened).
    pub(super) fn open_next(&mut self, key: AssociationKey, pipe: &mut Pipe) -> Opened {
        let Some(association) =
            self.established.get_mut(key).filter(|association| association.records.has_more())
        else {
            return Opened::None; // that was all; or the service closed it
        };
        self.opened.resize(MAX_PLAINTEXT, 0);
        association.records.open(pipe, &mut self.opened)
    }

    /// The plaintext of [`open_next`](Self::open_next).
    pub(super) fn opened(&self, len: usize) -> &[u8] {
        &self.opened[..len]
    }

    /// The pipe for writing, to be given back by [`return_writer`](Self::return_writer).
    pub(super) fn take_writer(&mut self) -> Pipe {
        std::mem::take(&mut self.writing)
    }

    pub(super) fn return_writer(&mut self, pipe: Pipe) {
        self.writing = pipe;
    }

    /// Encrypts `parts` as one datagram of an association: the way that it goes, and the pipe that
    /// holds it, which is to be [returned](Self::return_writer).
    ///
    /// # Errors
    /// [`Unsent`]: it was counted as dropped.
    pub(super) fn seal(
        &mut self,
        key: AssociationKey,
        parts: &[&[u8]],
    ) -> Result<(Route, Pipe), Unsent> {
        let Some(association) = self.established.get_mut(key) else {
            self.stats.dropped_association_gone.add(1);
            return Err(Unsent::Gone);
        };
        self.plaintext.clear();
        parts.iter().for_each(|part| self.plaintext.extend_from_slice(part));
        if !association.records.seal(&mut self.writing, &self.plaintext) {
            self.stats.dropped_record_too_long.add(1);
            return Err(Unsent::TooLong);
        }
        Ok((association.route, std::mem::take(&mut self.writing)))
    }

    /// Turns a handshake that is done into an association.
    pub(super) fn establish(
        &mut self,
        under_way: UnderWay,
        records: Box<Records>,
    ) -> AssociationInfo {
        let UnderWay { flow, arrival, random, .. } = under_way;
        let mut info = None;
        let key = self.established.insert_with(|key| {
            let info = *info.insert(AssociationInfo {
                key,
                tag: arrival.tag,
                socket: arrival.socket,
                peer: arrival.source,
                local: arrival.destination,
            });
            Association { info, flow, route: arrival.reply(), records, random }
        });
        self.hold(flow, |held| held.association = Some(key));
        self.stats.associations_established.add(1);
        self.stats.associations_open.set(self.established.len() as u64);
        info.expect("it was just made")
    }

    pub(super) fn forget(&mut self, key: AssociationKey) -> Option<Association> {
        let association = self.established.remove(key)?;
        self.hold(association.flow, |held| {
            if held.association == Some(key) {
                held.association = None;
            }
        });
        self.stats.associations_closed.add(1);
        self.stats.associations_open.set(self.established.len() as u64);
        Some(association)
    }

    pub(super) fn handshake(&self, key: HandshakeKey) -> Option<&UnderWay> {
        self.under_way.get(key)
    }

    /// Begins a handshake with a client whose cookie was right.
    ///
    /// # Errors
    /// The limits allow no more, or the handshaker's mailbox is full. That is counted.
    pub(super) fn begin(&mut self, under_way: UnderWay, datagram: &[u8]) -> Result<(), Failure> {
        self.try_begin(under_way, datagram).inspect_err(|failure| self.count_failed(*failure))
    }

    fn try_begin(&mut self, under_way: UnderWay, datagram: &[u8]) -> Result<(), Failure> {
        let handshaker = self.handshaker.as_ref().ok_or(Failure::Busy)?;
        let shared = handshaker.shared();
        if self.under_way.len() >= shared.limits.half_open {
            return Err(Failure::HalfOpen);
        }
        let guard =
            shared.half_open.take(under_way.flow.client()).map_err(|_| Failure::HalfOpen)?;
        shared.readings.started();
        let flow = under_way.flow;
        let key = self.under_way.insert(under_way);
        if !handshaker.send(AnyRequest::Dtls(Request::Begin(key, guard, datagram.to_vec()))) {
            self.under_way.remove(key);
            return Err(Failure::Busy);
        }
        self.hold(flow, |held| held.handshake = Some(key));
        Ok(())
    }

    /// Sends a datagram of a handshake to the handshaker.
    pub(super) fn forward(&mut self, handshake: Option<HandshakeKey>, datagram: &[u8]) {
        let sent = match (handshake, &self.handshaker) {
            (Some(key), Some(handshaker)) => {
                handshaker.send(AnyRequest::Dtls(Request::Datagram(key, datagram.to_vec())))
            }
            _ => false,
        };
        if !sent {
            self.stats.dropped_no_handshake.add(1);
        }
    }

    /// Gives up a handshake whose client has begun another.
    pub(super) fn cancel_handshake(&mut self, key: HandshakeKey) {
        self.count_failed(Failure::Gone);
        self.forget_handshake(key);
        if let Some(handshaker) = &self.handshaker {
            // With a full mailbox the handshake ends by its time limit.
            let _ = handshaker.send(AnyRequest::Dtls(Request::Cancel(key)));
        }
    }

    pub(super) fn forget_handshake(&mut self, key: HandshakeKey) -> Option<UnderWay> {
        let under_way = self.under_way.remove(key)?;
        self.hold(under_way.flow, |held| {
            if held.handshake == Some(key) {
                held.handshake = None;
            }
        });
        Some(under_way)
    }

    pub(super) fn count_failed(&self, failure: Failure) {
        if let Some(handshaker) = &self.handshaker {
            handshaker.shared().readings.failed(failure);
        }
    }

    /// Gives up handshakes that the handshaker has not answered for too long.
    pub(super) fn tend(&mut self, now: Duration) {
        let Some(handshaker) = &self.handshaker else { return };
        let patience = handshaker.shared().limits.time + SLACK;
        let under_way = &self.under_way;
        let all = (0..under_way.places()).filter_map(|index| under_way.at(index));
        let lost = all.filter(|(_, one)| now.saturating_sub(one.since) > patience);
        for key in lost.map(|(key, _)| key).collect::<Vec<_>>() {
            self.count_failed(Failure::Slow);
            self.forget_handshake(key);
        }
    }
}
