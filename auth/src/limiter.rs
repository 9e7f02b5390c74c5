//! The limiter of answers to datagrams whose source address may be forged.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use ahash::RandomState;

use crate::allowance::{Allowance, Budget, Tick};
use crate::prefix_table::PrefixTable;

/// The factors by which the allowances of wider sources exceed that of one address, in burst and
/// rate: the two prefixes around it, all strangers together, and all known neighbourhoods. A public
/// server meets hundreds of strangers a second, so these have more.
const FACTORS: [(u32, u32); 5] = [(1, 1), (2, 2), (2, 2), (4, 8), (16, 16)];
/// The number of bytes by which an allowance may be overdrawn: a challenge, on the wire. It is part
/// of the burst, of which each of many workers has little.
const OVERDRAFT: u32 = 132;
const STRANGERS: usize = 3;
const KNOWN: usize = 4;
/// The index of the /24 or /56, which is known once a client there has proven its address.
const NEIGHBOURHOOD: usize = 1;

/// The allowance of one address that has not proven that it is real (H11), beyond what its requests
/// brought. Its /24 (/56) and its /16 (/48) may receive twice as much, all strangers together four
/// times the burst and eight times the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimiterSettings {
    /// Burst, in bytes on the wire.
    pub burst: u32,
    /// Rate, in bytes on the wire a second.
    pub rate: u32,
}

impl LimiterSettings {
    /// The share of one worker. Sources are spread over the workers by address and port, so that
    /// the clients behind an address find about the whole together, and a flood finds no more,
    /// however many workers there are.
    #[must_use]
    pub fn of_one_worker(self, workers: NonZeroUsize) -> Self {
        let workers = u32::try_from(workers.get()).unwrap_or(u32::MAX);
        Self { burst: self.burst / workers, rate: self.rate.div_ceil(workers) }
    }
}

impl Default for LimiterSettings {
    /// Some 200 clients behind one address at once, and 21 more a second; those that log in pay for
    /// others.
    fn default() -> Self {
        Self { burst: 24_576, rate: 2_560 }
    }
}

/// Limits the answers to datagrams whose source address may be forged (H11). One for each worker;
/// no I/O, no clock, and no memory beyond that of [`new`](Self::new): 8,192 entries for each width
/// of prefix (/32, /24, /16; /64, /56, /48), 500 kB.
///
/// Ask [`admits`](Self::admits) before each answer, and drop the answer if it returns `false`. For
/// a datagram that proves its source address, call [`prove`](Self::prove) instead, and answer.
/// Connections need neither.
///
/// Every prefix, and the whole, has an allowance of bytes on the wire, which starts full and grows
/// with time. A request adds seven eighths of its own bytes; an answer takes its bytes, and is not
/// sent if the allowance is overdrawn. The initial allowance, and what time added, is a loan: while
/// it is owed, a request adds a quarter of its bytes only, and the rest pays it back. So a flood of
/// forged requests that lasts for five seconds is answered with fewer bytes than it brought: with
/// the default settings from 600 requests a second on if they claim to come from one network, and
/// from 1,500 on for any claimed sources. A smaller flood from one network is answered with at most
/// 48 KiB, and 5 KiB a second, more than it brought; all strangers together with at most 96 KiB,
/// and 20 KiB a second.
///
/// The limit cannot be used as a weapon: the rest goes to any client that asks, at random, so a
/// client that repeats its request succeeds; and a flood takes nothing from the known
/// neighbourhoods.
#[derive(Debug)]
pub struct Limiter {
    hasher: RandomState,
    tables: [PrefixTable; 3],
    /// The allowances of all strangers, and of all known neighbourhoods.
    all: [Allowance; 2],
    budgets: [Budget; 5],
}

impl Limiter {
    /// `seeds` come from a CSPRNG, so that it cannot be predicted which prefixes share entries.
    #[must_use]
    pub fn new(settings: LimiterSettings, seeds: [u64; 4]) -> Self {
        let budgets = FACTORS.map(|(at_once, a_second)| {
            let burst = settings.burst.saturating_mul(at_once).saturating_sub(OVERDRAFT);
            Budget::new(burst, settings.rate.saturating_mul(a_second))
        });
        let [a, b, c, d] = seeds;
        Self {
            hasher: RandomState::with_seeds(a, b, c, d),
            tables: std::array::from_fn(|_| PrefixTable::new()),
            all: [STRANGERS, KNOWN].map(|width| Allowance::full(&budgets[width], Tick::default())),
            budgets,
        }
    }

