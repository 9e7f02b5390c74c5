//! The handshaker's thread, alone in its process: its priority and its end.

#![allow(clippy::unwrap_used)] // what a test calls fails as the test would

#[path = "support/authority.rs"]
mod authority;

use std::fs;
use std::time::{Duration, Instant};

use authority::{Authority, Kind};
use causeway_net::secure::HandshakeLimits;

/// The nice values of the threads of this name.
fn threads() -> Vec<i32> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let stats = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
    let named = stats.filter(|stat| stat.contains("(handshaker)"));
    named
        .map(|stat| {
            stat.rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().parse().unwrap()
        })
        .collect()
}

fn await_threads(wanted: &[i32]) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while threads() != wanted {
        assert!(Instant::now() < deadline, "{:?}", threads());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn there_is_one_thread_below_the_others_which_ends_with_its_last_handle() {
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let handshaker = authority.handshaker(HandshakeLimits::default());
    await_threads(&[10]);
    let other = handshaker.clone();
    drop(handshaker);
    std::thread::sleep(Duration::from_millis(100));
    await_threads(&[10]);
    drop(other);
    await_threads(&[]);
}
