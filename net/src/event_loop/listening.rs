//! What a listener takes, and from whom.

use std::sync::Arc;

use crate::proxy::TrustedProxies;

/// How a TCP listener is served. With `plain` and `tls` both, the first byte of a connection
/// decides.
#[derive(Debug, Clone, Default)]
pub struct StreamListening {
    /// It comes back with the connections.
    pub tag: u64,
    /// Whether frames are taken as they are.
    pub plain: bool,
    /// Whether TLS is taken; the loop must have a [`Handshaker`](crate::secure::Handshaker).
    pub tls: bool,
    /// Who must, and alone may, put a PROXY header before a connection.
    pub proxies: Option<Arc<TrustedProxies>>,
}

impl StreamListening {
    /// Plain TCP, from clients themselves.
    pub fn plain(tag: u64) -> Self {
        Self { tag, plain: true, tls: false, proxies: None }
    }
}

/// How a UDP listener is served. With `plain` and `dtls` both, the first byte of a datagram
/// decides.
#[derive(Debug, Clone, Default)]
pub struct DatagramListening {
    /// It comes back with the datagrams.
    pub tag: u64,
    /// Whether datagrams are taken as they are.
    pub plain: bool,
    /// Whether DTLS is taken; the loop must have a [`Handshaker`](crate::secure::Handshaker).
    pub dtls: bool,
    /// Who must, and alone may, put a PROXY header before each datagram.
    pub proxies: Option<Arc<TrustedProxies>>,
}

impl DatagramListening {
    /// Plain UDP, from clients themselves.
    pub fn plain(tag: u64) -> Self {
        Self { tag, plain: true, dtls: false, proxies: None }
    }
}
