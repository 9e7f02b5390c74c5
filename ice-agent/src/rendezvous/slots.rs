//! Slots for connections that have not shown a member's token, shared fairly between prefixes.
//! Members' connections need no slot, so others cannot block them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::prefix::{Prefix, PrefixLimit};

/// Maximum number of connections without a member's token.
pub(super) const MAX_UNAUTHENTICATED: usize = 512;
/// Maximum number of these from one prefix.
const MAX_OF_PREFIX: PrefixLimit = PrefixLimit { narrow: 32 };

/// The slots. A connection that shows a member's token leaves its slot; the rooms limit the
/// requests of a member.
#[derive(Debug)]
pub(super) struct Slots {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    /// By number, so that the oldest comes first.
    unauthenticated: BTreeMap<u64, Unauthenticated>,
}

#[derive(Debug)]
struct Unauthenticated {
    /// The client's address; `None` while a trusted proxy has not named it.
    client: Option<IpAddr>,
    evicted: Arc<Notify>,
}

/// The slot of one connection, which is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    number: u64,
    evicted: Arc<Notify>,
}

impl Slots {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { inner: Mutex::default() })
    }

    /// Assigns a slot to a new connection. If the connection's prefix has too many slots, its
    /// oldest is evicted; if all slots are taken, the oldest of the prefix that has most. An honest
    /// request takes milliseconds, so an old connection without a token waits on purpose.
    pub(super) fn enter(self: &Arc<Self>, client: Option<IpAddr>) -> Slot {
        let mut inner = self.lock();
        if inner.unauthenticated.len() >= MAX_UNAUTHENTICATED {
            inner.evict_from_largest_prefix();
        }
        let number = inner.next;
        inner.next += 1;
        let evicted = Arc::new(Notify::new());
        inner
            .unauthenticated
            .insert(number, Unauthenticated { client: None, evicted: Arc::clone(&evicted) });
        drop(inner);
        let slot = Slot { slots: Arc::clone(self), number, evicted };
        if let Some(client) = client {
            slot.identify(client);
        }
        slot
    }

    /// The number of slots in use.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.lock().unauthenticated.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each change is complete before a panic could poison the lock.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn evict(&mut self, number: Option<u64>) {
        if let Some(entry) = number.and_then(|number| self.unauthenticated.remove(&number)) {
            entry.evicted.notify_one();
        }
    }

    fn evict_oldest(&mut self, matches: impl Fn(Option<IpAddr>) -> bool) {
        let oldest = self
            .unauthenticated
            .iter()
            .find(|(_, entry)| matches(entry.client))
            .map(|(number, _)| *number);
        self.evict(oldest);
    }

    fn evict_from_largest_prefix(&mut self) {
        let mut counts = std::collections::HashMap::<Option<Prefix>, usize>::new();
        for entry in self.unauthenticated.values() {
            *counts.entry(entry.client.map(Prefix::wide)).or_default() += 1;
        }
        let largest =
            counts.into_iter().max_by_key(|(_, count)| *count).and_then(|(prefix, _)| prefix);
        self.evict_oldest(|client| client.map(Prefix::wide) == largest);
    }
}

impl Slot {
    /// Sets the client's address. If its prefix has too many slots, its oldest one is evicted.
    pub(super) fn identify(&self, client: IpAddr) {
        let mut inner = self.slots.lock();
        let Some(own) = inner.unauthenticated.remove(&self.number) else { return };
        let others = inner.unauthenticated.values().filter_map(|entry| entry.client);
        if let Some(prefix) = MAX_OF_PREFIX.reached(client, others) {
            inner.evict_oldest(|other| other.map(prefix) == Some(prefix(client)));
        }
        inner.unauthenticated.insert(self.number, Unauthenticated { client: Some(client), ..own });
    }

    /// Frees the slot of a connection that has shown a member's token; `false` if it was evicted
    /// before.
    pub(super) fn promote(&self) -> bool {
        self.slots.lock().unauthenticated.remove(&self.number).is_some()
    }

    /// Whether it still is a entry's.
    pub(super) fn is_unauthenticated(&self) -> bool {
        self.slots.lock().unauthenticated.contains_key(&self.number)
    }

    /// Resolves when the connection is evicted.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.lock().unauthenticated.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(a: u8, b: u8) -> Option<IpAddr> {
        Some([10, a, 0, b].into())
    }

    fn is_in(slot: &Slot) -> bool {
        slot.is_unauthenticated()
    }

    #[tokio::test]
    async fn an_address_with_too_many_displaces_itself() {
        let slots = Slots::new();
        let victim = slots.enter(ip(0, 1));
        let crowd: Vec<Slot> = (0..40).map(|_| slots.enter(ip(1, 1))).collect();
        assert_eq!(crowd.iter().filter(|slot| is_in(slot)).count(), MAX_OF_PREFIX.narrow);
        assert!(is_in(&victim) && !is_in(&crowd[0]) && is_in(&crowd[39]));
        crowd[0].evicted().await;
        assert!(!crowd[0].promote());
    }

    #[test]
    fn a_network_with_too_many_displaces_itself() {
        let slots = Slots::new();
        let victim = slots.enter(ip(0, 1));
        let crowd: Vec<Slot> = (0..=255).map(|host| slots.enter(ip(1, host))).collect();
        assert_eq!(crowd.iter().filter(|slot| is_in(slot)).count(), MAX_OF_PREFIX.wide());
        assert!(is_in(&victim));
    }

    #[test]
    fn when_all_places_are_taken_the_most_largest_network_gives_way() {
        let slots = Slots::new();
        let victims: Vec<Slot> = (0..8).map(|network| slots.enter(ip(100 + network, 1))).collect();
        let crowd: Vec<Slot> = (0..40_u8)
            .flat_map(|network| (0..20).map(move |host| ip(network, host)))
            .map(|client| slots.enter(client))
            .collect();
        assert_eq!(slots.len(), MAX_UNAUTHENTICATED);
        assert!(victims.iter().all(is_in) && crowd.last().is_some_and(is_in));
    }

    #[test]
    fn members_and_what_has_ended_take_no_place() {
        let slots = Slots::new();
        let member = slots.enter(ip(0, 1));
        assert!(member.promote() && !member.is_unauthenticated());
        drop(slots.enter(None));
        assert_eq!(slots.len(), 0);
    }
}
