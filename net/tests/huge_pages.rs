//! Huge pages come with load, and no datagram is lost by that. Alone in its process, whose mappings
//! it reads.

#![allow(clippy::unwrap_used)] // what a test calls fails as the test would

mod support;

use std::net::{SocketAddr, UdpSocket as StdSocket};

use causeway_net::{Backend, UdpOptions};
use support::{Behavior, Worker, listen_udp, over, plain_socket};

/// KiB of this process's address space for which huge pages are wanted.
fn wanted() -> u64 {
    let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let (mut size, mut wanted) = (0, 0);
    for line in text.lines() {
        match line.split_once(':') {
            Some(("Size", kib)) => size = kib.trim().trim_end_matches("kB").trim().parse().unwrap(),
            Some(("VmFlags", flags)) if flags.split_whitespace().any(|flag| flag == "hg") => {
                wanted += size;
            }
            _ => {}
        }
    }
    wanted
}

/// Sends `count` datagrams to each of `to`, which all come in one turn of the worker, and expects
/// each back.
fn burst(worker: &Worker, client: &StdSocket, to: &[SocketAddr], count: u8) {
    let (sender, addresses) = (client.try_clone().unwrap(), to.to_vec());
    // Sent by the worker's own thread, which therefore serves none before all are there.
    worker.with_io(move |_| {
        for to in addresses {
            (0..count)
                .for_each(|number| assert_eq!(sender.send_to(&[number; 300], to).unwrap(), 300));
        }
    });
    let mut buffer = [0; 2048];
    for _ in 0..usize::from(count) * to.len() {
        let (len, _) = client.recv_from(&mut buffer).unwrap();
        assert_eq!((len, &buffer[..4]), (304, &b"echo"[..]));
        assert!(buffer[4..len].iter().all(|byte| *byte == buffer[4]), "a whole datagram");
    }
    (0..5).for_each(|_| worker.settle());
}

fn huge_pages_come_with_load_where_they_are_allowed() {
    for allowed in [false, true] {
        support::allow_huge_pages(allowed);
        let (worker, to) = Worker::start(Behavior::EchoesQuietly, |io| {
            let (_, listener) = listen_udp(io, "127.0.0.1:0");
            let relayed =
                io.bind_udp("127.0.0.1:0".parse().unwrap(), &UdpOptions::RELAYED, 0).unwrap();
            [listener, io.local_addr(relayed).unwrap()]
        });
        let client = plain_socket("127.0.0.1:0");
        for _ in 0..20 {
            burst(&worker, &client, &to, 1);
        }
        assert_eq!(wanted(), 0, "a few packets at a time");
        for _ in 0..20 {
            burst(&worker, &client, &to, 30);
        }
        let least = match support::backend() {
            Backend::Epoll => 4 << 10,
            Backend::IoUring => 20 << 10,
        };
        if allowed {
            assert!((least..=24 << 10).contains(&wanted()), "{} KiB", wanted());
        } else {
            assert_eq!(wanted(), 0);
        }
    }
}

#[test]
fn over_each_backend() {
    for backend in [Backend::Epoll, Backend::IoUring] {
        over(backend, huge_pages_come_with_load_where_they_are_allowed);
    }
}
