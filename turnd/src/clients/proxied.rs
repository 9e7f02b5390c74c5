//! The proxies of plain UDP clients.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use ahash::AHashMap;
use causeway_relay::FiveTuple;

/// Maximum number of proxied clients without an allocation that one worker remembers; the one that
/// has been silent for the longest time is evicted first.
const CAPACITY: usize = 65_536;
/// How long a silent client without an allocation is remembered.
const LIFETIME: Duration = Duration::from_secs(2 * 3600);
/// Maximum number of entries with an allocation that one datagram moves to the end of the queue.
const STEPS: usize = 8;
/// Minimum interval between two moves of an entry to the end, however much the client sends.
const TOUCHED: Duration = Duration::from_secs(60);

/// The proxy through which each UDP client was last heard. Only proxies that the operator trusts
/// add entries.
///
/// Datagrams to such a client go to its proxy. The client address in its 5-tuple is the one in the
/// proxy's header.
#[derive(Default)]
pub(crate) struct Proxied {
    /// All transports are UDP.
    by_client: AHashMap<FiveTuple, Entry>,
    order: VecDeque<(Duration, FiveTuple)>,
}

#[derive(Clone, Copy)]
struct Entry {
    proxy: SocketAddr,
    touched: Duration,
}

impl Proxied {
    /// Notes that a client was heard through `proxy`. Returns whether it used another proxy before.
    /// `lives` says whether a client has an allocation: such a client is never evicted, however
    /// many others a proxy forwards.
    pub(crate) fn heard(
        &mut self,
        now: Duration,
        client: &FiveTuple,
        proxy: SocketAddr,
        lives: impl Fn(&FiveTuple) -> bool,
    ) -> bool {
        let mut has_moved = false;
        if let Some(entry) = self.by_client.get_mut(client) {
            has_moved = entry.proxy != proxy;
            entry.proxy = proxy;
            if now < entry.touched + TOUCHED {
                return has_moved;
            }
        }
        self.by_client.insert(*client, Entry { proxy, touched: now });
        self.order.push_back((now, *client));
        self.forget(now, lives);
        has_moved
    }

    /// The proxy in front of the client, if any.
    pub(crate) fn find(&self, client: &FiveTuple) -> Option<SocketAddr> {
        if self.by_client.is_empty() {
            return None;
        }
        self.by_client.get(client).map(|entry| entry.proxy)
    }

    fn forget(&mut self, now: Duration, lives: impl Fn(&FiveTuple) -> bool) {
        let mut steps = 0;
        while let Some(&(touched, key)) = self.order.front().filter(|_| steps < STEPS) {
            let is_stale = self.by_client.get(&key).is_none_or(|entry| entry.touched != touched);
            if !is_stale && self.by_client.len() <= CAPACITY && now < touched + LIFETIME {
                return;
            }
            self.order.pop_front();
            if is_stale {
                continue;
            }
            if !lives(&key) {
                self.by_client.remove(&key);
            } else if let Some(entry) = self.by_client.get_mut(&key) {
                steps += 1;
                entry.touched = now;
                self.order.push_back((now, key));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use causeway_relay::Transport;

    use super::*;

    fn address(number: usize) -> SocketAddr {
        SocketAddr::from(([10, (number >> 16) as u8, (number >> 8) as u8, number as u8], 1000))
    }

    /// The client with this number, at a server of ours.
    fn client(number: usize) -> FiveTuple {
        FiveTuple { client: address(number), server: address(2), transport: Transport::Udp }
    }

    fn never_lives(_: &FiveTuple) -> bool {
        false
    }

    #[test]
    fn a_client_is_reached_through_the_proxy_that_spoke_for_it_last() {
        let mut proxied = Proxied::default();
        let client = client(1);
        assert_eq!(proxied.find(&client), None);
        assert!(!proxied.heard(Duration::ZERO, &client, address(7), never_lives));
        assert!(proxied.heard(Duration::from_secs(1), &client, address(8), never_lives));
        assert!(!proxied.heard(Duration::from_secs(100), &client, address(8), never_lives));
        assert_eq!(proxied.find(&client), Some(address(8)));
        assert_eq!(proxied.find(&FiveTuple { server: address(9), ..client }), None);
    }

    #[test]
    fn h33_the_table_is_bounded_and_the_silent_go_first() {
        let mut proxied = Proxied::default();
        let proxy = address(1);
        for round in 0..3u64 {
            for number in 0..CAPACITY + 1_000 {
                // The first one goes on talking.
                let now = Duration::from_secs(round * 100) + Duration::from_millis(number as u64);
                proxied.heard(now, &client(0), proxy, never_lives);
                proxied.heard(now, &client(number), proxy, never_lives);
                assert!(
                    proxied.by_client.len() <= CAPACITY + 1 && proxied.order.len() <= 3 * CAPACITY
                );
            }
        }
        assert!(proxied.find(&client(0)).is_some());
        proxied.heard(Duration::from_secs(10_000), &client(5), proxy, never_lives);
        assert_eq!(
            proxied.by_client.len(),
            1,
            "a client that was silent for two hours is forgotten"
        );
    }

    #[test]
    fn h33_strangers_never_push_out_who_has_an_allocation() {
        let mut proxied = Proxied::default();
        let proxy = address(1);
        let last = address(999);
        let lives = |five_tuple: &FiveTuple| five_tuple.client <= last;
        for number in 0..2 * CAPACITY {
            proxied.heard(Duration::from_millis(number as u64), &client(number), proxy, lives);
            assert!(
                proxied.by_client.len() <= CAPACITY + 1_000
                    && proxied.order.len() <= CAPACITY + 1_000
            );
        }
        assert!((0..1_000).all(|number| proxied.find(&client(number)).is_some()));
    }
}
