//! Connections of TCP and TLS, associations of DTLS: their number, their sources, and how long each
//! stays open (H13, H14).

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use causeway_daemon::service::{Connection, ConnectionCaps, Deadline, Deadlines};
use causeway_net::{LimitGuard, LimitReached};

/// How long half a frame waits for its rest, unless the idle timeout is shorter.
const HALF_FRAME: Duration = Duration::from_secs(15);

/// The connections of one worker.
#[derive(Debug)]
pub(crate) struct Connections {
    caps: ConnectionCaps,
    idle_timeout: Duration,
    open: HashMap<Connection, Open>,
    /// When each connection is checked: once in its timeout, however much it asks.
    deadlines: Deadlines<Connection>,
}

#[derive(Debug)]
struct Open {
    last_message: Duration,
    /// When the frame began that has not arrived whole.
    half_since: Option<Duration>,
    deadline: Deadline,
    _guard: LimitGuard,
}

impl Connections {
    pub(crate) fn new(caps: ConnectionCaps, idle_timeout: Duration) -> Self {
        Connections { caps, idle_timeout, open: HashMap::new(), deadlines: Deadlines::default() }
    }

    /// Admits a connection of `peer`.
    ///
    /// # Errors
    /// The maximum is reached, in all or for the peer's prefix.
    // Deviation: RFC 3489 §12.1: a connection beyond the maximum is refused, and no other is closed
    // for it: a client that opens many would otherwise end those of all others.
    pub(crate) fn admit(
        &mut self,
        now: Duration,
        connection: Connection,
        peer: IpAddr,
    ) -> Result<(), LimitReached> {
        let guard = self.caps.take(connection, peer)?;
        self.forget(connection);
        let deadline = self.deadlines.set(now + self.idle_timeout, connection);
        let open = Open { last_message: now, half_since: None, deadline, _guard: guard };
        self.open.insert(connection, open);
        Ok(())
    }

    /// Notes that a whole message arrived.
    pub(crate) fn heard(&mut self, now: Duration, connection: Connection) {
        if let Some(open) = self.open.get_mut(&connection) {
            open.last_message = now;
            open.half_since = None;
        }
    }

    /// Notes that a part of a frame arrived, and nothing after it.
    pub(crate) fn half(&mut self, now: Duration, connection: Connection) {
        let due = now + HALF_FRAME.min(self.idle_timeout);
        let Some(open) = self.open.get_mut(&connection).filter(|open| open.half_since.is_none())
        else {
            return;
        };
        open.half_since = Some(now);
        if due < open.deadline.at() {
            self.deadlines.cancel(open.deadline);
            open.deadline = self.deadlines.set(due, connection);
        }
    }

    /// Removes a connection that has ended.
    pub(crate) fn forget(&mut self, connection: Connection) {
        if let Some(open) = self.open.remove(&connection) {
            self.deadlines.cancel(open.deadline);
        }
    }

