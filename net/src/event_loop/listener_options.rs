//! The protocols that a listener takes, and the proxies that it trusts.

use std::sync::Arc;

use crate::proxy::TrustedProxies;

/// How a TCP listener is served. With both `plain` and `tls`, the first byte of a connection
/// decides.
#[derive(Debug, Clone, Default)]
pub struct StreamListenerOptions {
    /// Any number; the listener's connections carry it until they are accepted.
    pub tag: u64,
    /// Whether frames are taken without TLS.
    pub plain: bool,
    /// Whether TLS is taken; the loop must have a [`Handshaker`](crate::secure::Handshaker).
    pub tls: bool,
    /// The proxies that must put a PROXY header before each connection. No other peer may.
    pub proxies: Option<Arc<TrustedProxies>>,
}

impl StreamListenerOptions {
    /// Plain TCP without a proxy.
    pub fn plain(tag: u64) -> Self {
        Self { tag, plain: true, tls: false, proxies: None }
    }
}

/// How a UDP listener is served. With both `plain` and `dtls`, the first byte of a datagram
/// decides.
#[derive(Debug, Clone, Default)]
pub struct DatagramListenerOptions {
    /// Any number; the listener's datagrams carry it.
    pub tag: u64,
    /// Whether datagrams are taken without DTLS.
    pub plain: bool,
    /// Whether DTLS is taken; the loop must have a [`Handshaker`](crate::secure::Handshaker).
    pub dtls: bool,
    /// The proxies that must put a PROXY header before each datagram. No other peer may.
    pub proxies: Option<Arc<TrustedProxies>>,
}

impl DatagramListenerOptions {
    /// Plain UDP without a proxy.
    pub fn plain(tag: u64) -> Self {
        Self { tag, plain: true, dtls: false, proxies: None }
    }
}
