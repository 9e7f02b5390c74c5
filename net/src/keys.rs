//! The keys that name what a worker's loop holds. They stand below everything that holds one, so
//! that the backends, the handshaker and the loop share them without knowing each other.

use crate::slots::Key;

/// Marks the keys of UDP sockets.
#[derive(Debug)]
pub enum Socket {}
/// Marks the keys of TCP listeners.
#[derive(Debug)]
pub enum StreamListener {}
/// Marks the keys of TCP connections.
#[derive(Debug)]
pub enum Connection {}
/// Marks the keys of DTLS associations.
#[derive(Debug)]
pub enum DtlsAssociation {}
/// Marks the keys of DTLS handshakes.
#[derive(Debug)]
pub(crate) enum DtlsHandshake {}

/// Names a UDP socket of one loop.
pub type SocketKey = Key<Socket>;
/// Names a TCP listener of one loop.
pub type ListenerKey = Key<StreamListener>;
/// Names a TCP connection of one loop.
pub type StreamKey = Key<Connection>;
/// Names a DTLS association of one loop.
pub type AssociationKey = Key<DtlsAssociation>;
/// Names a DTLS handshake of one loop.
pub(crate) type HandshakeKey = Key<DtlsHandshake>;
