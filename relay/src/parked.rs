use std::collections::BTreeMap;
use std::time::Duration;

use ahash::{AHashMap, AHashSet};

use crate::five_tuple::FiveTuple;

/// So many requests wait for a key at one worker; beyond that there is silence, and the client's retransmission.
pub(crate) const CAPACITY: usize = 1024;
/// So long each waits.
const PATIENCE: Duration = Duration::from_secs(2);
/// A longer request is not kept: what TURN asks of a client fits into a datagram.
const MAX_LEN: usize = 1500;

/// A request that waits.
#[derive(Debug)]
pub(crate) struct ParkedRequest {
    pub(crate) from: FiveTuple,
    pub(crate) bytes: Box<[u8]>,
    username: Box<str>,
}

/// When its time is up, and a number that tells those of one moment apart.
type Place = (Duration, u64);

/// Requests that wait for their users' keys: one a 5-tuple, and as many as [`CAPACITY`], in the order in which their time is up.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    requests: BTreeMap<Place, ParkedRequest>,
    by_five_tuple: AHashMap<FiveTuple, Place>,
    by_user: AHashMap<Box<str>, AHashSet<Place>>,
    next: u64,
}

impl Parked {
    /// Keeps a copy of a request; whether it was taken.
    pub(crate) fn insert(&mut self, now: Duration, from: &FiveTuple, bytes: &[u8], username: &str) -> bool {
        if self.len() >= CAPACITY || bytes.len() > MAX_LEN || self.by_five_tuple.contains_key(from) {
            return false;
        }
        let place = (now.saturating_add(PATIENCE), self.next);
        self.next += 1;
        self.requests.insert(place, ParkedRequest { from: *from, bytes: bytes.into(), username: username.into() });
        self.by_five_tuple.insert(*from, place);
        self.by_user.entry(username.into()).or_default().insert(place);
        true
    }

    /// Whether a request of this user waits, so that the key has been asked for.
    pub(crate) fn is_wanted(&self, username: &str) -> bool {
        self.by_user.contains_key(username)
    }

    /// Those that wait for a user's key, in the order in which they came.
    pub(crate) fn take_user(&mut self, username: &str) -> Vec<ParkedRequest> {
        let mut places: Vec<_> = self.by_user.get(username).into_iter().flatten().copied().collect();
        places.sort_unstable();
        places.into_iter().filter_map(|place| self.take(place)).collect()
    }

    /// One whose time is up.
    pub(crate) fn take_expired(&mut self, now: Duration) -> Option<ParkedRequest> {
        let place = *self.requests.first_key_value().filter(|((until, _), _)| *until <= now)?.0;
        self.take(place)
    }

    pub(crate) fn remove(&mut self, from: &FiveTuple) {
        if let Some(place) = self.by_five_tuple.get(from) {
            self.take(*place);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }

    /// When the first one's time is up.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.requests.first_key_value().map(|((until, _), _)| *until)
    }

    fn take(&mut self, place: Place) -> Option<ParkedRequest> {
        let request = self.requests.remove(&place)?;
        self.by_five_tuple.remove(&request.from);
        if let Some(places) = self.by_user.get_mut(&request.username) {
            places.remove(&place);
            if places.is_empty() {
                self.by_user.remove(&request.username);
            }
        }
        Some(request)
    }
}
