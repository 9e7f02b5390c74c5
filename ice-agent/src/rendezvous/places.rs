//! Places for connections: few for strangers, shared out by prefix, and enough for members that
//! strangers cannot take.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::prefix::{Prefix, PrefixLimit};

/// Maximum number of connections that have not shown a member's token.
pub(super) const STRANGERS: usize = 512;
/// Maximum of these from one address.
const STRANGERS_OF_PREFIX: PrefixLimit = PrefixLimit { narrow: 32 };

/// The places of strangers. A connection of a member leaves its place to the next stranger; the
/// rooms limit how many a member may have.
#[derive(Debug)]
pub(super) struct Places {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    /// By age: the oldest first.
    strangers: BTreeMap<u64, Stranger>,
}

#[derive(Debug)]
struct Stranger {
    /// `None` while a trusted proxy has not said for whom it speaks.
    client: Option<IpAddr>,
    evicted: Arc<Notify>,
}

/// One connection's place; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    evicted: Arc<Notify>,
}

impl Places {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { inner: Mutex::default() })
    }

    /// A place for a new connection. There always is one: the oldest stranger of the same prefix
    /// goes if that has too many, else the oldest of the prefix that has most. What an honest
    /// client asks takes milliseconds, so that it is old only if it waits on purpose.
    pub(super) fn enter(self: &Arc<Self>, client: Option<IpAddr>) -> Place {
        let mut inner = self.lock();
        if inner.strangers.len() >= STRANGERS {
            inner.evict_of_the_most_crowded();
        }
        let number = inner.next;
        inner.next += 1;
        let evicted = Arc::new(Notify::new());
        inner.strangers.insert(number, Stranger { client: None, evicted: Arc::clone(&evicted) });
        drop(inner);
        let place = Place { places: Arc::clone(self), number, evicted };
        if let Some(client) = client {
            place.identify(client);
        }
        place
    }

    /// How many strangers there are.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.lock().strangers.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change is made at once.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn evict(&mut self, number: Option<u64>) {
        if let Some(stranger) = number.and_then(|number| self.strangers.remove(&number)) {
            stranger.evicted.notify_one();
        }
    }

    fn evict_oldest(&mut self, is_meant: impl Fn(Option<IpAddr>) -> bool) {
        let oldest = self
            .strangers
            .iter()
            .find(|(_, stranger)| is_meant(stranger.client))
            .map(|(number, _)| *number);
        self.evict(oldest);
    }

    fn evict_of_the_most_crowded(&mut self) {
        let mut counts = std::collections::HashMap::<Option<Prefix>, usize>::new();
        for stranger in self.strangers.values() {
            *counts.entry(stranger.client.map(Prefix::wide)).or_default() += 1;
        }
        let crowded =
            counts.into_iter().max_by_key(|(_, count)| *count).and_then(|(prefix, _)| prefix);
        self.evict_oldest(|client| client.map(Prefix::wide) == crowded);
    }
}

impl Place {
    /// Says whose connection it is. The prefix's oldest stranger goes if there are too many.
    pub(super) fn identify(&self, client: IpAddr) {
        let mut inner = self.places.lock();
        let Some(own) = inner.strangers.remove(&self.number) else { return };
        let others = inner.strangers.values().filter_map(|stranger| stranger.client);
        if let Some(prefix) = STRANGERS_OF_PREFIX.reached(client, others) {
            inner.evict_oldest(|other| other.map(prefix) == Some(prefix(client)));
        }
        inner.strangers.insert(self.number, Stranger { client: Some(client), ..own });
    }

    /// The connection has shown a member's token: it is no stranger's any more. `false` if it was
    /// evicted before.
    pub(super) fn promote(&self) -> bool {
        self.places.lock().strangers.remove(&self.number).is_some()
    }

    /// Whether it still is a stranger's.
    pub(super) fn is_stranger(&self) -> bool {
        self.places.lock().strangers.contains_key(&self.number)
    }

    /// Resolves when the connection has to give way.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().strangers.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(a: u8, b: u8) -> Option<IpAddr> {
        Some([10, a, 0, b].into())
    }

    fn is_in(place: &Place) -> bool {
        place.is_stranger()
    }

    #[tokio::test]
    async fn an_address_with_too_many_displaces_itself() {
        let places = Places::new();
        let victim = places.enter(ip(0, 1));
        let crowd: Vec<Place> = (0..40).map(|_| places.enter(ip(1, 1))).collect();
        assert_eq!(crowd.iter().filter(|place| is_in(place)).count(), STRANGERS_OF_PREFIX.narrow);
        assert!(is_in(&victim) && !is_in(&crowd[0]) && is_in(&crowd[39]));
        crowd[0].evicted().await;
        assert!(!crowd[0].promote());
    }

    #[test]
    fn a_network_with_too_many_displaces_itself() {
        let places = Places::new();
        let victim = places.enter(ip(0, 1));
        let crowd: Vec<Place> = (0..=255).map(|host| places.enter(ip(1, host))).collect();
        assert_eq!(crowd.iter().filter(|place| is_in(place)).count(), STRANGERS_OF_PREFIX.wide());
        assert!(is_in(&victim));
    }

    #[test]
    fn when_all_places_are_taken_the_most_crowded_network_gives_way() {
        let places = Places::new();
        let victims: Vec<Place> =
            (0..8).map(|network| places.enter(ip(100 + network, 1))).collect();
        let crowd: Vec<Place> = (0..40_u8)
            .flat_map(|network| (0..20).map(move |host| ip(network, host)))
            .map(|client| places.enter(client))
            .collect();
        assert_eq!(places.len(), STRANGERS);
        assert!(victims.iter().all(is_in) && crowd.last().is_some_and(is_in));
    }

    #[test]
    fn members_and_what_has_ended_take_no_place() {
        let places = Places::new();
        let member = places.enter(ip(0, 1));
        assert!(member.promote() && !member.is_stranger());
        drop(places.enter(None));
        assert_eq!(places.len(), 0);
    }
}
