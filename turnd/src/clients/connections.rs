use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use causeway_net::{
    AssociationInfo, AssociationKey, ClientLimit, LimitGuard, LimitReached, StreamInfo, StreamKey,
};
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
    streams: Arc<ClientLimit>,
    associations: Arc<ClientLimit>,
    patience: Duration,
}

impl ConnectionCaps {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            streams: ClientLimit::new(
                limits.connections.tcp_connections,
                limits.connections.tcp_connections_per_prefix,
            ),
            associations: ClientLimit::new(
                limits.connections.dtls_associations,
                limits.connections.dtls_associations_per_prefix,
            ),
            patience: limits.clients.tcp_unauthenticated_timeout,
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
    /// When to look whether a connection has an allocation, at most once for each.
    deadlines: BTreeMap<Deadline, FiveTuple>,
    /// Deadlines set so far.
    watched: u64,
}

/// When a connection's patience has run out, and a number that tells those of one moment apart.
type Deadline = (Duration, u64);

struct Entry {
    connection: Connection,
    deadline: Option<Deadline>,
    _place: LimitGuard,
}

impl Connections {
    pub(crate) fn new(caps: ConnectionCaps) -> Self {
        Self { caps, by_five_tuple: AHashMap::new(), deadlines: BTreeMap::new(), watched: 0 }
    }

    /// Takes a connection in.
    ///
    /// # Errors
    /// A cap is reached.
    pub(crate) fn admit(
        &mut self,
        now: Duration,
        five_tuple: &FiveTuple,
        connection: Connection,
    ) -> Result<(), LimitReached> {
        let places = match connection {
            Connection::Stream(_) => &self.caps.streams,
            Connection::Association(_) => &self.caps.associations,
        };
        let place = places.take(five_tuple.client.ip())?;
        self.remove(five_tuple);
        self.by_five_tuple.insert(*five_tuple, Entry { connection, deadline: None, _place: place });
        self.watch(now, five_tuple);
        Ok(())
    }

    /// The connection is another transport's by now: its handshake is done.
    pub(crate) fn rename(&mut self, now: Duration, from: &FiveTuple, to: &FiveTuple) {
        if let Some(entry) = self.by_five_tuple.remove(from) {
            self.remove(to);
            self.by_five_tuple.insert(*to, entry);
            self.watch(now, to);
        }
    }

    /// Has the connection looked at when its patience has run out, and not before.
    pub(crate) fn watch(&mut self, now: Duration, five_tuple: &FiveTuple) {
        if let Some(entry) = self.by_five_tuple.get_mut(five_tuple) {
            let deadline = (now + self.caps.patience, self.watched);
            self.watched += 1;
            if let Some(earlier) = entry.deadline.replace(deadline) {
                self.deadlines.remove(&earlier);
            }
            self.deadlines.insert(deadline, *five_tuple);
        }
    }

    pub(crate) fn remove(&mut self, five_tuple: &FiveTuple) {
        if let Some(deadline) =
            self.by_five_tuple.remove(five_tuple).and_then(|entry| entry.deadline)
        {
            self.deadlines.remove(&deadline);
        }
    }

    pub(crate) fn find(&self, five_tuple: &FiveTuple) -> Option<Connection> {
        self.by_five_tuple.get(five_tuple).map(|entry| entry.connection)
    }

    /// The next connection to be looked at whose time has come.
    pub(crate) fn due(&mut self, now: Duration) -> Option<(FiveTuple, Connection)> {
        let (deadline, five_tuple) =
            self.deadlines.first_key_value().filter(|((at, _), _)| *at <= now)?;
        let (deadline, five_tuple) = (*deadline, *five_tuple);
        self.deadlines.remove(&deadline);
        let entry = self.by_five_tuple.get_mut(&five_tuple)?;
        entry.deadline = None;
        Some((five_tuple, entry.connection))
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.first_key_value().map(|((at, _), _)| *at)
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

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn connections() -> Connections {
        let caps = ConnectionCaps {
            streams: ClientLimit::new(100, 100),
            associations: ClientLimit::new(100, 100),
            patience: 15 * SECOND,
        };
        Connections::new(caps)
    }

    fn client(port: u16, transport: Transport) -> FiveTuple {
        FiveTuple {
            client: ([192, 0, 2, 1], port).into(),
            server: ([192, 0, 2, 9], 3478).into(),
            transport,
        }
    }

    fn stream(number: u64) -> Connection {
        Connection::Stream(StreamKey::from_bits(number))
    }

    #[test]
    fn h14_a_connection_has_its_whole_patience_after_its_allocation_ended() {
        let (mut connections, client) = (connections(), client(1, Transport::Tcp));
        assert!(connections.admit(Duration::ZERO, &client, stream(1)).is_ok());
        connections.watch(14 * SECOND, &client); // its allocation has ended
        assert_eq!(connections.due(15 * SECOND), None, "the deadline of its beginning is void");
        assert_eq!(connections.next_deadline(), Some(29 * SECOND));
        connections.watch(20 * SECOND, &client); // and another
        assert_eq!(connections.due(34 * SECOND), None);
        assert_eq!(connections.due(35 * SECOND), Some((client, stream(1))));
        assert_eq!(
            (connections.due(99 * SECOND), connections.next_deadline()),
            (None, None),
            "looked at once"
        );
    }

    #[test]
    fn h14_connections_are_looked_at_in_the_order_of_time_whatever_ended_when() {
        let mut connections = connections();
        let clients = [1, 2, 3].map(|port| client(port, Transport::Tcp));
        for (number, client) in (0u64..).zip(&clients) {
            assert!(connections.admit(SECOND, client, stream(number)).is_ok());
        }
        connections.watch(3 * SECOND, &clients[0]);
        connections.watch(2 * SECOND, &clients[1]);
        let order: Vec<_> =
            std::iter::from_fn(|| connections.due(99 * SECOND)).map(|(client, _)| client).collect();
        assert_eq!(order, [clients[2], clients[1], clients[0]]);
    }

    #[test]
    fn h14_however_many_allocations_a_connection_had_it_has_one_deadline_and_none_when_it_is_gone()
    {
        let (mut connections, tcp, tls) =
            (connections(), client(1, Transport::Tcp), client(1, Transport::Tls));
        assert!(connections.admit(SECOND, &tcp, stream(1)).is_ok());
        connections.rename(2 * SECOND, &tcp, &tls);
        for second in 3..1_000 {
            connections.watch(second * SECOND, &tls);
        }
        assert_eq!(connections.deadlines.len(), 1);
        connections.remove(&tls);
        assert_eq!(connections.next_deadline(), None);
        assert!(connections.admit(SECOND, &tls, stream(2)).is_ok(), "another of the same address");
        assert!(connections.admit(2 * SECOND, &tls, stream(3)).is_ok(), "which replaces it");
        assert_eq!(connections.deadlines.len(), 1);
        assert_eq!(connections.due(99 * SECOND), Some((tls, stream(3))));
    }
}
