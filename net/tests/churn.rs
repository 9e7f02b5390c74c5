//! Sockets that come and go leave nothing behind in the process.

#![allow(clippy::unwrap_used)] // what a test calls fails as the test would

mod support;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use causeway_net::{Io, SocketKey, UdpOptions};
use support::{Behavior, Event, Worker, plain_socket};

over_each_backend!(thousands_of_sockets_come_and_go_under_traffic_and_leave_nothing_behind);

static ALONE: Mutex<()> = Mutex::new(());

fn relayed(io: &mut Io, tag: u64) -> (SocketKey, SocketAddr) {
    let key = io.bind_udp("127.0.0.1:0".parse().unwrap(), &UdpOptions::RELAYED, tag).unwrap();
    (key, io.local_addr(key).unwrap())
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn thousands_of_sockets_come_and_go_under_traffic_and_leave_nothing_behind() {
    const AT_ONCE: usize = 40;
    const ROUNDS: u64 = 60;
    // The files of this process are counted.
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (worker, ()) = Worker::start(Behavior::Reports, |_| ());
    let peer = plain_socket("127.0.0.1:0");
    worker.settle();
    let before = open_files();
    for round in 0..ROUNDS {
        let made: Vec<_> = worker.with_io(move |io| {
            (0..AT_ONCE).map(|number| relayed(io, round << 16 | number as u64)).collect()
        });
        for (_, address) in &made {
            for part in 0..3u8 {
                peer.send_to(&[part; 100], address).unwrap();
            }
        }
        let mut seen = HashSet::new();
        while seen.len() < 3 * AT_ONCE {
            let Event::Datagram(arrival, content) = worker.event() else { panic!("a datagram") };
            let number = (arrival.tag & 0xffff) as usize;
            assert_eq!(arrival.tag >> 16, round, "no word of an earlier round's sockets");
            assert_eq!((arrival.socket, arrival.destination), made[number]);
            assert!(
                content.len() == 100 && seen.insert((number, content[0])),
                "each datagram once"
            );
        }
        // More arrives while they are being released.
        for (_, address) in &made {
            peer.send_to(b"too late", address).unwrap();
        }
        worker.with_io(move |io| made.iter().for_each(|(key, _)| io.release_udp(*key)));
        worker.settle();
        while let Ok(Event::Datagram(arrival, content)) = worker.events.try_recv() {
            assert_eq!((arrival.tag >> 16, &content[..]), (round, &b"too late"[..]));
        }
    }
    worker.settle();
    assert_eq!(worker.stats.sockets_open.value(), 0);
    assert_eq!(open_files(), before, "after {} sockets", ROUNDS as usize * AT_ONCE);
}
