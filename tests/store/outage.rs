//! Redis halted, killed and replaced, with another password, full: calls and Allocates are not
//! delayed, metrics and log show it, and the directory is complete again afterwards.

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use causeway_tests::daemon::service::{PASSWORD, USER};

use crate::call::{Call, Way};
use crate::damage::lives;
use crate::redis_server::RedisServer;
use crate::relay::Relay;
use crate::talk::{Heard, Talk};

/// Maximum delay of a datagram or an Allocate, even on a busy machine.
const BOUND: Duration = Duration::from_secs(1);
/// Number of calls that talk all the time.
const TALKING: usize = 6;

/// A failure of Redis and its effects.
struct Trouble {
    name: &'static str,
    begin: fn(&mut RedisServer),
    end: fn(&mut RedisServer),
    lasts: Duration,
    /// The state that the metrics show meanwhile.
    state: &'static str,
    /// The kind of error that they count.
    error: &'static str,
}

#[test]
fn h45_a_halted_redis_delays_no_client() {
    Trouble {
        name: "halted",
        begin: |redis| redis.halt(),
        end: |redis| redis.resume(),
        lasts: Duration::from_secs(30),
        state: "connecting",
        error: "timeout",
    }
    .befalls();
}

#[test]
fn h45_a_killed_redis_and_an_empty_one_in_its_place() {
    Trouble {
        name: "killed, an empty one comes",
        begin: |redis| redis.kill(),
        end: |redis| redis.run(),
        lasts: Duration::from_secs(5),
        state: "connecting",
        error: "unreachable",
    }
    .befalls();
}

#[test]
fn h45_an_empty_redis_at_once_in_the_place_of_another() {
    let redis = |redis: &mut RedisServer| {
        redis.kill();
        redis.run();
    };
    Trouble {
        name: "replaced at once",
        begin: redis,
        end: |_| {},
        lasts: Duration::from_secs(3),
        state: "connected",
        error: "unreachable",
    }
    .befalls();
}

#[test]
fn h45_another_password() {
    Trouble {
        name: "another password",
        begin: |redis| redis.lock_out("another"),
        end: |redis| redis.let_in("another"),
        lasts: Duration::from_secs(5),
        state: "connecting",
        error: "auth",
    }
    .befalls();
}

#[test]
fn h45_a_full_redis() {
    Trouble {
        name: "full",
        begin: |redis| redis.set("maxmemory", "1"),
        end: |redis| redis.set("maxmemory", "0"),
        lasts: Duration::from_secs(5),
        state: "refused",
        error: "full",
    }
    .befalls();
}

/// More changes than a worker records: it drops them, and then counts everything as changed.
#[test]
fn h47_changes_dropped_in_a_pause_of_redis_are_written_again_and_stay() {
    let redis = RedisServer::start();
    let mut relay =
        Relay::start_as(&redis.url(), |config| config.replace("workers = 4", "workers = 1"));
    let mut calls = relay.calls(5);
    relay.until_kept(&redis, &calls.iter().collect::<Vec<_>>());
    redis.halt();
    Call::come_and_go(relay.service.address, USER, PASSWORD, 4_300)
        .expect("a halted Redis delays no allocation");
    assert!(
        relay.service.metric("turnd_store_unwritten") > 0,
        "the dropped changes are to be written"
    );
    redis.resume();
    relay.until_state("connected");
    relay.until_kept(&redis, &calls.iter().collect::<Vec<_>>());
    // The worker still reports changes.
    calls.push(relay.call(Way::Channel));
    calls.swap_remove(0).close();
    relay.until_kept(&redis, &calls.iter().collect::<Vec<_>>());
    relay.crash();
    relay.until_restored(calls.len() as u64);
    lives(calls, &relay);
    relay.service.end();
}

#[test]
fn h53_a_redis_that_comes_back_is_reached_though_clients_use_up_the_descriptors() {
    let mut redis = RedisServer::start();
    let relay = Relay::start_limited(&redis.url(), 128);
    let address = relay.service.address;
    let _idle: Vec<_> = (0..128)
        .map(|_| TcpStream::connect(address).expect("it accepts, even if it closes at once"))
        .collect();
    let calls: Vec<_> =
        std::iter::from_fn(|| Call::open(address, USER, PASSWORD, Way::Permission).ok())
            .take(60)
            .collect();
    assert!(!calls.is_empty() && calls.len() < 60, "{} calls", calls.len());
    relay.until_kept(&redis, &calls.iter().collect::<Vec<_>>());
    redis.kill();
    redis.run();
    relay.until_kept(&redis, &calls.iter().collect::<Vec<_>>());
    assert_eq!(relay.service.probe("/healthz").expect("an answer").0, 200);
    relay.service.end();
}

