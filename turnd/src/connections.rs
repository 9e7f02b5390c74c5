use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use causeway_net::{AssociationInfo, AssociationKey, Place, Places, StreamInfo, StreamKey};
use causeway_relay::{FiveTuple, Transport};

use crate::config::Limits;

/// What carries a client's messages where they are more than datagrams from an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connection {
    /// TCP, or TLS over it.
    Stream(StreamKey),
    /// DTLS over UDP.
    Association(AssociationKey),
}

/// The caps on clients' connections, over all workers (H13, H14).
#[derive(Clone)]
pub(crate) struct ConnectionCaps {
    streams: Arc<Places>,
    associations: Arc<Places>,
    patience: Duration,
}

impl ConnectionCaps {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            streams: Places::new(limits.tcp_connections, limits.tcp_connections_per_prefix),
            associations: Places::new(limits.dtls_associations, limits.dtls_associations_per_prefix),
            patience: limits.tcp_unauthenticated_timeout,
        }
    }

    /// Prefixes that hold a stream, and those that hold an association.
    pub(crate) fn prefixes(&self) -> [(&'static str, usize); 2] {
        [("stream", self.streams.prefixes()), ("association", self.associations.prefixes())]
    }
}

/// The clients' connections of one worker.
pub(crate) struct Connections {
    caps: ConnectionCaps,
    by_five_tuple: AHashMap<FiveTuple, Entry>,
    /// When to look whether a connection has an allocation: in the order of time, since all are given the same patience.
    deadlines: VecDeque<(Duration, FiveTuple, Connection)>,
}

struct Entry {
    connection: Connection,
    _place: Place,
}

impl Connections {
    pub(crate) fn new(caps: ConnectionCaps) -> Self {
        Self { caps, by_five_tuple: AHashMap::new(), deadlines: VecDeque::new() }
    }

    /// Takes a connection in; `false` when a cap is reached.
    pub(crate) fn admit(&mut self, now: Duration, five_tuple: &FiveTuple, connection: Connection) -> bool {
        let places = match connection {
            Connection::Stream(_) => &self.caps.streams,
            Connection::Association(_) => &self.caps.associations,
        };
        let Some(place) = places.take(five_tuple.client.ip()) else { return false };
        self.by_five_tuple.insert(*five_tuple, Entry { connection, _place: place });
        self.watch(now, five_tuple);
        true
    }

    /// The connection is another transport's by now: its handshake is done.
    pub(crate) fn rename(&mut self, now: Duration, from: &FiveTuple, to: &FiveTuple) {
        if let Some(entry) = self.by_five_tuple.remove(from) {
            self.by_five_tuple.insert(*to, entry);
            self.watch(now, to);
        }
    }

    /// Has the connection looked at when its patience has run out.
    pub(crate) fn watch(&mut self, now: Duration, five_tuple: &FiveTuple) {
        if let Some(connection) = self.find(five_tuple) {
            self.deadlines.push_back((now + self.caps.patience, *five_tuple, connection));
        }
    }

    pub(crate) fn remove(&mut self, five_tuple: &FiveTuple) {
        self.by_five_tuple.remove(five_tuple);
    }

    pub(crate) fn find(&self, five_tuple: &FiveTuple) -> Option<Connection> {
        self.by_five_tuple.get(five_tuple).map(|entry| entry.connection)
    }

    /// The next connection to be looked at whose time has come and that still stands.
    pub(crate) fn due(&mut self, now: Duration) -> Option<(FiveTuple, Connection)> {
        while self.deadlines.front().is_some_and(|(at, ..)| *at <= now) {
            let (_, five_tuple, connection) = self.deadlines.pop_front()?;
            if self.find(&five_tuple) == Some(connection) {
                return Some((five_tuple, connection));
            }
        }
        None
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.front().map(|(at, ..)| *at)
    }
}

/// The 5-tuple of a stream, as it is now.
pub(crate) fn of_stream(stream: &StreamInfo) -> FiveTuple {
    let transport = if stream.secure { Transport::Tls } else { Transport::Tcp };
    FiveTuple { client: stream.peer, server: stream.local, transport }
}

/// The 5-tuple of an association.
pub(crate) fn of_association(association: &AssociationInfo) -> FiveTuple {
    FiveTuple { client: association.peer, server: association.local, transport: Transport::Dtls }
}
