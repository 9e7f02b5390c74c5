//! `net.backend`: the configured backend runs, relays, and frees what it held.

use std::time::Duration;

use causeway_tests::daemon::caller::Caller;
use causeway_tests::daemon::echo::Echo;
use causeway_tests::daemon::service::{PASSWORD, Service, USER, turnd};

const LIMIT: Duration = Duration::from_secs(5);

fn turnd_over(backend: &str) -> Service {
    turnd(r#""allow 127.0.0.1/32""#, &format!("[net]\nbackend = \"{backend}\"\nworkers = 2\n"))
}

/// Makes and ends calls by `count` clients at the same time.
fn calls(turnd: &Service, count: usize, peer: &Echo) {
    let mut callers: Vec<_> =
        (0..count).map(|_| Caller::allocate(turnd.address, USER, PASSWORD).unwrap()).collect();
    for (number, caller) in callers.iter_mut().enumerate() {
        caller.bind(peer.address).unwrap();
        for len in [1, 160, 1_200] {
            assert!(caller.round_trip(peer.address, &vec![number as u8; len], LIMIT));
        }
    }
    callers.into_iter().for_each(Caller::close);
}

fn check(backend: &str) {
    let turnd = turnd_over(backend);
    assert_eq!(turnd.metric(&format!("turnd_workers{{backend=\"{backend}\"}}")), 2);
    let peer = Echo::start();
    calls(&turnd, 20, &peer);
    turnd.until_metric("turnd_sockets_open", 2); // the listener's, one per worker
    let descriptors = turnd.descriptors();
    for _ in 0..5 {
        calls(&turnd, 20, &peer);
    }
    turnd.until_metric("turnd_sockets_open", 2);
    assert!(
        turnd.descriptors() <= descriptors + 2,
        "{} descriptors, {descriptors} before a hundred calls",
        turnd.descriptors()
    );
    assert_eq!(turnd.metric("turnd_ring_enters_total") > 0, backend == "io_uring");
    turnd.end();
}

#[test]
fn calls_over_epoll_leave_nothing_behind() {
    check("epoll");
}

#[test]
fn calls_over_io_uring_leave_nothing_behind() {
    check("io_uring");
}
