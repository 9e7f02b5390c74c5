//! The kernel chooses the worker that user space computes.

#![allow(clippy::unwrap_used)] // what a test calls fails as the test would

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket as StdSocket};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use causeway_net::{DontFragment, UdpOptions, steering};

const WORKERS: usize = 5;
const CLIENTS: usize = 300;

fn group(address: SocketAddr) -> Vec<StdSocket> {
    let group = steering::bind_udp_group(address, &UdpOptions::LISTENER, WORKERS).unwrap();
    assert!(group.unsteered.is_none(), "{:?}", group.unsteered);
    group
        .sockets
        .into_iter()
        .map(|socket| StdSocket::from(std::os::fd::OwnedFd::from(socket)))
        .collect()
}

fn check(server: &str, sources: &[&str]) {
    let workers = group(server.parse().unwrap());
    let mut each = [0; WORKERS];
    let clients: Vec<_> =
        (0..CLIENTS).map(|n| StdSocket::bind((sources[n % sources.len()], 0)).unwrap()).collect();
    for client in &clients {
        let source = client.local_addr().unwrap();
        client.send_to(b"?", workers[0].local_addr().unwrap()).unwrap();
        let expected = steering::worker_of(source, WORKERS);
        for (index, worker) in workers.iter().enumerate() {
            let found = worker.recv_from(&mut [0; 8]).ok().map(|(_, from)| from);
            assert_eq!(
                found,
                (index == expected).then_some(source),
                "{source} belongs to worker {expected}"
            );
        }
        each[expected] += 1;
    }
    assert!(each.iter().all(|count| *count > CLIENTS / WORKERS / 2), "spread over all: {each:?}");
}

/// Whether the kernel lists `count` sockets at this port of 127.0.0.1. The list is no snapshot:
/// while other sockets of the host come and go, a reading may miss a socket or hold it twice, so
/// that one of several readings counts.
fn are_bound(count: usize, port: u16) -> bool {
    let address = format!("0100007F:{port:04X} 00000000:0000");
    let listed = || {
        std::fs::read_to_string("/proc/self/net/udp")
            .unwrap()
            .lines()
            .filter(|line| line.contains(&address))
            .count()
    };
    (0..100).any(|_| listed() == count)
}

/// Every datagram reaches the socket that a worker reads, though a second one of each worker is
/// bound to the same address.
#[test]
fn no_datagram_lands_on_a_send_only_socket() {
    const SOURCES: usize = 4_000;
    let mut group =
        steering::bind_udp_group("127.0.0.1:0".parse().unwrap(), &UdpOptions::LISTENER, WORKERS)
            .unwrap()
            .sockets;
    for _ in 0..2 {
        let address = group[0].local_addr();
        let workers: Vec<_> = group
            .iter()
            .map(|socket| StdSocket::from(socket.as_fd().try_clone_to_owned().unwrap()))
            .collect();
        assert!(are_bound(2 * WORKERS, address.port()), "each worker has a second socket");
        let mut found = 0;
        for number in 0..SOURCES {
            let client =
                StdSocket::bind((format!("127.{}.{}.1", 1 + number % 7, number / 250), 0)).unwrap();
            client.send_to(b"?", address).unwrap();
            let worker = &workers[steering::worker_of(client.local_addr().unwrap(), WORKERS)];
            found += usize::from(
                worker
                    .recv_from(&mut [0; 8])
                    .is_ok_and(|(_, from)| from == client.local_addr().unwrap()),
            );
        }
        assert_eq!(found, SOURCES);
        // The same after a restart on the same port.
        drop((workers, group));
        group = steering::bind_udp_group(address, &UdpOptions::LISTENER, WORKERS).unwrap().sockets;
    }
}

#[test]
fn a_group_that_sets_no_df_has_one_socket_for_each_worker() {
    let options = UdpOptions { dont_fragment: DontFragment::Never, ..UdpOptions::LISTENER };
    let group =
        steering::bind_udp_group("127.0.0.1:0".parse().unwrap(), &options, WORKERS).unwrap();
    assert!(are_bound(WORKERS, group.sockets[0].local_addr().port()));
}

#[test]
fn ipv4_datagrams_land_where_computed() {
    check("127.0.0.1:0", &["127.0.0.1", "127.0.0.2", "127.9.8.7"]);
    check("0.0.0.0:0", &["127.0.0.3"]);
}

#[test]
fn ipv6_datagrams_land_where_computed() {
    check("[::1]:0", &["::1"]);
}

#[test]
fn steering_needs_no_privilege() {
    // SAFETY: `geteuid` has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        return; // then the other tests have shown it already
    }
    // A copy where that user may run it: the target directory may be closed to others, and so are
    // the kit's scratch folders.
    let copy = std::env::temp_dir().join(format!("causeway-steering-{}", std::process::id()));
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let output = Command::new(&copy)
        .args(["land_where_computed"])
        .current_dir("/")
        .uid(65_534)
        .gid(65_534)
        .output();
    std::fs::remove_file(&copy).unwrap();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("2 passed"));
}

#[test]
fn nothing_reaches_a_wrong_worker_while_a_group_is_being_bound() {
    const SENDERS: usize = 32;
    let probe = StdSocket::bind("127.0.0.1:0").unwrap();
    let server = probe.local_addr().unwrap();
    drop(probe);
    let senders: Vec<_> = (0..SENDERS).map(|_| StdSocket::bind("127.0.0.1:0").unwrap()).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // Refused while the port is not open.
                senders.iter().for_each(|sender| _ = sender.send_to(b"?", server));
            }
        });
        let mut heard = 0;
        for _ in 0..100 {
            let workers = group(server);
            while heard == 0 && workers.iter().all(|worker| worker.peek(&mut [0]).is_err()) {
                std::thread::yield_now(); // it is not deaf for ever
            }
            for (index, worker) in workers.iter().enumerate() {
                while let Ok((_, source)) = worker.recv_from(&mut [0; 8]) {
                    heard += 1;
                    if steering::worker_of(source, WORKERS) != index {
                        done.store(true, Ordering::Relaxed);
                        panic!("{source} reached worker {index}");
                    }
                    if heard % 1_000 == 0 {
                        break; // the others send on and on
                    }
                }
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn an_ipv4_mapped_source_is_the_ipv4_one() {
    let plain: SocketAddr = "192.0.2.1:4000".parse().unwrap();
    let mapped: SocketAddr = "[::ffff:192.0.2.1]:4000".parse().unwrap();
    assert_eq!(steering::worker_of(plain, 64), steering::worker_of(mapped, 64));
}

#[test]
fn a_port_that_another_server_shares_willingly_is_still_in_use() {
    let any = "127.0.0.1:0".parse().unwrap();
    let first = steering::bind_udp_group(any, &UdpOptions::LISTENER, 2).unwrap();
    let taken = first.sockets[0].local_addr();
    let second = steering::bind_udp_group(taken, &UdpOptions::LISTENER, 2).unwrap_err();
    assert_eq!(second.kind(), ErrorKind::AddrInUse);
    let first = steering::bind_tcp_group(any, false, 2).unwrap();
    let second = steering::bind_tcp_group(first[0].local_addr(), false, 2).unwrap_err();
    assert_eq!(second.kind(), ErrorKind::AddrInUse);
}
