//! The share of one stream in a turn; all of its frames come in order.

#![allow(clippy::unwrap_used)] // what a test calls fails as the test would

#[path = "support/authority.rs"]
mod authority;
mod support;
#[path = "support/tls_client.rs"]
mod tls_client;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use authority::{Authority, Kind};
use causeway_net::secure::{HandshakeLimits, Handshaker};
use causeway_net::{Listener, StreamEnd, StreamListenerOptions};
use rustls::version::TLS13;
use support::{Behavior, Event, Worker};
use tls_client::{config, connect, dial};

/// Short frames that one read brings, more than a turn takes.
const FLOOD: u16 = 5_000;

fn frame(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u16).to_be_bytes(), content].concat()
}

/// Numbered frames of four bytes.
fn numbered() -> Vec<u8> {
    (0..FLOOD).flat_map(|number| frame(&number.to_be_bytes())).collect()
}

fn serve(behavior: Behavior, handshaker: Option<&Handshaker>) -> (Worker, SocketAddr) {
    Worker::start_with(handshaker, |io| {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listening =
            StreamListenerOptions { tls: handshaker.is_some(), ..StreamListenerOptions::plain(4) };
        let key = io.listen_tcp(listener, listening).unwrap();
        (behavior, io.listener_addr(key).unwrap())
    })
}

/// Two connections, both known to the worker.
fn two(worker: &Worker, server: SocketAddr) -> (TcpStream, TcpStream) {
    let both = (dial(server), dial(server));
    for _ in 0..2 {
        let Event::Accepted(_) = worker.event() else { panic!("a connection") };
    }
    both
}

#[test]
fn h14_a_flood_of_short_frames_makes_way_for_another_stream_in_each_turn() {
    let (worker, server) = serve(Behavior::Reports, None);
    let (mut flooding, mut other) = two(&worker, server);
    // While the worker is busy with this message, both come into the kernel.
    let _open = worker.with_io(move |_| {
        flooding.write_all(&numbered()).unwrap();
        other.write_all(&frame(b"the other")).unwrap();
        (flooding, other)
    });
    let mut expected = 0;
    let mut before = None;
    for _ in 0..=FLOOD {
        let Event::Frame(_, content) = worker.event() else { panic!("a frame") };
        if content == frame(b"the other") {
            before = Some(expected);
        } else {
            assert_eq!(content, frame(&u16::to_be_bytes(expected)), "in order");
            expected += 1;
        }
    }
    assert!(before.is_some_and(|before| before <= 256), "it waited for {before:?} frames");
}

#[test]
fn a_client_that_floods_and_leaves_is_heard_to_the_end() {
    let (worker, server) = serve(Behavior::Reports, None);
    let mut client = dial(server);
    client.write_all(&numbered()).unwrap();
    drop(client);
    let Event::Accepted(_) = worker.event() else { panic!("a connection") };
    for number in 0..FLOOD {
        let Event::Frame(_, content) = worker.event() else { panic!("a frame") };
        assert_eq!(content, frame(&number.to_be_bytes()));
    }
    let Event::Closed(_, StreamEnd::PeerClosed) = worker.event() else { panic!("an end") };
    worker.assert_quiet();
}

#[test]
fn many_frames_of_one_record_are_answered_in_order_and_the_goodbye_behind_them_is_heard() {
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let handshaker = authority.handshaker(HandshakeLimits::default());
    let (worker, server) = serve(Behavior::EchoesQuietly, Some(&handshaker));
    let mut client = connect(server, &config(&authority, &TLS13, &[]));
    let all = numbered();
    client.write_all(&all).unwrap();
    client.conn.send_close_notify();
    client.flush().unwrap();
    let mut back = vec![0; all.len()];
    client.read_exact(&mut back).unwrap();
    assert!(back == all);
    assert_eq!(client.read(&mut [0]).unwrap(), 0, "closed, and said so");
    worker.settle();
    assert_eq!(worker.stats.frames_received.value(), u64::from(FLOOD));
}

#[test]
fn many_frames_in_more_records_than_one_read_brings_all_arrive() {
    const COUNT: u32 = 10_000;
    let content = |number: u32| [&number.to_be_bytes()[..], &[7; 296]].concat();
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let handshaker = authority.handshaker(HandshakeLimits::default());
    let (worker, server) = serve(Behavior::Reports, Some(&handshaker));
    let mut client = connect(server, &config(&authority, &TLS13, &[]));
    let writer = std::thread::spawn(move || {
        let all: Vec<u8> = (0..COUNT).flat_map(|number| frame(&content(number))).collect();
        let written = client.write_all(&all);
        (client, written)
    });
    let mut expected = 0;
    while expected < COUNT {
        match worker.event() {
            Event::Frame(_, came) => {
                assert!(came == frame(&content(expected)), "in order");
                expected += 1;
            }
            Event::Closed(_, end) => panic!("{end:?} after {expected} frames"),
            _ => {}
        }
    }
    writer.join().unwrap().1.unwrap();
}
