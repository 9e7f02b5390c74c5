//! `kill -9` of a server, and its restart.

use std::thread;
use std::time::{Duration, Instant};

use causeway_store::Record;
use causeway_tests::daemon::service::Service;

use crate::call::Call;
use crate::redis_server::RedisServer;
use crate::relay::{self, Relay};
use crate::talk::{Heard, Talk};

/// How late a call may resume. A busy machine needs far more than the aim of 100 ms.
const BOUND: Duration = Duration::from_secs(5);

#[test]
fn twenty_calls_outlive_a_crash() {
    outlive(4, 20);
}

#[test]
fn calls_outlive_the_crash_of_a_single_worker() {
    outlive(1, 6);
}

fn outlive(workers: usize, count: usize) {
    let redis = RedisServer::start();
    let workers = |config: &str| config.replace("workers = 4", &format!("workers = {workers}"));
    let mut relay = Relay::start_as(&redis.url(), workers);
    let calls = relay.calls(count);
    let kept = relay.until_kept(&redis, &calls.iter().collect::<Vec<_>>());
    let talks = Talk::start_all(calls);
    thread::sleep(Duration::from_secs(2));

    let killed = Instant::now();
    let away = relay.crash();
    let back = killed + away;
    thread::sleep(Duration::from_secs(2));
    let talked = Talk::stop_all(talks);

    table(&talked, killed, back);
    for (call, heard) in &talked {
        let resumed = heard.resumed(killed);
        let resumed = resumed
            .unwrap_or_else(|| panic!("{} is silent:\n{}", call.relayed, relay.service.log()));
        assert!(resumed.saturating_duration_since(back) < BOUND, "{} came back late", call.relayed);
    }
    let mut calls: Vec<Call> = talked.into_iter().map(|(call, _)| call).collect();
    relay.until_restored(count as u64);
    nonce_and_keys_are_still_good(&relay.service, &mut calls);
    // Each bound one more channel, so that the new process wrote each record again.
    lifetimes_go_on(&kept, &relay.until_written(&redis, &kept));
    for call in &mut calls {
        assert_eq!(
            call.renew().expect("the server knows it"),
            Duration::from_secs(600),
            "{}",
            relay.service.log()
        );
    }
    refused_no_request(&relay.service);
    let closed = calls.len();
    calls.into_iter().for_each(Call::close);
    relay.service.until_metric("turnd_allocations_ended_total{reason=\"released\"}", closed as u64);
    relay.until_kept(&redis, &[]);
    relay.service.end();
}

/// A request with the nonce and the key from before the crash is carried out at once.
fn nonce_and_keys_are_still_good(turnd: &Service, calls: &mut [Call]) {
    for call in calls.iter_mut() {
        let another = (call.peer().ip(), 9).into();
        call.bind(another).unwrap_or_else(|failure| panic!("{failure}:\n{}", turnd.log()));
    }
    refused_no_request(turnd);
    let live = |family: &str| {
        turnd.metric(&format!("turnd_allocations{{transport=\"udp\",family=\"{family}\"}}"))
    };
    assert_eq!(live("ipv4"), calls.len() as u64);
}

/// This process has never answered 401, 437, 438 or another error.
fn refused_no_request(turnd: &Service) {
    for code in ["400", "401", "437", "438", "441"] {
        assert_eq!(
            turnd.metric(&format!("turnd_stun_errors_total{{code=\"{code}\"}}")),
            0,
            "{code}:\n{}",
            turnd.log()
        );
    }
}

/// Nothing expires later or earlier than was promised before the crash.
fn lifetimes_go_on(before: &[Record], after: &[Record]) {
    let about = |one: u64, other: u64| one.abs_diff(other) < 1000;
    for was in before {
        let is = after.iter().find(|is| is.id == was.id).expect("a record keeps its id");
        assert!(about(was.expires_at, is.expires_at), "{was:?} became {is:?}");
        for channel in &was.channels {
            let still = is
                .channels
                .iter()
                .find(|still| still.number == channel.number)
                .expect("it is bound");
            assert!(
                still.peer == channel.peer && about(channel.expires_at, still.expires_at),
                "{channel:?} became {still:?}"
            );
        }
        assert_eq!(
            (&was.five_tuple, &was.credential.username),
            (&is.five_tuple, &is.credential.username)
        );
        assert_eq!(was.relayed.len(), is.relayed.len());
        for (relayed, still) in was.relayed.iter().zip(&is.relayed) {
            assert_eq!((relayed.bound, relayed.advertised), (still.bound, still.advertised));
            assert!(about(relayed.expires_at, still.expires_at), "{relayed:?} became {still:?}");
        }
    }
}

/// Its accounting entry includes the time before the crash.
#[test]
fn an_allocation_keeps_its_age() {
    let redis = RedisServer::start();
    let mut relay = Relay::start(&redis.url());
    let calls = relay.calls(2);
    let kept = relay.until_kept(&redis, &calls.iter().collect::<Vec<_>>());
    thread::sleep(Duration::from_secs(2));
    relay.crash();
    let mut calls = crate::damage::lives(calls, &relay);
    nonce_and_keys_are_still_good(&relay.service, &mut calls);
    let since = relay.until_written(&redis, &kept);
    for (was, is) in kept.iter().zip(&since) {
        assert!(was.created_at.abs_diff(is.created_at) < 1000, "{was:?} became {is:?}");
    }
    relay.service.end();
}

/// The counterproof: the tests above can fail.
#[test]
fn without_a_store_a_crash_ends_the_calls() {
    let (address, config) = relay::config("");
    let mut turnd = Service::start("turnd", address, &config);
    let open = |_| {
        Call::open(address, "alice", "interop-4711", crate::call::Way::Channel)
            .expect("the password is right")
    };
    let talks = Talk::start_all((0..2).map(open));
    thread::sleep(Duration::from_millis(300));
    let killed = Instant::now();
    turnd.kill();
    turnd.start_again();
    thread::sleep(Duration::from_secs(1));
    for (mut call, heard) in Talk::stop_all(talks) {
        assert_eq!(heard.resumed(killed), None, "{} lives on", call.relayed);
        call.renew().expect_err("the server knows nothing of it");
    }
    turnd.end();
}

/// Prints how the crash affected each call.
fn table(talked: &[(Call, Heard)], killed: Instant, back: Instant) {
    let away = back - killed;
    println!("\nturnd was away for {:.1} ms: killed, started, port open", millis(away));
    println!(
        "{:>4}  {:10}  {:21}  {:>12}  {:>22}  {:>5}",
        "call", "way", "relayed address", "silence", "after it was back", "lost"
    );
    for (at, (call, heard)) in talked.iter().enumerate() {
        let silence =
            heard.gap(killed).map_or("endless".to_owned(), |gap| format!("{:.1} ms", millis(gap)));
        let after = heard.resumed(killed).map_or("never".to_owned(), |at| {
            format!("{:.1} ms", millis(at.saturating_duration_since(back)))
        });
        let way = format!("{:?}", call.way).to_lowercase();
        println!(
            "{:>4}  {way:10}  {:21}  {silence:>12}  {after:>22}  {:>5}",
            at + 1,
            call.relayed,
            heard.lost()
        );
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
