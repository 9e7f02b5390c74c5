//! The slots of the admin listener's connections, and the order in which connections are closed to
//! make room for a new one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

/// The progress of a connection. Connections are closed in the order of these stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Its request is not complete.
    Waiting,
    /// Its request is being answered.
    Answering,
    /// Its `/healthz` or `/readyz` is being answered.
    Health,
}

/// The connections of the admin listener. A new one never waits: if there is no slot, the oldest
/// connection that waits for its request is closed. So neither incomplete requests nor slow readers
/// keep a probe out (H53).
#[derive(Debug)]
pub(super) struct Slots {
    maximum: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// Connections by number, and so in the order of arrival.
    connections: BTreeMap<u64, Connection>,
    next: u64,
}

#[derive(Debug)]
struct Connection {
    peer: IpAddr,
    stage: Stage,
    /// The task, once it runs.
    task: Option<AbortHandle>,
}

/// The slot of one connection, which is free again when this value is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    number: u64,
}

impl Slots {
    /// Slots for at most `maximum` connections, and half as many from one address.
    pub(super) fn new(maximum: usize) -> Arc<Self> {
        Arc::new(Self { maximum: maximum.max(2), held: Mutex::default() })
    }

    /// A slot for a new connection of `peer`, and whether another one was closed for it.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr) -> (Slot, bool) {
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
        (Slot { slots: Arc::clone(self), number }, closed)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // No code panics while it holds the lock.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Closes the oldest of those connections that are in the first stage.
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

impl Slot {
    /// Notes the task of a connection, which closing the connection aborts.
    pub(super) fn watch(slots: &Slots, number: u64, task: AbortHandle) {
        match slots.held().connections.get_mut(&number) {
            Some(connection) => connection.task = Some(task),
            None => task.abort(), // closed, or done already
        }
    }

    /// The number of the connection, for [`watch`](Self::watch).
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Notes that the request is complete. Answers other than health checks take at most half of
    /// the slots; beyond that, the oldest one is closed.
    pub(super) fn answering(&self, health: bool) {
        let mut held = self.slots.held();
        let stage = if health { Stage::Health } else { Stage::Answering };
        if stage == Stage::Answering {
            let answering =
                held.connections.values().filter(|one| one.stage == Stage::Answering).count();
            if answering >= (self.slots.maximum / 2).max(1) {
                held.close_oldest(|one| one.stage == Stage::Answering);
            }
        }
        if let Some(connection) = held.connections.get_mut(&self.number) {
            connection.stage = stage;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.held().connections.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn numbers(slots: &Slots) -> Vec<u64> {
        slots.held().connections.keys().copied().collect()
    }

    #[test]
    fn h53_the_oldest_that_waits_makes_room() {
        let slots = Slots::new(8);
        let take = |last| slots.take(peer(last));
        let (held, closed): (Vec<_>, Vec<_>) =
            [1, 1, 1, 1, 2, 2, 3, 4].into_iter().map(take).unzip();
        assert!(closed.iter().all(|closed| !closed));
        held[0].answering(true);
        held[1].answering(false);
        let (_fifth_of_one, closed) = take(1);
        assert!(closed);
        assert_eq!(
            numbers(&slots),
            [0, 1, 3, 4, 5, 6, 7, 8],
            "its own oldest one that has not asked yet"
        );
        let (_ninth, closed) = take(5);
        assert!(closed);
        assert_eq!(numbers(&slots), [0, 1, 4, 5, 6, 7, 8, 9], "the oldest of all");
        drop(held);
        assert_eq!(numbers(&slots), [8, 9]);
    }

    #[test]
    fn h53_answers_about_health_are_closed_last() {
        let slots = Slots::new(4);
        let held: Vec<_> = (1..=4).map(|last| slots.take(peer(last)).0).collect();
        held[0].answering(true);
        held[1].answering(false);
        held[2].answering(false);
        held[3].answering(false);
        assert_eq!(numbers(&slots), [0, 2, 3], "metrics have half of the slots");
        let _more: Vec<_> = (5..=7).map(|last| slots.take(peer(last)).0).collect();
        assert_eq!(
            numbers(&slots),
            [0, 2, 3, 6],
            "those that wait go before those that are answered"
        );
    }
}