    /// When [`take_idle`](Self::take_idle) is to be called next.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.next()
    }

    /// Removes and returns one connection that sent no whole message, or left half a frame, for too
    /// long.
    pub(crate) fn take_idle(&mut self, now: Duration) -> Option<Connection> {
        while let Some(connection) = self.deadlines.take_due(now) {
            let Some(open) = self.open.get_mut(&connection) else { continue };
            let half = open.half_since.map_or(Duration::MAX, |since| since + HALF_FRAME);
            let due = half.min(open.last_message + self.idle_timeout);
            if due <= now {
                self.open.remove(&connection);
                return Some(connection);
            }
            open.deadline = self.deadlines.set(due, connection);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use causeway_daemon::service::ConnectionLimits;
    use causeway_net::{AssociationKey, StreamKey};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// At most `all` streams, `each` of them from one prefix, and one association.
    fn caps(all: usize, each: usize) -> ConnectionCaps {
        let limits = ConnectionLimits {
            tcp_connections: all,
            tcp_connections_per_prefix: each,
            dtls_associations: 1,
            dtls_associations_per_prefix: 1,
            half_open_handshakes: 1,
            half_open_handshakes_per_prefix: 1,
            unauthenticated_per_prefix: None,
        };
        limits.caps()
    }

    fn connections(all: usize, each: usize) -> Connections {
        Connections::new(caps(all, each), 10 * SECOND)
    }

    fn key(number: u64) -> Connection {
        Connection::Stream(StreamKey::from_bits(number))
    }

    #[test]
    fn h13_associations_have_places_of_their_own() {
        let mut connections = connections(1, 1);
        let peer = "192.0.2.1".parse().unwrap();
        let association = |number| Connection::Association(AssociationKey::from_bits(number));
        assert!(
            connections
                .admit(SECOND, key(1), peer)
                .and(connections.admit(SECOND, association(1), peer))
                .is_ok()
        );
        assert!(connections.admit(SECOND, association(2), peer).is_err());
        connections.forget(key(1));
        assert!(
            connections.admit(SECOND, association(2), peer).is_err(),
            "a stream and an association with the same number are two"
        );
        assert_eq!(connections.take_idle(11 * SECOND), Some(association(1)));
        assert!(connections.admit(SECOND, association(2), peer).is_ok());
    }

    #[test]
    fn h14_places_are_counted_by_prefix_and_in_all_and_come_back() {
        let mut connections = connections(3, 2);
        let host = "2001:db8:1:2::1".parse().unwrap();
        let neighbour = "2001:db8:1:2:ffff::9".parse().unwrap();
        assert!(connections.admit(SECOND, key(1), host).is_ok());
        assert!(connections.admit(SECOND, key(2), neighbour).is_ok());
        assert!(connections.admit(SECOND, key(3), host).is_err(), "one /64 is one client");
        assert!(connections.admit(SECOND, key(4), "192.0.2.1".parse().unwrap()).is_ok());
        assert!(
            connections.admit(SECOND, key(5), "192.0.2.2".parse().unwrap()).is_err(),
            "three in all"
        );
        connections.forget(key(2));
        assert!(connections.admit(SECOND, key(6), host).is_ok());
    }

    #[test]
    fn h14_a_connection_that_asks_stays_and_one_that_does_not_is_closed_in_time() {
        let mut connections = connections(9, 9);
        let peer = "192.0.2.1".parse().unwrap();
        for number in [1, 2] {
            assert!(connections.admit(SECOND, key(number), peer).is_ok());
        }
        connections.heard(8 * SECOND, key(2));
        assert_eq!(connections.next_deadline(), Some(11 * SECOND));
        assert_eq!(connections.take_idle(11 * SECOND), Some(key(1)));
        assert_eq!(connections.take_idle(11 * SECOND), None);
        assert_eq!(connections.next_deadline(), Some(18 * SECOND));
        assert_eq!(connections.take_idle(18 * SECOND), Some(key(2)));
        assert_eq!(connections.next_deadline(), None);
    }

    #[test]
    fn h14_an_idle_connection_is_closed_in_time_although_others_came_after_it() {
        let mut connections = connections(9, 9);
        let peer = "192.0.2.1".parse().unwrap();
        assert!(connections.admit(SECOND, key(1), peer).is_ok());
        connections.heard(2 * SECOND, key(1));
        assert!(connections.admit(10 * SECOND, key(2), peer).is_ok());
        assert_eq!(connections.take_idle(11 * SECOND), None, "it was heard of since");
        assert_eq!(
            connections.next_deadline(),
            Some(12 * SECOND),
            "and not only when the other is due, at 20 s"
        );
        assert_eq!(connections.take_idle(12 * SECOND), Some(key(1)));
    }

    #[test]
    fn h14_half_a_frame_waits_fifteen_seconds_for_its_rest_however_slowly_it_grows() {
        let mut connections = Connections::new(caps(9, 9), 60 * SECOND);
        let peer = "192.0.2.1".parse().unwrap();
        for number in [1, 2, 3] {
            assert!(connections.admit(SECOND, key(number), peer).is_ok());
        }
        for second in 2..16 {
            connections.half(second * SECOND, key(1));
            connections.half(second * SECOND, key(2));
        }
        connections.heard(16 * SECOND, key(2));
        connections.half(20 * SECOND, key(2)); // another one
        assert_eq!(connections.next_deadline(), Some(17 * SECOND));
        assert_eq!(connections.take_idle(17 * SECOND), Some(key(1)));
        assert_eq!(connections.take_idle(34 * SECOND), None);
        assert_eq!(connections.take_idle(35 * SECOND), Some(key(2)));
        assert_eq!(connections.take_idle(60 * SECOND), None);
        assert_eq!(connections.take_idle(61 * SECOND), Some(key(3)), "which has sent nothing");
        assert!(connections.deadlines.is_empty());
    }

    #[test]
    fn connections_that_come_and_go_leave_nothing_behind() {
        let mut connections = connections(9, 9);
        for number in 0..100_000 {
            assert!(connections.admit(SECOND, key(number), "192.0.2.1".parse().unwrap()).is_ok());
            connections.forget(key(number));
        }
        assert!(connections.deadlines.is_empty());
        assert_eq!(connections.caps.prefixes(), [("stream", 0), ("association", 0)]);
    }
}