    /// Whether an answer of `answered` bytes may be sent for a datagram of `asked` bytes from
    /// `source`; both are lengths of STUN messages. `now` is the time of a monotonic clock.
    #[must_use]
    pub fn admits(&mut self, now: Duration, source: IpAddr, asked: usize, answered: usize) -> bool {
        let (now, around) = (Tick::of(now), around(source));
        let (income, price) = (asked + around, answered + around);
        let hashes = self.hashes(source);
        let Self { tables, all, budgets, .. } = self;
        let mut widths = tables.iter_mut().zip(hashes).zip(&*budgets);
        let [host, site, network] = std::array::from_fn(|_| {
            let ((table, hash), budget) = widths.next().expect("there are three widths");
            let place = table.place(hash, budget, now);
            place.allowance.pass(budget, now);
            place.allowance.earn(budget, income);
            place
        });
        let (all, budget) = if site.is_known(now) {
            (&mut all[1], &budgets[KNOWN])
        } else {
            (&mut all[0], &budgets[STRANGERS])
        };
        all.pass(budget, now);
        all.earn(budget, income);
        let allowances = [&mut host.allowance, &mut site.allowance, &mut network.allowance, all];
        let admitted = allowances.iter().all(|allowance| allowance.is_left());
        if admitted {
            allowances.into_iter().for_each(|allowance| allowance.spend(price));
        }
        admitted
    }

    /// Records that a datagram of `asked` bytes really comes from `source`: its bytes pay for
    /// answers to its neighbours, and its neighbourhood is known for ten minutes.
    pub fn prove(&mut self, now: Duration, source: IpAddr, asked: usize) {
        let (now, income) = (Tick::of(now), asked + around(source));
        let hashes = self.hashes(source);
        for (width, (table, hash)) in self.tables.iter_mut().zip(hashes).enumerate() {
            let place = table.place(hash, &self.budgets[width], now);
            place.allowance.pass(&self.budgets[width], now);
            place.allowance.earn_proven(&self.budgets[width], income);
            if width == NEIGHBOURHOOD {
                place.proven = now;
            }
        }
        self.all[1].pass(&self.budgets[KNOWN], now);
        self.all[1].earn_proven(&self.budgets[KNOWN], income);
    }

    fn hashes(&self, source: IpAddr) -> [u64; 3] {
        match source.to_canonical() {
            IpAddr::V4(ip) => [0, 8, 16].map(|shift| self.hasher.hash_one(ip.to_bits() >> shift)),
            IpAddr::V6(ip) => [64, 72, 80].map(|shift| self.hasher.hash_one(ip.to_bits() >> shift)),
        }
    }
}

