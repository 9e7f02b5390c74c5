//! Records that cannot be restored: only they are lost, and they are counted and named in the log.
//! Stores that are unreachable, hang or are busy at the start.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::call::Call;
use crate::redis_server::RedisServer;
use crate::relay::{Relay, is_of, record_key, records};
use crate::talk::Talk;

#[test]
fn records_that_cannot_be_restored_are_counted_and_the_others_live() {
    let redis = RedisServer::start();
    let mut relay = Relay::start(&redis.url());
    let mut calls = relay.calls(6);
    let kept = relay.until_kept(&redis, &calls.iter().collect::<Vec<_>>());
    relay.service.kill();

    let key = |call: &Call| {
        record_key(kept.iter().find(|record| is_of(record, call)).expect("the store has it").id)
    };
    let [taken, newer, damaged, cut] = [0, 1, 2, 3].map(|at| key(&calls[at]));
    assert!(redis.read(&taken).is_some());
    let _other = bound_when_free(calls[0].relayed);
    let change = |key: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut value = redis.read(key).expect("the store has it");
        change(&mut value);
        redis.write(key, &value);
    };
    change(&newer, &|value| value[0] = 9);
    change(&damaged, &|value| *value.last_mut().expect("it is not empty") ^= 1);
    change(&cut, &|value| value.truncate(7));

    relay.service.start_again();
    for (reason, count) in [("version", 1), ("seal", 1), ("truncated", 1)] {
        assert_eq!(
            relay
                .service
                .metric(&format!("turnd_store_records_not_restored_total{{reason=\"{reason}\"}}")),
            count,
            "{reason}"
        );
    }
    assert_eq!(relay.service.metric("turnd_store_records_restored_total"), 2);
    for word in ["not restored", "version 9", "seal", "too short"] {
        relay.service.until_log(word);
    }
    let others = calls.split_off(4);
    lives(others, &relay);
    // The server waits ten seconds for a port that another program holds.
    let deadline = Instant::now() + Duration::from_secs(20);
    while !relay
        .service
        .get("/metrics")
        .1
        .contains("turnd_store_records_not_restored_total{reason=\"taken\"} 1\n")
    {
        assert!(Instant::now() < deadline, "{}", relay.service.log());
        thread::sleep(Duration::from_millis(100));
    }
    relay.service.until_log("taken");
    for call in &mut calls {
        call.renew().expect_err("it was not restored");
    }
    relay.service.end();
}

/// The kernel cleans up after a killed process, its ring above all, only after the process has
/// ended.
pub(crate) fn bound_when_free(address: SocketAddr) -> UdpSocket {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        match UdpSocket::bind(address) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(5));
            }
            outcome => return outcome.expect("the relay is down"),
        }
    }
}

#[test]
fn a_redis_that_is_not_there_delays_the_start_by_three_seconds_at_most() {
    let mut redis = RedisServer::absent();
    let started = Instant::now();
    let mut relay = Relay::start(&redis.url());
    let took = started.elapsed();
    println!("without Redis turnd opened after {took:.1?}");
    assert!(took < Duration::from_millis(4500), "{took:?}");
    relay.service.until_log("starting without");
    let deadline = Instant::now() + Duration::from_secs(5);
    while relay.errors("unreachable") == 0 {
        assert!(Instant::now() < deadline, "no error is counted");
        thread::sleep(Duration::from_millis(20));
    }
    let calls = relay.calls(2);

    // When it comes, the directory is written.
    redis.run();
    relay.until_kept(&redis, &calls.iter().collect::<Vec<_>>());
    relay.until_state("connected");
    relay.crash();
    lives(calls, &relay);
    relay.service.end();
}

#[test]
fn a_redis_that_hangs_delays_the_start_by_three_seconds_at_most() {
    let redis = RedisServer::start();
    redis.halt();
    let started = Instant::now();
    let relay = Relay::start(&redis.url());
    let took = started.elapsed();
    println!("beside a Redis that hangs turnd opened after {took:.1?}");
    assert!(took < Duration::from_millis(4500), "{took:?}");
    lives(relay.calls(2), &relay);
    redis.resume();
    relay.until_state("connected");
    assert!(records(&redis).is_empty() || records(&redis).len() == 2);
    relay.service.end();
}

/// With a shorter timeout than the default, so that the test takes less time.
fn impatient(config: &str) -> String {
    config.replace("[store]\n", "[store]\nrestore_patience = \"1s\"\n")
}

#[test]
fn h47_calls_that_a_halted_redis_still_has_go_on_when_it_does() {
    let redis = RedisServer::start();
    let mut relay = Relay::start_as(&redis.url(), impatient);
    let calls = relay.calls(6);
    relay.until_kept(&redis, &calls.iter().collect::<Vec<_>>());
    relay.service.kill();
    redis.halt();
    relay.service.start_again();
    relay.service.until_log("starting without");
    thread::sleep(Duration::from_millis(500));
    redis.resume();
    relay.service.until_metric("turnd_store_records_restored_late_total", 6);
    relay.until_state("connected");
    let mut calls = lives(calls, &relay);
    assert_eq!(
        relay.service.metric("turnd_store_stale_deleted_total"),
        0,
        "{}",
        relay.service.log()
    );
    relay.until_kept(&redis, &calls.iter().collect::<Vec<_>>());
    for call in &mut calls {
        assert_eq!(
            call.renew().expect("the server knows it"),
            Duration::from_secs(600),
            "{}",
            relay.service.log()
        );
    }
    calls.into_iter().for_each(Call::close);
    relay.until_kept(&redis, &[]);
    relay.service.end();
}

#[test]
fn h47_a_redis_that_another_program_keeps_busy_loses_no_call() {
    let redis = RedisServer::start();
    // The name of the setting before Redis 7; later versions accept it, too.
    redis.set("lua-time-limit", "20");
    let mut relay = Relay::start(&redis.url());
    let calls = relay.calls(6);
    relay.until_kept(&redis, &calls.iter().collect::<Vec<_>>());
    relay.service.kill();
    let (mut other, mut killer) = (redis.connection(), redis.connection());
    let busy = thread::spawn(move || {
        redis::cmd("EVAL").arg("while true do end").arg(0).query::<()>(&mut other)
    });
    while redis::cmd("PING").query::<String>(&mut killer).is_ok() {}
    let freed = thread::spawn(move || {
        thread::sleep(Duration::from_secs(1));
        let () = redis::cmd("SCRIPT")
            .arg("KILL")
            .query(&mut killer)
            .expect("the script runs and has written nothing");
    });
    relay.service.start_again();
    freed.join().expect("the thread ended the script");
    busy.join().expect("the thread does not panic").expect_err("the script was ended");
    relay.service.until_metric("turnd_store_records_restored_total", 6);
    lives(calls, &relay);
    relay.service.end();
}

/// Checks that each of these calls carries data, in both directions.
pub(crate) fn lives(calls: Vec<Call>, relay: &Relay) -> Vec<Call> {
    let start = Instant::now();
    let talks = Talk::start_all(calls);
    thread::sleep(Duration::from_millis(300));
    let talked = Talk::stop_all(talks);
    let lives = |(call, heard): (Call, crate::talk::Heard)| {
        assert!(
            heard.resumed(start).is_some(),
            "{} is silent:\n{}",
            call.relayed,
            relay.service.log()
        );
        call
    };
    talked.into_iter().map(lives).collect()
}
