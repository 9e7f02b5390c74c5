//! `[limits]`: the keys on connections and handshakes that every server has, and the caps that they
//! set over all workers (H11, H13, H14).

use std::net::IpAddr;
use std::sync::Arc;

use causeway_auth::LimiterSettings;
use causeway_net::secure::HandshakeLimits;
use causeway_net::{AssociationKey, ClientLimit, LimitGuard, LimitReached, StreamKey};
use serde::Deserialize;

use crate::config::values::count;
use crate::config::{Listen, Problem, Transport, unauthenticated, unauthenticated_problem};
use crate::descriptors::Wanted;
use crate::workers::Net;

/// Limits on what clients may have open, over all workers. A prefix is one IPv4 address or one IPv6
/// /64. Every maximum is at least 1.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionLimits {
    /// Maximum number of TCP connections, including those of TLS (H14).
    #[serde(deserialize_with = "count")]
    pub tcp_connections: usize,
    /// Maximum number of TCP connections from one prefix (H14).
    #[serde(deserialize_with = "count")]
    pub tcp_connections_per_prefix: usize,
    /// Maximum number of DTLS associations (H13).
    #[serde(deserialize_with = "count")]
    pub dtls_associations: usize,
    /// Maximum number of DTLS associations from one prefix (H13).
    #[serde(deserialize_with = "count")]
    pub dtls_associations_per_prefix: usize,
    /// Maximum number of unfinished TLS and DTLS handshakes (H13, H14).
    #[serde(deserialize_with = "count")]
    pub half_open_handshakes: usize,
    /// Maximum number of unfinished handshakes from one prefix (H13, H14).
    #[serde(deserialize_with = "count")]
    pub half_open_handshakes_per_prefix: usize,
    /// How much is sent in answer to datagrams whose source address may be forged; `None` is no
    /// limit (H11).
    #[serde(deserialize_with = "unauthenticated")]
    pub unauthenticated_per_prefix: Option<LimiterSettings>,
}

impl ConnectionLimits {
    /// Checks the ranges that the types do not hold.
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        self.unauthenticated_per_prefix.and_then(unauthenticated_problem).into_iter().collect()
    }

    /// The caps that all workers share.
    #[must_use]
    pub fn caps(&self) -> ConnectionCaps {
        ConnectionCaps {
            streams: ClientLimit::new(self.tcp_connections, self.tcp_connections_per_prefix),
            associations: ClientLimit::new(
                self.dtls_associations,
                self.dtls_associations_per_prefix,
            ),
        }
    }

    /// The limits of the thread that does the handshakes.
    #[must_use]
    pub fn handshakes(&self) -> HandshakeLimits {
        HandshakeLimits {
            half_open: self.half_open_handshakes,
            half_open_per_prefix: self.half_open_handshakes_per_prefix,
            ..HandshakeLimits::default()
        }
    }

    /// The share that one of `net`'s workers has of [`unauthenticated_per_prefix`], since each
    /// worker counts for itself.
    ///
    /// [`unauthenticated_per_prefix`]: Self::unauthenticated_per_prefix
    #[must_use]
    pub fn unauthenticated_per_worker(&self, net: &Net) -> Option<LimiterSettings> {
        self.unauthenticated_per_prefix.map(|settings| settings.of_one_worker(net.workers))
    }

    /// The descriptors that clients of such a server may take. `relayed`: the number of relayed
    /// addresses, where the server has any.
    #[must_use]
    pub fn descriptors(&self, net: &Net, listen: &[Listen], relayed: Option<usize>) -> Wanted {
        let has_streams =
            listen.iter().any(|listen| listen.has(Transport::Tcp) || listen.has(Transport::Tls));
        Wanted {
            workers: net.workers.get(),
            relayed,
            connections: if has_streams { self.tcp_connections } else { 0 },
        }
    }
}

/// The connection that carries a client's messages, where they are not plain datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Connection {
    /// TCP, or TLS over TCP.
    Stream(StreamKey),
    /// DTLS over UDP.
    Association(AssociationKey),
}

/// The caps on clients' connections, shared by all workers (H13, H14).
#[derive(Clone, Debug)]
pub struct ConnectionCaps {
    streams: Arc<ClientLimit>,
    associations: Arc<ClientLimit>,
}

impl ConnectionCaps {
    /// Counts a new connection of `client`, until the returned guard is dropped.
    ///
    /// # Errors
    /// The maximum is reached, in all or for the client's prefix.
    pub fn take(&self, connection: Connection, client: IpAddr) -> Result<LimitGuard, LimitReached> {
        match connection {
            Connection::Stream(_) => self.streams.take(client),
            Connection::Association(_) => self.associations.take(client),
        }
    }

    /// The number of prefixes that have a stream open, and of those that have an association open,
    /// with the names of both kinds in metrics.
    pub fn prefixes(&self) -> [(&'static str, usize); 2] {
        [("stream", self.streams.prefixes()), ("association", self.associations.prefixes())]
    }
}
