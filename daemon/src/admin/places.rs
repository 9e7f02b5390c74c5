//! The admin listener's connections: the order in which they are closed when there is no room for a
//! new one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

/// How far a connection is. In this order one is closed to make room: the first of these stages
/// that any connection is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Its request has not come whole.
    Waiting,
    /// It is being answered.
    Answering,
    /// Its `/healthz` or `/readyz` is being answered.
    Health,
}

/// The connections of the admin listener. A new one is never kept waiting: if there is no room, the
/// oldest of those that wait for a request is closed; so neither half requests nor slow readers
/// keep a probe out (H53).
#[derive(Debug)]
pub(super) struct Places {
    maximum: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// In the order in which they came.
    connections: BTreeMap<u64, Connection>,
    next: u64,
}

#[derive(Debug)]
struct Connection {
    peer: IpAddr,
    stage: Stage,
    /// Set once its task runs.
    task: Option<AbortHandle>,
}

/// One connection's place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
}

impl Places {
    /// At most `maximum` connections, and half of that from one address.
    pub(super) fn new(maximum: usize) -> Arc<Self> {
        Arc::new(Self { maximum: maximum.max(2), held: Mutex::default() })
    }

    /// A place for a new connection of `peer`, and whether another had to be closed for it.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr) -> (Place, bool) {
        let mut held = self.held();
        let of_peer = held.connections.values().filter(|one| one.peer == peer).count();
        let closed = if of_peer >= self.maximum / 2 {
            held.close_oldest(|one| one.peer == peer)
        } else {
            held.connections.len() >= self.maximum && held.close_oldest(|_| true)
        };
        let number = held.next;
        held.next += 1;
        held.connections.insert(number, Connection { peer, stage: Stage::Waiting, task: None });
        (Place { places: Arc::clone(self), number }, closed)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing between two of its changes can panic.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Closes the oldest of the first stage that any of these connections is in.
    fn close_oldest(&mut self, among: impl Fn(&Connection) -> bool) -> bool {
        let candidates = self.connections.iter().filter(|(_, one)| among(one));
        let Some(number) =
            candidates.min_by_key(|(number, one)| (one.stage, **number)).map(|(number, _)| *number)
        else {
            return false;
        };
        if let Some(task) = self.connections.remove(&number).and_then(|closed| closed.task) {
            task.abort();
        }
        true
    }
}

impl Place {
    /// The number by which [`watch`](Self::watch) names it.
    pub(super) fn watch(places: &Places, number: u64, task: AbortHandle) {
        match places.held().connections.get_mut(&number) {
            Some(connection) => connection.task = Some(task),
            None => task.abort(), // closed, or done already
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The request has come. Answers other than those about health take at most half of the places:
    /// beyond, the oldest is closed.
    pub(super) fn answering(&self, health: bool) {
        let mut held = self.places.held();
        let stage = if health { Stage::Health } else { Stage::Answering };
        if stage == Stage::Answering {
            let answering =
                held.connections.values().filter(|one| one.stage == Stage::Answering).count();
            if answering >= (self.places.maximum / 2).max(1) {
                held.close_oldest(|one| one.stage == Stage::Answering);
            }
        }
        if let Some(connection) = held.connections.get_mut(&self.number) {
            connection.stage = stage;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.held().connections.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn numbers(places: &Places) -> Vec<u64> {
        places.held().connections.keys().copied().collect()
    }

    #[test]
    fn h53_the_oldest_that_waits_makes_room() {
        let places = Places::new(8);
        let take = |last| places.take(peer(last));
        let (held, closed): (Vec<_>, Vec<_>) =
            [1, 1, 1, 1, 2, 2, 3, 4].into_iter().map(take).unzip();
        assert!(closed.iter().all(|closed| !closed));
        held[0].answering(true);
        held[1].answering(false);
        let (_fifth_of_one, closed) = take(1);
        assert!(closed);
        assert_eq!(
            numbers(&places),
            [0, 1, 3, 4, 5, 6, 7, 8],
            "its own oldest one that has not asked yet"
        );
        let (_ninth, closed) = take(5);
        assert!(closed);
        assert_eq!(numbers(&places), [0, 1, 4, 5, 6, 7, 8, 9], "the oldest of all");
        drop(held);
        assert_eq!(numbers(&places), [8, 9]);
    }

    #[test]
    fn h53_answers_about_health_are_closed_last() {
        let places = Places::new(4);
        let held: Vec<_> = (1..=4).map(|last| places.take(peer(last)).0).collect();
        held[0].answering(true);
        held[1].answering(false);
        held[2].answering(false);
        held[3].answering(false);
        assert_eq!(numbers(&places), [0, 2, 3], "metrics have half of the places");
        let _more: Vec<_> = (5..=7).map(|last| places.take(peer(last)).0).collect();
        assert_eq!(
            numbers(&places),
            [0, 2, 3, 6],
            "those that wait go before those that are answered"
        );
    }
}
