//! Connections over TCP and TLS, associations of DTLS: their number, their sources, and how long each
//! stays open without an allocation (H13, H14).

use std::time::Duration;

use ahash::AHashMap;
use causeway_daemon::service::{ConnectionCaps, Deadline, Deadlines};
use causeway_net::{AssociationInfo, LimitGuard, LimitReached, StreamInfo};
use causeway_relay::{FiveTuple, Transport};

pub(crate) use causeway_daemon::service::Connection;

/// The connections of one worker's clients.
pub(crate) struct Connections {
    caps: ConnectionCaps,
    /// How long a connection stays open without an allocation.
    timeout: Duration,
    by_five_tuple: AHashMap<FiveTuple, Entry>,
    /// When each connection is checked for an allocation.
    deadlines: Deadlines<FiveTuple>,
}

struct Entry {
    connection: Connection,
    /// None once the connection was checked, until its allocation ends.
    deadline: Option<Deadline>,
    _guard: LimitGuard,
}

impl Connections {
    pub(crate) fn new(caps: ConnectionCaps, timeout: Duration) -> Self {
        let deadlines = Deadlines::default();
        Self { caps, timeout, by_five_tuple: AHashMap::new(), deadlines }
    }

    /// Admits a connection.
    ///
    /// # Errors
    /// A maximum is reached.
    pub(crate) fn admit(
        &mut self,
        now: Duration,
        five_tuple: &FiveTuple,
        connection: Connection,
    ) -> Result<(), LimitReached> {
        let guard = self.caps.take(connection, five_tuple.client.ip())?;
        self.remove(five_tuple);
        self.by_five_tuple.insert(*five_tuple, Entry { connection, deadline: None, _guard: guard });
        self.watch(now, five_tuple);
        Ok(())
    }

    /// Moves a connection to another transport, since its handshake is done.
    pub(crate) fn rename(&mut self, now: Duration, from: &FiveTuple, to: &FiveTuple) {
        if let Some(entry) = self.by_five_tuple.remove(from) {
            self.remove(to);
            self.by_five_tuple.insert(*to, entry);
            self.watch(now, to);
        }
    }

    /// Restarts the timeout of a connection.
    pub(crate) fn watch(&mut self, now: Duration, five_tuple: &FiveTuple) {
        if let Some(entry) = self.by_five_tuple.get_mut(five_tuple) {
            let deadline = self.deadlines.set(now + self.timeout, *five_tuple);
            if let Some(earlier) = entry.deadline.replace(deadline) {
                self.deadlines.cancel(earlier);
            }
        }
    }

    /// Forgets a connection that has ended.
    pub(crate) fn remove(&mut self, five_tuple: &FiveTuple) {
        if let Some(deadline) =
            self.by_five_tuple.remove(five_tuple).and_then(|entry| entry.deadline)
        {
            self.deadlines.cancel(deadline);
        }
    }

    pub(crate) fn find(&self, five_tuple: &FiveTuple) -> Option<Connection> {
        self.by_five_tuple.get(five_tuple).map(|entry| entry.connection)
    }

    /// The next connection whose timeout has passed. It is not returned again until it is
    /// [watched](Self::watch) again.
    pub(crate) fn due(&mut self, now: Duration) -> Option<(FiveTuple, Connection)> {
        let five_tuple = self.deadlines.take_due(now)?;
        let entry = self.by_five_tuple.get_mut(&five_tuple)?;
        entry.deadline = None;
        Some((five_tuple, entry.connection))
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.next()
    }
}

/// The current 5-tuple of a stream.
pub(crate) fn of_stream(stream: &StreamInfo) -> FiveTuple {
    let transport = if stream.secure { Transport::Tls } else { Transport::Tcp };
    FiveTuple { client: stream.peer, server: stream.local, transport }
}

/// The 5-tuple of a DTLS association.
pub(crate) fn of_association(association: &AssociationInfo) -> FiveTuple {
    FiveTuple { client: association.peer, server: association.local, transport: Transport::Dtls }
}

#[cfg(test)]
mod tests {
    use causeway_net::StreamKey;

    use super::*;
    use crate::config::configured;

    const SECOND: Duration = Duration::from_secs(1);

    fn connections() -> Connections {
        let limits = configured(&[]).unwrap().limits;
        Connections::new(limits.connections.caps(), 15 * SECOND)
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
    fn h14_a_connection_has_its_whole_timeout_after_its_allocation_ended() {
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