/// The length of the IP and UDP headers, which are on the wire, too.
fn around(source: IpAddr) -> usize {
    if source.to_canonical().is_ipv4() { 20 + 8 } else { 40 + 8 }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    /// A first Allocate as clients send it, and its challenge.
    const ALLOCATE: (usize, usize) = (28, 104);
    const BINDING: (usize, usize) = (20, 32);
    /// A Binding request and its answer by RFC 5780.
    const NAT_DISCOVERY: (usize, usize) = (20, 80);

    fn limiter() -> Limiter {
        Limiter::new(LimiterSettings::default(), [1, 2, 3, 4])
    }

    /// A flood of `rate` datagrams a second for ten seconds; the bytes on the wire in and out.
    fn flood(
        limiter: &mut Limiter,
        rate: u32,
        (asked, answered): (usize, usize),
        source: impl Fn(u32) -> IpAddr,
    ) -> (usize, usize) {
        let (mut bytes_in, mut bytes_out) = (0, 0);
        for number in 0..10 * rate {
            let (now, source) =
                (Duration::from_secs(100) + Duration::from_secs(1) * number / rate, source(number));
            bytes_in += asked + around(source);
            if limiter.admits(now, source, asked, answered) {
                bytes_out += answered + around(source);
            }
        }
        (bytes_in, bytes_out)
    }

    fn scattered(number: u32) -> u32 {
        number.wrapping_mul(2_654_435_761)
    }

    #[test]
    fn h11_a_flood_is_answered_with_fewer_bytes_than_it_brought_and_clients_are_answered_in_it() {
        for (name, source) in SHAPES {
            for message in [ALLOCATE, BINDING] {
                let (bytes_in, bytes_out) = flood(&mut limiter(), 10_000, message, source);
                assert!(
                    bytes_out <= bytes_in,
                    "{name}, {message:?}: {bytes_in} bytes in, {bytes_out} out"
                );
                assert!(
                    bytes_out * 2 > bytes_in,
                    "{name}: a client there is still answered now and then"
                );
            }
        }
    }

    /// Where a request of a flood claims to come from, by its number.
    type Source = fn(u32) -> IpAddr;

    const SHAPES: [(&str, Source); 7] = [
        ("one address", |_| Ipv4Addr::new(192, 0, 2, 1).into()),
        ("one /24", |number| Ipv4Addr::new(192, 0, 2, scattered(number) as u8).into()),
        ("one /16", |number| Ipv4Addr::from_bits(0xC633_0000 | scattered(number) >> 16).into()),
        ("anywhere", |number| Ipv4Addr::from_bits(scattered(number)).into()),
        ("one /64", |number| Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(number)).into()),
        ("one /48", |number| {
            Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(scattered(number) >> 16) << 64 | 1)
                .into()
        }),
        ("anywhere, IPv6", |number| {
            Ipv6Addr::from_bits(0x2001 << 112 | u128::from(scattered(number)) << 64 | 1).into()
        }),
    ];

    /// The limiters of a server with several workers; a hash of the source names the worker.
    struct Workers(Vec<Limiter>);

    impl Workers {
        fn new(count: usize) -> Self {
            let settings =
                LimiterSettings::default().of_one_worker(NonZeroUsize::new(count).unwrap());
            Self(
                (0..count).map(|worker| Limiter::new(settings, [1, 2, 3, worker as u64])).collect(),
            )
        }

        fn of(&mut self, source: IpAddr, port: u32) -> &mut Limiter {
            let hash = RandomState::with_seeds(5, 6, 7, 8).hash_one((source, port));
            let count = self.0.len();
            &mut self.0[hash as usize % count]
        }
    }

    #[test]
    fn h11_a_flood_of_five_seconds_is_answered_with_fewer_bytes_at_any_rate_by_any_number_of_workers()
     {
        for workers in [1, 2, 8, 64] {
            for rate in [600, 1_500, 4_000] {
                // Fewer from anywhere are what a public server meets every day.
                for (name, source) in SHAPES
                    .into_iter()
                    .filter(|(name, _)| rate > 600 || !name.starts_with("anywhere"))
                {
                    for (asked, answered) in
                        if rate == 600 { [ALLOCATE, BINDING] } else { [ALLOCATE, NAT_DISCOVERY] }
                    {
                        let mut workers = Workers::new(workers);
                        let (mut bytes_in, mut bytes_out) = (0, 0);
                        for number in 0..5 * rate {
                            let now =
                                Duration::from_secs(100) + Duration::from_secs(1) * number / rate;
                            let source = source(number);
                            bytes_in += asked + around(source);
                            if workers
                                .of(source, number % 50_000)
                                .admits(now, source, asked, answered)
                            {
                                bytes_out += answered + around(source);
                            }
                        }
                        let case = format!(
                            "{name}, {rate} a second, {asked} bytes, {} workers",
                            workers.0.len()
                        );
                        assert!(
                            bytes_out <= bytes_in,
                            "{case}: {:.2}",
                            bytes_out as f64 / bytes_in as f64
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn h11_a_trickle_is_answered_by_no_more_than_the_loan_on_top() {
        for workers in [1, 2, 8] {
            for rate in [1, 20, 100, 400] {
                for (name, source) in SHAPES {
                    let (mut limiters, mut surplus) = (Workers::new(workers), 0);
                    for number in 0..20 * rate {
                        let now = Duration::from_secs(100) + Duration::from_secs(1) * number / rate;
                        let source = source(number);
                        if limiters.of(source, number).admits(now, source, ALLOCATE.0, ALLOCATE.1) {
                            surplus += (ALLOCATE.1 - ALLOCATE.0) as i64;
                        } else {
                            surplus -= (ALLOCATE.0 + around(source)) as i64;
                        }
                    }
                    let (at_once, a_second) =
                        if name.starts_with("anywhere") { (4, 8) } else { (2, 2) };
                    let loan = at_once * 24_576 + a_second * 20 * 2_560 + 132 * workers as i64;
                    assert!(
                        surplus <= loan,
                        "{name}, {rate} a second, {workers} workers: {surplus} bytes"
                    );
                }
            }
        }
    }

    /// Clients behind NATs that come at once, log in when they are challenged, and ask again when
    /// they are not answered (RFC 8489 §6.2.1); how many are answered at the first, the second,
    /// … time.
    fn answered(workers: usize, nats: u16, clients: u32) -> Vec<usize> {
        let mut workers = Workers::new(workers);
        let nat = |number: u16| {
            IpAddr::from(Ipv4Addr::from_bits(0xC600_0101 + (u32::from(number) << 10)))
        };
        let mut waiting: Vec<(IpAddr, u32)> = (0..nats)
            .flat_map(|number| (0..clients).map(move |port| (nat(number), port)))
            .collect();
        let mut rounds = Vec::new();
        for half_seconds in [0, 1, 3, 7, 15, 31, 63] {
            let now = Duration::from_secs(100) + Duration::from_millis(500) * half_seconds;
            let ask = |(nat, port): &(IpAddr, u32)| {
                workers.of(*nat, *port).admits(now, *nat, ALLOCATE.0, ALLOCATE.1)
            };
            let (challenged, silent): (Vec<_>, Vec<_>) = waiting.into_iter().partition(ask);
            challenged.iter().for_each(|(nat, port)| {
                workers.of(*nat, *port).prove(now + Duration::from_millis(50), *nat, 150);
            });
            rounds.push(challenged.len());
            waiting = silent;
        }
        assert!(waiting.is_empty(), "{} clients were never answered: {rounds:?}", waiting.len());
        rounds
    }

    #[test]
    fn h11_clients_behind_nats_are_never_starved() {
        for workers in [1, 2, 8, 64] {
            let office = answered(workers, 1, 190);
            assert!(
                office[0] >= 140 && office[0] + office[1] == 190,
                "{workers} workers: {office:?}"
            );
            for (nats, clients) in [(1, 2_000), (100, 50), (3_000, 1)] {
                let rounds = answered(workers, nats, clients);
                let within_two_seconds: usize = rounds[..3].iter().sum();
                assert!(
                    within_two_seconds * 2 > usize::from(nats) * clients as usize,
                    "{nats} NATs, {workers} workers: {rounds:?}"
                );
            }
        }
    }

    #[test]
    fn h11_the_default_is_generous() {
        let (mut limiter, now) = (limiter(), Duration::from_secs(5));
        for port in 0..190 {
            assert!(
                limiter.admits(now, Ipv4Addr::new(192, 0, 2, 1).into(), ALLOCATE.0, ALLOCATE.1),
                "client {port} behind one address"
            );
        }
        for second in 0..3600 {
            for client in 0..20 {
                let now = Duration::from_secs(10 + second) + Duration::from_millis(50) * client;
                assert!(limiter.admits(
                    now,
                    Ipv4Addr::new(198, 51, 100, 1).into(),
                    ALLOCATE.0,
                    ALLOCATE.1
                ));
            }
        }
    }

    #[test]
    fn h11_a_public_server_answers_each_first_try_of_clients_from_everywhere() {
        for (rate, message) in [(400, BINDING), (160, ALLOCATE)] {
            let (asked, answered) = message;
            let mut limiter = limiter();
            for number in 0..60 * rate {
                let now = Duration::from_secs(5) + Duration::from_secs(1) * number / rate;
                let source = Ipv4Addr::from_bits(scattered(number)).into();
                assert!(
                    limiter.admits(now, source, asked, answered),
                    "request {number} of {rate} a second, {asked} bytes"
                );
            }
        }
    }

    #[test]
    fn h11_who_logs_in_pays_for_its_neighbours() {
        let (mut limiter, carrier) = (limiter(), IpAddr::from(Ipv4Addr::new(192, 0, 2, 1)));
        for number in 0..20_000 {
            let now = Duration::from_secs(5) + Duration::from_millis(2) * number;
            assert!(
                limiter.admits(now, carrier, ALLOCATE.0, ALLOCATE.1),
                "client {number} of 500 a second"
            );
            limiter.prove(now, carrier, 150);
        }
    }

    #[test]
    fn h11_the_limiter_is_no_weapon() {
        let (mut limiter, mut answered) = (limiter(), [0u32; 3]);
        let customers = [
            Ipv4Addr::new(203, 0, 113, 9),
            Ipv4Addr::new(192, 0, 2, 77),
            Ipv4Addr::new(100, 64, 3, 4),
        ]
        .map(IpAddr::from);
        limiter.prove(Duration::from_secs(99), customers[0], 150);
        let mut tries = 0;
        for number in 0..200_000 {
            let now = Duration::from_secs(100) + Duration::from_micros(50) * number;
            // Small messages, so that little is left for great ones: half from anywhere, half from
            // the second customer's own network.
            let forged = if number % 2 == 0 {
                Ipv4Addr::from_bits(scattered(number))
            } else {
                Ipv4Addr::new(192, 0, 2, number as u8)
            };
            let _ = limiter.admits(now, forged.into(), BINDING.0, BINDING.1);
            if number > 100_000 && number % 337 == 0 {
                let customer = (number / 337 % 3) as usize; // one after the other, each 100 times
                tries += u32::from(customer == 0);
                answered[customer] +=
                    u32::from(limiter.admits(now, customers[customer], ALLOCATE.0, ALLOCATE.1));
            }
        }
        assert_eq!(answered[0], tries, "in a known neighbourhood, a flood changes nothing");
        assert!(
            answered[1] * 4 > tries && answered[2] * 4 > tries,
            "a client sends a request seven times: {answered:?} of {tries}"
        );
    }

    #[test]
    fn h11_the_table_is_bounded_and_made_up_prefixes_push_out_nobody_who_is_known() {
        let (mut limiter, known) = (limiter(), IpAddr::from(Ipv4Addr::new(192, 0, 2, 1)));
        limiter.prove(Duration::from_secs(1), known, 100);
        for number in 0..100_000 {
            let _ = limiter.admits(
                Duration::from_secs(2),
                Ipv4Addr::from_bits(scattered(number)).into(),
                BINDING.0,
                BINDING.1,
            );
        }
        let now = Tick::of(Duration::from_secs(3));
        let hash = limiter.hashes(known)[NEIGHBOURHOOD];
        assert!(limiter.tables[NEIGHBOURHOOD].place(hash, &limiter.budgets[1], now).is_known(now));
        assert_eq!(size_of_val(limiter.tables[0].places()), 8192 * 20);
    }

    #[test]
    fn h11_a_prefix_is_an_address_and_its_neighbours_of_either_family() {
        let limiter = limiter();
        let same = |a: &str, b: &str| {
            let [a, b] = [a, b].map(|ip| limiter.hashes(ip.parse().unwrap()));
            [0, 1, 2].map(|width| a[width] == b[width])
        };
        assert_eq!(same("192.0.2.1", "192.0.2.2"), [false, true, true]);
        assert_eq!(same("192.0.2.1", "192.0.3.1"), [false, false, true]);
        assert_eq!(same("192.0.2.1", "192.1.2.1"), [false, false, false]);
        assert_eq!(same("192.0.2.1", "::ffff:192.0.2.1"), [true, true, true]);
        assert_eq!(same("2001:db8:1:101::1", "2001:db8:1:101::2"), [true, true, true]);
        assert_eq!(same("2001:db8:1:101::1", "2001:db8:1:102::1"), [false, true, true]);
        assert_eq!(same("2001:db8:1:101::1", "2001:db8:1:201::1"), [false, false, true]);
        assert_eq!(same("2001:db8:1:101::1", "2001:db8:2:101::1"), [false, false, false]);
    }
}
