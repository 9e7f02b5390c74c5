//! The proxies of plain UDP clients.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use ahash::AHashMap;

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
    by_client: AHashMap<(SocketAddr, SocketAddr), Entry>,
    order: VecDeque<(Duration, (SocketAddr, SocketAddr))>,
}

#[derive(Clone, Copy)]
struct Entry {
    proxy: SocketAddr,
    touched: Duration,
}

impl Proxied {
    /// Notes that `client` was heard at `server`, an address of ours, through `proxy`. Returns
    /// whether it used another proxy before. `lives` says whether a client at a server address has
    /// an allocation: such a client is never evicted, however many others a proxy forwards.
    pub(crate) fn heard(
        &mut self,
        now: Duration,
        (client, server): (SocketAddr, SocketAddr),
        proxy: SocketAddr,
        lives: impl Fn(SocketAddr, SocketAddr) -> bool,
    ) -> bool {
        let mut has_moved = false;
        let key = (client, server);
        if let Some(entry) = self.by_client.get_mut(&key) {
            has_moved = entry.proxy != proxy;
            entry.proxy = proxy;
            if now < entry.touched + TOUCHED {
                return has_moved;
            }
        }
        self.by_client.insert(key, Entry { proxy, touched: now });
        self.order.push_back((now, key));
        self.forget(now, lives);
        has_moved
    }

    /// The proxy between `client` and `server`, if any.
    pub(crate) fn find(&self, client: SocketAddr, server: SocketAddr) -> Option<SocketAddr> {
        if self.by_client.is_empty() {
            return None;
        }
        self.by_client.get(&(client, server)).map(|entry| entry.proxy)
    }

    fn forget(&mut self, now: Duration, lives: impl Fn(SocketAddr, SocketAddr) -> bool) {
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
            if !lives(key.0, key.1) {
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
    use super::*;

    fn address(number: usize) -> SocketAddr {
        SocketAddr::from(([10, (number >> 16) as u8, (number >> 8) as u8, number as u8], 1000))
    }

    fn never_lives(_: SocketAddr, _: SocketAddr) -> bool {
        false
    }

    #[test]
    fn a_client_is_reached_through_the_proxy_that_spoke_for_it_last() {
        let mut proxied = Proxied::default();
        let (client, server) = (address(1), address(2));
        assert_eq!(proxied.find(client, server), None);
        assert!(!proxied.heard(Duration::ZERO, (client, server), address(7), never_lives));
        assert!(proxied.heard(Duration::from_secs(1), (client, server), address(8), never_lives));
        assert!(!proxied.heard(
            Duration::from_secs(100),
            (client, server),
            address(8),
            never_lives
        ));
        assert_eq!(proxied.find(client, server), Some(address(8)));
        assert_eq!(proxied.find(client, address(9)), None);
    }

    #[test]
    fn h33_the_table_is_bounded_and_the_silent_go_first() {
        let mut proxied = Proxied::default();
        let (server, proxy) = (address(2), address(1));
        for round in 0..3u64 {
            for number in 0..CAPACITY + 1_000 {
                // The first one goes on talking.
                let now = Duration::from_secs(round * 100) + Duration::from_millis(number as u64);
                proxied.heard(now, (address(0), server), proxy, never_lives);
                proxied.heard(now, (address(number), server), proxy, never_lives);
                assert!(
                    proxied.by_client.len() <= CAPACITY + 1 && proxied.order.len() <= 3 * CAPACITY
                );
            }
        }
        assert!(proxied.find(address(0), server).is_some());
        proxied.heard(Duration::from_secs(10_000), (address(5), server), proxy, never_lives);
        assert_eq!(
            proxied.by_client.len(),
            1,
            "a client that was silent for two hours is forgotten"
        );
    }

    #[test]
    fn h33_strangers_never_push_out_who_has_an_allocation() {
        let mut proxied = Proxied::default();
        let (server, proxy) = (address(2), address(1));
        let last = address(999);
        let lives = |client: SocketAddr, _: SocketAddr| client <= last;
        for number in 0..2 * CAPACITY {
            proxied.heard(
                Duration::from_millis(number as u64),
                (address(number), server),
                proxy,
                lives,
            );
            assert!(
                proxied.by_client.len() <= CAPACITY + 1_000
                    && proxied.order.len() <= CAPACITY + 1_000
            );
        }
        assert!((0..1_000).all(|number| proxied.find(address(number), server).is_some()));
    }
}
