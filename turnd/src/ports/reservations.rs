//! Ports that are reserved for a second Allocate (RFC 8656 §7.2).

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ahash::AHashMap;
use causeway_relay::BoundAddress;
use rand::CryptoRng;

use crate::clients::quota::{Held, Tally};

/// "The server MUST hold this reservation for at least 30 seconds" (RFC 8656 §7.2); longer would
/// only help clients that hoard ports (H32).
const HOLD: Duration = Duration::from_secs(30);
/// The value of `next` without a reservation.
const NEVER: u64 = u64::MAX;

/// RESERVATION-TOKEN (RFC 8656 §18.10).
pub(crate) type Token = [u8; 8];

/// The ports that are reserved for a second Allocate, shared by all workers, since any of them may
/// get it. Its lock is taken only for EVEN-PORT with the R bit set and for RESERVATION-TOKEN;
/// reading the next expiry takes none.
///
/// A reservation counts against its user and against a share of all ports, so that reserving and
/// releasing in turn does not drain the pool.
// Deviation: RFC 8656 §7.2: a token is valid only for the user that received it, though any request
// may carry it: an eavesdropper cannot take the port with it. Reservations end with the process,
// even less than 30 seconds after they were made.
pub(crate) struct Reservations {
    table: Mutex<Table>,
    /// The expiry of the first reservation, in monotonic nanoseconds.
    next: AtomicU64,
    users: Arc<Tally>,
    capacity: usize,
}

#[derive(Default)]
struct Table {
    by_token: AHashMap<Token, Reservation>,
    by_expiry: BTreeSet<(Duration, Token)>,
}

/// One reserved port.
struct Reservation {
    address: BoundAddress,
    expires: Duration,
    user: Box<str>,
    _held: Held,
}

impl Reservations {
    /// Creates a table with a maximum number of reservations, and a maximum per user.
    pub(crate) fn new(capacity: usize, per_user: usize) -> Self {
        Self {
            table: Mutex::default(),
            next: AtomicU64::new(NEVER),
            users: Tally::new(per_user),
            capacity,
        }
    }

    /// Reserves a taken port for `user`; `None` if the maximum, or that of the user, is reached.
    pub(crate) fn insert(
        &self,
        now: Duration,
        user: &str,
        address: BoundAddress,
        rng: &mut impl CryptoRng,
    ) -> Option<Token> {
        let held = self.users.acquire(user)?;
        let mut table = self.table();
        if table.by_token.len() >= self.capacity {
            return None;
        }
        let mut token = [0; 8];
        rng.fill_bytes(&mut token);
        // A random token collides practically never.
        if table.by_token.contains_key(&token) {
            return None;
        }
        let expires = now.saturating_add(HOLD);
        table
            .by_token
            .insert(token, Reservation { address, expires, user: user.into(), _held: held });
        table.by_expiry.insert((expires, token));
        self.note_next(&table);
        Some(token)
    }

    /// Claims the port of a token, which stays taken; `None` if the token is unknown, expired, or
    /// another user's.
    pub(crate) fn claim(&self, now: Duration, user: &str, token: Token) -> Option<BoundAddress> {
        let mut table = self.table();
        table
            .by_token
            .get(&token)
            .filter(|reservation| now < reservation.expires && *reservation.user == *user)?;
        let reservation = table.remove(token)?;
        self.note_next(&table);
        Some(reservation.address)
    }

    /// Removes expired reservations. The caller must free their ports.
    pub(crate) fn expire(&self, now: Duration) -> Vec<BoundAddress> {
        if self.next_expiry().is_none_or(|next| now < next) {
            return Vec::new();
        }
        let mut table = self.table();
        let mut expired = Vec::new();
        while let Some((_, token)) =
            table.by_expiry.first().copied().filter(|(expires, _)| *expires <= now)
        {
            expired.extend(table.remove(token).map(|reservation| reservation.address));
        }
        self.note_next(&table);
        expired
    }

    /// The expiry of the first reservation.
    pub(crate) fn next_expiry(&self) -> Option<Duration> {
        let next = self.next.load(Ordering::Acquire);
        (next != NEVER).then(|| Duration::from_nanos(next))
    }

    pub(crate) fn len(&self) -> usize {
        self.table().by_token.len()
    }