impl Trouble {
    fn befalls(&self) {
        let mut redis = RedisServer::start();
        let mut relay = Relay::start(&redis.url());
        let talking = relay.calls(TALKING);
        relay.until_kept(&redis, &talking.iter().collect::<Vec<_>>());
        let talks = Talk::start_all(talking);
        let (before, _) = allocate_for(&relay, Duration::from_secs(2));

        (self.begin)(&mut redis);
        let errors = relay.errors(self.error);
        let (during, opened) = allocate_for(&relay, self.lasts);
        relay.until_state(self.state);
        self.is_visible(&relay, errors);

        (self.end)(&mut redis);
        relay.until_state("connected");
        let talked = Talk::stop_all(talks);
        self.row(&talked, &before, &during);
        for (call, heard) in &talked {
            assert_eq!(
                heard.lost(),
                0,
                "{}: {} of {} lost:\n{}",
                call.relayed,
                heard.lost(),
                heard.sent(),
                relay.service.log()
            );
            assert!(heard.slowest() < BOUND, "{}: {:?}", call.relayed, heard.slowest());
        }
        assert!(*during.last().expect("some were made") < BOUND, "{during:?}");
        assert!(
            median(&during) < 4 * median(&before) + Duration::from_millis(20),
            "{during:?} beside {before:?}"
        );

        let mut calls: Vec<Call> = talked.into_iter().map(|(call, _)| call).chain(opened).collect();
        // The store has the allocations made meanwhile, and not those deleted.
        relay.until_kept(&redis, &calls.iter().collect::<Vec<_>>());
        relay.service.until_metric("turnd_store_unwritten", 0);
        calls.pop().expect("there are some").close();
        relay.until_kept(&redis, &calls.iter().collect::<Vec<_>>());
        relay.crash();
        relay.until_restored(calls.len() as u64);
        lives(calls, &relay);
        relay.service.end();
    }

    /// Checks that the metrics and the log show it.
    fn is_visible(&self, relay: &Relay, errors: u64) {
        assert!(relay.errors(self.error) >= errors.max(1), "no error is counted as {}", self.error);
        let log = relay.service.log();
        assert!(
            log.contains("store") && (log.contains("WARN") || log.contains("ERROR")),
            "the log is silent:\n{log}"
        );
        if self.state != "connected" {
            assert!(
                log.contains(self.state) || log.contains(self.error),
                "the log does not mention it:\n{log}"
            );
            assert!(
                relay.service.metric("turnd_store_unwritten") > 0,
                "the metrics show no unwritten records"
            );
            assert!(relay.service.metric("turnd_store_lag_seconds") > 0, "the metrics show no lag");
        }
    }

    fn row(&self, talked: &[(Call, Heard)], before: &[Duration], during: &[Duration]) {
        let sum =
            |of: fn(&Heard) -> usize| talked.iter().map(|(_, heard)| of(heard)).sum::<usize>();
        let slowest = talked.iter().map(|(_, heard)| heard.slowest()).max().unwrap_or_default();
        println!("\nRedis {}, for {:?}:", self.name, self.lasts);
        println!(
            "  {} datagrams relayed, {} lost, the slowest took {slowest:.1?}",
            sum(Heard::sent),
            sum(Heard::lost)
        );
        for (name, times) in [("before", before), ("meanwhile", during)] {
            let last = times.last().copied().unwrap_or_default();
            println!(
                "  {:3} allocations {name}: median {:.1?}, slowest {last:.1?}",
                times.len(),
                median(times)
            );
        }
    }
}

/// Makes allocations during `time`, and deletes most of them: how long each took, sorted, and the
/// calls that are left.
fn allocate_for(relay: &Relay, time: Duration) -> (Vec<Duration>, Vec<Call>) {
    let end = Instant::now() + time;
    let (mut times, mut left) = (Vec::new(), Vec::new());
    while Instant::now() < end {
        let started = Instant::now();
        let call = relay.call(Way::Permission);
        times.push(started.elapsed());
        if times.len().is_multiple_of(20) && time > Duration::from_secs(2) {
            left.push(call);
        } else {
            call.close();
        }
        thread::sleep(Duration::from_millis(100));
    }
    times.sort_unstable();
    (times, left)
}

fn median(sorted: &[Duration]) -> Duration {
    sorted[sorted.len() / 2]
}
