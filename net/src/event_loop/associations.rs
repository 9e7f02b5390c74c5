//! DTLS associations in the loop: what a worker keeps of them, and what a service may do with them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::SocketKey;
use super::io::{Io, Unsent};
use super::service::{Arrival, Route};
use crate::secure::dtls::{Cookies, HandshakeKey, Letter, Pipe, Records};
use crate::slots::{Key, Slots};

/// One DTLS association of a worker. Services know it by its key.
pub struct Association {
    pub(super) info: AssociationInfo,
    pub(super) flow: Flow,
    /// Where its datagrams go.
    pub(super) route: Route,
    pub(super) records: Box<Records>,
    /// That of the hello it began with.
    pub(super) random: [u8; 32],
}

impl fmt::Debug for Association {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Association").field("info", &self.info).finish_non_exhaustive()
    }
}

/// Names a DTLS association of one loop.
pub type AssociationKey = Key<Association>;

/// One established DTLS association, as the service sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssociationInfo {
    /// Its key.
    pub key: AssociationKey,
    /// The number that the service gave it; while it is being admitted: the socket's.
    pub tag: u64,
    /// The socket that its datagrams come through.
    pub socket: SocketKey,
    /// The address at the other end.
    pub peer: SocketAddr,
    /// The address at this end.
    pub local: SocketAddr,
}

/// What tells the datagrams of one association from others.
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

    /// The client's address.
    pub(super) fn client(&self) -> IpAddr {
        self.source.ip()
    }
}

/// What there is of a flow: both, while a client that was restarted makes itself known again.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    pub(super) association: Option<AssociationKey>,
    pub(super) handshake: Option<HandshakeKey>,
}

/// A handshake that the handshaker computes.
pub(super) struct UnderWay {
    pub(super) flow: Flow,
    pub(super) arrival: Arrival,
    /// That of its hello.
    pub(super) random: [u8; 32],
    /// When it began, in monotonic time.
    pub(super) since: Duration,
}

/// A worker's associations, and the handshakes that may become some.
pub(super) struct Associations {
    pub(super) established: Slots<Association, Association>,
    pub(super) under_way: Slots<Letter, UnderWay>,
    flows: HashMap<Flow, Held>,
    /// Made when the first hello comes.
    pub(super) cookies: Option<Cookies>,
    /// Lent to the association that is read.
    pub(super) reading: Pipe,
    /// Where records behind the first of a datagram are decrypted to; empty until one comes.
    pub(super) spare: Vec<u8>,
    /// Lent to the association that is written.
    writing: Pipe,
    /// What is encrypted next.
    plaintext: Vec<u8>,
}

impl Associations {
    pub(super) fn new() -> Self {
        Self {
            established: Slots::new(),
            under_way: Slots::new(),
            flows: HashMap::new(),
            cookies: None,
            reading: Pipe::default(),
            spare: Vec::new(),
            writing: Pipe::default(),
            plaintext: Vec::new(),
        }
    }

    pub(super) fn held(&self, flow: &Flow) -> Held {
        self.flows.get(flow).copied().unwrap_or_default()
    }

    /// Changes what is held of a flow, and forgets the flow when that is nothing.
    pub(super) fn hold(&mut self, flow: Flow, change: impl FnOnce(&mut Held)) {
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
}

impl Io {
    /// Encrypts `parts` as one datagram of an association and queues it. `tos`: DSCP (upper six
    /// bits) and ECN (lower two).
    ///
    /// # Errors
    /// [`Unsent`]: it was dropped and counted.
    pub fn send_secure(
        &mut self,
        key: AssociationKey,
        parts: &[&[u8]],
        tos: u8,
    ) -> Result<(), Unsent> {
        let Associations { established, writing, plaintext, .. } = &mut self.associations;
        let Some(association) = established.get_mut(key) else {
            self.stats.dropped_association_gone.add(1);
            return Err(Unsent::Gone);
        };
        plaintext.clear();
        parts.iter().for_each(|part| plaintext.extend_from_slice(part));
        if !association.records.seal(writing, plaintext) {
            self.stats.dropped_record_too_long.add(1);
            return Err(Unsent::TooLong);
        }
        let route = Route { tos, ..association.route };
        let written = std::mem::take(writing);
        self.send_written(&route, &written);
        self.associations.writing = written;
        Ok(())
    }

    /// Encrypts the first `len` bytes of [`reply_buffer`](Self::reply_buffer) as one datagram of an
    /// association and queues it.
    ///
    /// # Errors
    /// [`Unsent`]: it was dropped and counted.
    ///
    /// # Panics
    /// If `len` is over [`MAX_REPLY`](crate::MAX_REPLY).
    pub fn reply_secure(&mut self, key: AssociationKey, len: usize) -> Result<(), Unsent> {
        let span = self.reply_span(len);
        let region = Arc::clone(&self.region);
        // SAFETY: the room behind `arena_next` is written through `reply_buffer` only, which needs
        // `self`; `send_secure` asks for that room after it has read the parts for the last
        // time.
        self.send_secure(key, &[unsafe { region.bytes(span) }], 0)
    }

    /// Closes an association: the client is told.
    /// [`Service::dissociated`](super::Service::dissociated) is not called.
    pub fn close_association(&mut self, key: AssociationKey) {
        if let Some(mut association) = self.forget_association(key) {
            let mut pipe = std::mem::take(&mut self.associations.writing);
            association.records.close(&mut pipe);
            self.send_written(&association.route, &pipe);
            self.associations.writing = pipe;
        }
    }

    /// What is known of an association. `None`: it is gone.
    pub fn association(&self, key: AssociationKey) -> Option<AssociationInfo> {
        self.associations.established.get(key).map(|association| association.info)
    }

    pub(super) fn forget_association(&mut self, key: AssociationKey) -> Option<Association> {
        let association = self.associations.established.remove(key)?;
        self.associations.hold(association.flow, |held| {
            if held.association == Some(key) {
                held.association = None;
            }
        });
        self.stats.associations_closed.add(1);
        self.stats.associations_open.set(self.associations.established.len() as u64);
        Some(association)
    }

    /// Queues what OpenSSL wrote.
    pub(super) fn send_written(&mut self, route: &Route, pipe: &Pipe) {
        for datagram in pipe.written() {
            self.reply_buffer()[..datagram.len()].copy_from_slice(datagram);
            self.reply(route, datagram.len());
        }
    }
}
