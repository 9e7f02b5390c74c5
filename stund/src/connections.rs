//! Connections of TCP and TLS, associations of DTLS: how many, from where, and for how long (H13,
//! H14).

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use causeway_net::{AssociationKey, ClientLimit, LimitGuard, LimitReached, StreamKey};

/// How long half a frame may wait for its rest, where the idle timeout is not shorter.
const HALF_FRAME: Duration = Duration::from_secs(15);

/// What a client is connected by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Connection {
    /// TCP, or TLS over it.
    Stream(StreamKey),
    /// DTLS.
    Association(AssociationKey),
}

/// The connections of one worker.
#[derive(Debug)]
pub(crate) struct Connections {
    streams: Arc<ClientLimit>,
    associations: Arc<ClientLimit>,
    idle_timeout: Duration,
    open: HashMap<Connection, Open>,
    /// When each connection is to be looked at: once a timeout, however much it asks.
    looks: BTreeMap<Look, Connection>,
    /// Looks planned so far.
    planned: u64,
}

/// When a connection is looked at, and a number that tells those of one moment apart.
type Look = (Duration, u64);

#[derive(Debug)]
struct Open {
    last_message: Duration,
    /// When the frame that has not come whole began.
    half_since: Option<Duration>,
    look: Look,
    _place: LimitGuard,
}

impl Connections {
    pub(crate) fn new(
        streams: Arc<ClientLimit>,
        associations: Arc<ClientLimit>,
        idle_timeout: Duration,
    ) -> Self {
        Connections {
            streams,
            associations,
            idle_timeout,
            open: HashMap::new(),
            looks: BTreeMap::new(),
            planned: 0,
        }
    }

    /// Takes one more in.
    ///
    /// # Errors
    /// There is no room for it.
    // Deviation: RFC 3489 §12.1: a connection that is one too many is refused, and no other dropped
    // for it: whoever opens many would else end those of everybody else.
    pub(crate) fn admit(
        &mut self,
        now: Duration,
        key: Connection,
        peer: IpAddr,
    ) -> Result<(), LimitReached> {
        let places = match key {
            Connection::Stream(_) => &self.streams,
            Connection::Association(_) => &self.associations,
        };
        let place = places.take(peer)?;
        self.forget(key);
        let look = self.plan(now + self.idle_timeout, key);
        self.open.insert(key, Open { last_message: now, half_since: None, look, _place: place });
        Ok(())
    }

    fn plan(&mut self, when: Duration, key: Connection) -> Look {
        let look = (when, self.planned);
        self.planned += 1;
        self.looks.insert(look, key);
        look
    }

    /// A whole message came.
    pub(crate) fn heard(&mut self, now: Duration, key: Connection) {
        if let Some(connection) = self.open.get_mut(&key) {
            connection.last_message = now;
            connection.half_since = None;
        }
    }

    /// A part of a frame came, and nothing behind it.
    pub(crate) fn half(&mut self, now: Duration, key: Connection) {
        let due = now + HALF_FRAME.min(self.idle_timeout);
        let Some(connection) =
            self.open.get_mut(&key).filter(|connection| connection.half_since.is_none())
        else {
            return;
        };
        connection.half_since = Some(now);
        let look = connection.look;
        if due < look.0 {
            self.looks.remove(&look);
            let look = self.plan(due, key);
            if let Some(connection) = self.open.get_mut(&key) {
                connection.look = look;
            }
        }
    }

    /// It is gone.
    pub(crate) fn forget(&mut self, key: Connection) {
        if let Some(open) = self.open.remove(&key) {
            self.looks.remove(&open.look);
        }
    }

    /// When [`take_idle`](Self::take_idle) is to be asked.
    pub(crate) fn next_look(&self) -> Option<Duration> {
        self.looks.first_key_value().map(|((when, _), _)| *when)
    }

    /// Forgets and names one connection that asked nothing, or left half a frame, for too long.
    pub(crate) fn take_idle(&mut self, now: Duration) -> Option<Connection> {
        while let Some((&(when, number), &key)) =
            self.looks.first_key_value().filter(|((when, _), _)| *when <= now)
        {
            self.looks.remove(&(when, number));
            let Some(connection) = self.open.get(&key) else { continue };
            let half = connection.half_since.map_or(Duration::MAX, |since| since + HALF_FRAME);
            let due = half.min(connection.last_message + self.idle_timeout);
            if due <= now {
                self.open.remove(&key);
                return Some(key);
            }
            let look = self.plan(due, key);
            if let Some(connection) = self.open.get_mut(&key) {
                connection.look = look;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn connections(all: usize, each: usize) -> Connections {
        Connections::new(ClientLimit::new(all, each), ClientLimit::new(1, 1), 10 * SECOND)
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
    fn h14_who_asks_stays_and_who_does_not_goes_in_time() {
        let mut connections = connections(9, 9);
        let peer = "192.0.2.1".parse().unwrap();
        for number in [1, 2] {
            assert!(connections.admit(SECOND, key(number), peer).is_ok());
        }
        connections.heard(8 * SECOND, key(2));
        assert_eq!(connections.next_look(), Some(11 * SECOND));
        assert_eq!(connections.take_idle(11 * SECOND), Some(key(1)));
        assert_eq!(connections.take_idle(11 * SECOND), None);
        assert_eq!(connections.next_look(), Some(18 * SECOND));
        assert_eq!(connections.take_idle(18 * SECOND), Some(key(2)));
        assert_eq!(connections.next_look(), None);
    }

    #[test]
    fn h14_an_idle_connection_goes_in_time_though_others_came_after_it() {
        let mut connections = connections(9, 9);
        let peer = "192.0.2.1".parse().unwrap();
        assert!(connections.admit(SECOND, key(1), peer).is_ok());
        connections.heard(2 * SECOND, key(1));
        assert!(connections.admit(10 * SECOND, key(2), peer).is_ok());
        assert_eq!(connections.take_idle(11 * SECOND), None, "it was heard of since");
        assert_eq!(
            connections.next_look(),
            Some(12 * SECOND),
            "and not only when the other is due, at 20 s"
        );
        assert_eq!(connections.take_idle(12 * SECOND), Some(key(1)));
    }

    #[test]
    fn h14_half_a_frame_waits_fifteen_seconds_for_its_rest_however_slowly_it_grows() {
        let mut connections =
            Connections::new(ClientLimit::new(9, 9), ClientLimit::new(1, 1), 60 * SECOND);
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
        assert_eq!(connections.next_look(), Some(17 * SECOND));
        assert_eq!(connections.take_idle(17 * SECOND), Some(key(1)));
        assert_eq!(connections.take_idle(34 * SECOND), None);
        assert_eq!(connections.take_idle(35 * SECOND), Some(key(2)));
        assert_eq!(connections.take_idle(60 * SECOND), None);
        assert_eq!(connections.take_idle(61 * SECOND), Some(key(3)), "which has sent nothing");
        assert!(connections.looks.is_empty());
    }

    #[test]
    fn connections_that_come_and_go_leave_nothing_behind() {
        let mut connections = connections(9, 9);
        for number in 0..100_000 {
            assert!(connections.admit(SECOND, key(number), "192.0.2.1".parse().unwrap()).is_ok());
            connections.forget(key(number));
        }
        assert!(connections.looks.is_empty());
        assert_eq!((connections.streams.taken(), connections.streams.prefixes()), (0, 0));
    }
}
