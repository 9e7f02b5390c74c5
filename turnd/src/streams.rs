use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use causeway_net::{StreamInfo, StreamKey};
use causeway_relay::{FiveTuple, Transport};

use crate::tally::{Held, Tally};

/// The caps on clients' connections, over all workers (H14).
#[derive(Clone)]
pub(crate) struct StreamCaps {
    all: Arc<Tally<()>>,
    per_prefix: Arc<Tally<IpAddr>>,
    patience: Duration,
}

impl StreamCaps {
    /// `patience`: how long a connection may be without an allocation.
    pub(crate) fn new(all: usize, per_prefix: usize, patience: Duration) -> Self {
        Self { all: Tally::new(all), per_prefix: Tally::new(per_prefix), patience }
    }

    /// Prefixes that hold a connection.
    pub(crate) fn prefixes(&self) -> usize {
        self.per_prefix.len()
    }
}

/// The clients' connections of one worker.
pub(crate) struct Streams {
    caps: StreamCaps,
    by_five_tuple: AHashMap<FiveTuple, Entry>,
    /// When to look whether a connection has an allocation: in the order of time, since all are given the same patience.
    deadlines: VecDeque<(Duration, FiveTuple, StreamKey)>,
}

struct Entry {
    key: StreamKey,
    _held: (Held<()>, Held<IpAddr>),
}

impl Streams {
    pub(crate) fn new(caps: StreamCaps) -> Self {
        Self { caps, by_five_tuple: AHashMap::new(), deadlines: VecDeque::new() }
    }

    /// Takes a connection in; `false` when a cap is reached.
    pub(crate) fn admit(&mut self, now: Duration, stream: &StreamInfo) -> bool {
        let held = self.caps.all.acquire(()).zip(self.caps.per_prefix.acquire(prefix(stream.peer.ip())));
        let Some(held) = held else { return false };
        let five_tuple = five_tuple(stream);
        self.by_five_tuple.insert(five_tuple, Entry { key: stream.key, _held: held });
        self.watch(now, &five_tuple);
        true
    }

    /// Has the connection looked at when its patience has run out.
    pub(crate) fn watch(&mut self, now: Duration, five_tuple: &FiveTuple) {
        if let Some(key) = self.key(five_tuple) {
            self.deadlines.push_back((now + self.caps.patience, *five_tuple, key));
        }
    }

    pub(crate) fn remove(&mut self, five_tuple: &FiveTuple) {
        self.by_five_tuple.remove(five_tuple);
    }

    pub(crate) fn key(&self, five_tuple: &FiveTuple) -> Option<StreamKey> {
        self.by_five_tuple.get(five_tuple).map(|entry| entry.key)
    }

    /// The next connection to be looked at whose time has come and that still stands.
    pub(crate) fn due(&mut self, now: Duration) -> Option<(FiveTuple, StreamKey)> {
        while self.deadlines.front().is_some_and(|(at, ..)| *at <= now) {
            let (_, five_tuple, key) = self.deadlines.pop_front()?;
            if self.key(&five_tuple) == Some(key) {
                return Some((five_tuple, key));
            }
        }
        None
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.front().map(|(at, ..)| *at)
    }
}

/// The 5-tuple of a connection.
pub(crate) fn five_tuple(stream: &StreamInfo) -> FiveTuple {
    FiveTuple { client: stream.peer, server: stream.local, transport: Transport::Tcp }
}

/// One IPv4 address, or one IPv6 /64.
fn prefix(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
    }
}