    fn note_next(&self, table: &Table) {
        let next = table
            .by_expiry
            .first()
            .map_or(NEVER, |(expires, _)| u64::try_from(expires.as_nanos()).unwrap_or(NEVER - 1));
        self.next.store(next, Ordering::Release);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn remove(&mut self, token: Token) -> Option<Reservation> {
        let reservation = self.by_token.remove(&token)?;
        self.by_expiry.remove(&(reservation.expires, token));
        Some(reservation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RelayAddress;
    use crate::ports::pool::PortPools;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn address(port: u16) -> BoundAddress {
        BoundAddress(([192, 0, 2, 1], port).into())
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn rfc8656_7_2_a_reservation_is_held_for_thirty_seconds() {
        let (reservations, mut rng) = (Reservations::new(10, 10), StdRng::seed_from_u64(1));
        let [first, second] = [50_001, 50_003]
            .map(|port| reservations.insert(at(0), "alice", address(port), &mut rng).unwrap());
        assert_eq!(reservations.next_expiry(), Some(at(30)));
        assert!(reservations.expire(at(29)).is_empty());
        assert_eq!(reservations.claim(at(29), "alice", first), Some(address(50_001)));
        assert_eq!(reservations.claim(at(29), "alice", first), None, "it is claimed once");
        assert_eq!(reservations.claim(at(30), "alice", second), None, "it has expired");
        assert_eq!(reservations.expire(at(30)), [address(50_003)]);
        assert_eq!((reservations.len(), reservations.next_expiry()), (0, None));
    }

    #[test]
    fn h32_a_reservation_is_for_the_user_that_made_it() {
        let (reservations, mut rng) = (Reservations::new(10, 10), StdRng::seed_from_u64(2));
        let token = reservations.insert(at(0), "alice", address(50_001), &mut rng).unwrap();
        assert_eq!(reservations.claim(at(1), "mallory", token), None);
        assert_eq!(reservations.claim(at(1), "alice", [7; 8]), None);
        assert_eq!(reservations.claim(at(1), "alice", token), Some(address(50_001)));
    }

    #[test]
    fn h32_neither_a_user_nor_all_together_reserve_more_than_their_share() {
        let (reservations, mut rng) = (Reservations::new(5, 3), StdRng::seed_from_u64(3));
        let mut reserve =
            |now, user| reservations.insert(at(now), user, address(50_001), &mut rng).is_some();
        let alice = (0..10_000).filter(|_| reserve(0, "alice")).count();
        let bob = (0..10_000).filter(|_| reserve(0, "bob")).count();
        assert_eq!((alice, bob, reservations.len()), (3, 2, 5));
        assert_eq!(reservations.expire(at(30)).len(), 5);
        assert!(reserve(30, "alice") && reserve(30, "bob"), "what has expired counts no more");
        assert_eq!(reservations.table().by_expiry.len(), 2);
    }

    #[test]
    fn h32_whatever_workers_do_at_once_the_pool_is_full_again_in_the_end() {
        let ip = std::net::IpAddr::from([192, 0, 2, 1]);
        let relay = RelayAddress { bound: ip, advertised: ip };
        let (pools, reservations) =
            (PortPools::new(&[relay], &(50_000..=50_999)), Reservations::new(125, 100));
        let told = Mutex::new(Vec::new());
        let next = AtomicU64::new(0);
        let work = || {
            let mut rng = StdRng::seed_from_u64(next.fetch_add(1, Ordering::Relaxed));
            let pool = pools.of_address(ip).unwrap();
            for round in 0..2500u64 {
                let now = Duration::from_millis(round * 20);
                let Some(port) = pool.take_pair(&mut rng) else { continue };
                match reservations.insert(now, "alice", pool.bound(port + 1), &mut rng) {
                    Some(token) => told.lock().unwrap().push(token),
                    None => pool.give_back(port + 1),
                }
                pool.give_back(port);
                // Any worker claims what any has told; a third is left unclaimed.
                let token = told.lock().unwrap().pop().filter(|_| round % 3 > 0);
                if let Some(address) =
                    token.and_then(|token| reservations.claim(now, "alice", token))
                {
                    pools.give_back(address);
                }
                reservations.expire(now).into_iter().for_each(|address| pools.give_back(address));
            }
        };
        std::thread::scope(|scope| (0..4).for_each(|_| _ = scope.spawn(work)));
        assert!(reservations.len() > 0, "some are unclaimed");
        reservations.expire(at(50 + 30)).into_iter().for_each(|address| pools.give_back(address));
        assert_eq!((reservations.len(), pools.of_address(ip).unwrap().free()), (0, 1000));
    }

    #[test]
    fn h26_tokens_are_drawn_from_the_generator() {
        let (reservations, mut rng) = (Reservations::new(1000, 1000), StdRng::seed_from_u64(4));
        let tokens: BTreeSet<Token> = (0..1000)
            .map(|_| reservations.insert(at(0), "alice", address(1), &mut rng).unwrap())
            .collect();
        assert_eq!(tokens.len(), 1000);
        assert!((0..8).all(|at| tokens.iter().any(|token| token[at] != 0)));
    }
}
