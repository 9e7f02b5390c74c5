//! Requests that wait for their users' keys, bounded for each client, prefix and network.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ahash::{AHashMap, AHashSet};
use smallvec::SmallVec;

use crate::five_tuple::FiveTuple;
use crate::quota::PrefixCounts;

/// Maximum number of requests that wait for keys at one worker. Further ones are dropped, and
/// retransmitted by their clients.
pub(crate) const CAPACITY: usize = 1024;
/// Maximum number of them from one IPv4 address or one IPv6 /64, so that no client with many ports
/// keeps others from their first request.
const OF_ONE_PREFIX: u32 = 64;
/// Maximum number of them from one IPv4 /24 or one IPv6 /48, which one customer may own.
const OF_ONE_NETWORK: u32 = 256;
/// How long each waits.
const PATIENCE: Duration = Duration::from_secs(2);
/// Maximum number of them from one connection: "there are no retransmissions at the STUN protocol
/// level" over TCP (RFC 8489 §6.2.2), so that a dropped request would never be answered. Over UDP,
/// one waits; the client retransmits the others.
const OF_ONE_CONNECTION: usize = 8;
/// Maximum length of a request that is kept: TURN requests fit into a datagram.
const MAX_LEN: usize = 1500;

/// A waiting request.
#[derive(Debug)]
pub(crate) struct ParkedRequest {
    pub(crate) from: FiveTuple,
    pub(crate) bytes: Box<[u8]>,
    username: Box<str>,
}

/// When the wait ends, and a number that distinguishes waits that end at the same time.
type Place = (Duration, u64);

/// The waiting requests, in the order in which their waits end: one per 5-tuple, eight per
/// connection, [`CAPACITY`] in all.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    requests: BTreeMap<Place, ParkedRequest>,
    by_five_tuple: AHashMap<FiveTuple, SmallVec<[Place; 1]>>,
    by_user: AHashMap<Box<str>, AHashSet<Place>>,
    prefixes: PrefixCounts,
    networks: PrefixCounts,
    next: u64,
}

impl Parked {
    /// Keeps a copy of a request. Returns whether there was room.
    pub(crate) fn insert(
        &mut self,
        now: Duration,
        from: &FiveTuple,
        bytes: &[u8],
        username: &str,
    ) -> bool {
        let most = if from.transport.is_stream() { OF_ONE_CONNECTION } else { 1 };
        let waiting = self.by_five_tuple.get(from).map_or(0, SmallVec::len);
        if self.len() >= CAPACITY
            || bytes.len() > MAX_LEN
            || waiting >= most
            || self.has_its_share(from.client.ip())
        {
            return false;
        }
        self.prefixes.add(from.client.ip());
        self.networks.add(network(from.client.ip()));
        let place = (now.saturating_add(PATIENCE), self.next);
        self.next += 1;
        self.requests.insert(
            place,
            ParkedRequest { from: *from, bytes: bytes.into(), username: username.into() },
        );
        self.by_five_tuple.entry(*from).or_default().push(place);
        self.by_user.entry(username.into()).or_default().insert(place);
        true
    }

    fn has_its_share(&self, client: IpAddr) -> bool {
        self.prefixes.count(client) >= OF_ONE_PREFIX
            || self.networks.count(network(client)) >= OF_ONE_NETWORK
    }

    /// Whether a request of this user waits: then its key has been asked for.
    pub(crate) fn is_wanted(&self, username: &str) -> bool {
        self.by_user.contains_key(username)
    }

    /// Removes the requests that wait for a user's key, in their order of arrival.
    pub(crate) fn take_user(&mut self, username: &str) -> Vec<ParkedRequest> {
        let mut places: Vec<_> =
            self.by_user.get(username).into_iter().flatten().copied().collect();
        places.sort_unstable();
        places.into_iter().filter_map(|place| self.take(place)).collect()
    }

    /// Removes a request whose wait has ended.
    pub(crate) fn take_expired(&mut self, now: Duration) -> Option<ParkedRequest> {
        let place = *self.requests.first_key_value().filter(|((until, _), _)| *until <= now)?.0;
        self.take(place)
    }

    pub(crate) fn remove(&mut self, from: &FiveTuple) {
        for place in self.by_five_tuple.get(from).cloned().unwrap_or_default() {
            self.take(place);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }

    /// When the first wait ends.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.requests.first_key_value().map(|((until, _), _)| *until)
    }

    fn take(&mut self, place: Place) -> Option<ParkedRequest> {
        let request = self.requests.remove(&place)?;
        self.prefixes.remove(request.from.client.ip());
        self.networks.remove(network(request.from.client.ip()));
        if let Some(places) = self.by_five_tuple.get_mut(&request.from) {
            places.retain(|other| *other != place);
            if places.is_empty() {
                self.by_five_tuple.remove(&request.from);
            }
        }
        if let Some(places) = self.by_user.get_mut(&request.username) {
            places.remove(&place);
            if places.is_empty() {
                self.by_user.remove(&request.username);
            }
        }
        Some(request)
    }
}

/// Requests whose wait has ended, with a key or without.
#[derive(Debug, Default)]
pub(crate) struct Ready(VecDeque<(ParkedRequest, Outcome)>);

/// Whether the source of keys has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered,
    Failed,
}

impl Ready {
    pub(crate) fn push(&mut self, request: ParkedRequest, outcome: Outcome) {
        self.0.push_back((request, outcome));
    }

    pub(crate) fn pop(&mut self) -> Option<(ParkedRequest, Outcome)> {
        self.0.pop_front()
    }

    pub(crate) fn remove(&mut self, from: &FiveTuple) {
        self.0.retain(|(request, _)| request.from != *from);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The /24 or /48 of a client.
fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() & !0 << 8).into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !0 << 80).into(),
    }
}
