//! Clients whose address is not proven, and clients that leave handshakes half-open.

use std::net::UdpSocket;
use std::time::Duration;

use causeway_net::secure::HandshakeLimits;

use crate::authority::{Authority, Kind};
use crate::client::{Client, Path, Wish, faithful};
use crate::server::{Server, Settings, socket};

fn path(server: &Server, local: &str) -> Path {
    Path::new(socket(local), server.address, faithful(), faithful())
}

/// A hello as OpenSSL writes it, in its first flight.
fn first_hello(server: &Server, authority: &Authority) -> Vec<u8> {
    let client = Client::connect(
        path(server, "127.0.0.1:0"),
        &Wish::verified(&authority.root, "turn.example.org"),
    )
    .unwrap();
    server.associated();
    client.stream.get_ref().sent[0].clone()
}

/// The hello with a cookie of 32 bytes.
fn with_cookie(hello: &[u8], cookie: &[u8]) -> Vec<u8> {
    let place = 13 + 12 + 2 + 32 + 1 + usize::from(hello[13 + 12 + 2 + 32]);
    let mut with = hello[..place].to_vec();
    with.push(cookie.len() as u8);
    with.extend(cookie);
    with.extend(&hello[place + 1..]);
    for at in [11, 15, 23] {
        let len = u16::from_be_bytes([with[at], with[at + 1]]) + cookie.len() as u16;
        with[at..at + 2].copy_from_slice(&len.to_be_bytes());
    }
    with
}

#[test]
fn h13_ten_thousand_forged_sources_leave_no_trace() {
    let authority = Authority::new(Kind::Ecdsa, "turn.example.org");
    let server = Server::start(vec![authority.identity()]);
    let hello = first_hello(&server, &authority);
    let forged = with_cookie(&hello, &[0x5a; 32]);
    let started = server.reading("handshakes_started", None);
    let mut answered = 0;
    for source in 0..10_000u32 {
        let local = format!("127.{}.{}.{}:0", 1 + source / 40_000, source / 200, 1 + source % 200);
        let source_socket = UdpSocket::bind(&local).unwrap();
        source_socket.connect(server.address).unwrap();
        source_socket.send(if source % 2 == 0 { &hello } else { &forged }).unwrap();
        source_socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let mut answer = [0; 2_000];
        let len = source_socket.recv(&mut answer).expect("a HelloVerifyRequest");
        // H11: no more out than in.
        assert!(len <= hello.len(), "{len} bytes for {}", hello.len());
        assert_eq!(
            (answer[0], answer[13]),
            (22, 3),
            "a HelloVerifyRequest, for a wrong cookie too"
        );
        answered += 1;
        assert_eq!(server.reading("handshakes_half_open", None), 0);
    }
    assert_eq!(answered, 10_000);
    assert_eq!(server.reading("handshakes_started", None), started);
    assert_eq!(server.stats.associations_open.value(), 1, "the one that showed how a hello looks");
}

#[test]
fn h13_a_cookie_is_worth_nothing_from_another_port() {
    let authority = Authority::new(Kind::Ecdsa, "turn.example.org");
    let server = Server::start(vec![authority.identity()]);
    let client = Client::connect(
        path(&server, "127.0.0.1:0"),
        &Wish::verified(&authority.root, "turn.example.org"),
    )
    .unwrap();
    let second_hello = client.stream.get_ref().sent[1].clone();
    let thief = socket("127.0.0.1:0");
    thief.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    thief.send_to(&second_hello, server.address).unwrap();
    let mut answer = [0; 2_000];
    let len = thief.recv(&mut answer).unwrap();
    assert_eq!((len, answer[13]), (60, 3), "another HelloVerifyRequest");
    assert_eq!(server.reading("handshakes_started", None), 1);
}

#[test]
fn h13_a_hello_in_fragments_without_a_cookie_is_dropped() {
    let authority = Authority::new(Kind::Ecdsa, "turn.example.org");
    let server = Server::start(vec![authority.identity()]);
    let hello = first_hello(&server, &authority);
    let fragment = |from: usize, to: usize| {
        let mut datagram = hello[..25].to_vec();
        datagram.extend(&hello[25 + from..25 + to]);
        datagram[11..13].copy_from_slice(&(12 + (to - from) as u16).to_be_bytes());
        datagram[20..22].copy_from_slice(&(from as u16).to_be_bytes());
        datagram[23..25].copy_from_slice(&((to - from) as u16).to_be_bytes());
        datagram
    };
    let source = socket("127.0.0.1:0");
    for (from, to) in [(0, 36), (36, hello.len() - 25), (10, 40)] {
        source.send_to(&fragment(from, to), server.address).unwrap();
    }
    server.wait_for("the drops", |server| server.stats.dropped_no_handshake.value() == 3);
    assert!(source.recv(&mut [0; 100]).is_err(), "no answer");
    assert_eq!(
        server.reading("handshakes_started", None),
        1,
        "that of the client which showed how a hello looks"
    );
}

#[test]
fn h13_those_who_only_take_places_are_bounded_by_prefix_and_time() {
    let authority = Authority::new(Kind::Ecdsa, "turn.example.org");
    let limits = HandshakeLimits {
        half_open_per_prefix: 3,
        time: Duration::from_secs(4),
        ..HandshakeLimits::default()
    };
    let server =
        Server::start_with(vec![authority.identity()], Settings { limits, ..Settings::default() });
    let stalled: Vec<_> = (0..5).map(|_| stall(&server, "127.0.0.2:0")).collect();
    server.wait_for("the refusals", |server| {
        server.reading("handshakes_failed", Some("half_open")) >= 2
    });
    assert_eq!(server.reading("handshakes_half_open", None), 3);
    // Another prefix is still served.
    let wish = Wish::verified(&authority.root, "turn.example.org");
    Client::connect(path(&server, "127.0.0.3:0"), &wish).unwrap().assert_echo(b"hello");
    server.wait_for("the time limit", |server| server.reading("handshakes_half_open", None) == 0);
    assert_eq!(server.reading("handshakes_failed", Some("slow")), 3);
    drop(stalled);
    Client::connect(path(&server, "127.0.0.2:0"), &wish).unwrap().assert_echo(b"hello again");
}

#[test]
fn h13_no_more_begin_than_the_rate_allows() {
    let authority = Authority::new(Kind::Ecdsa, "turn.example.org");
    let limits = HandshakeLimits { dtls_per_second: 4, ..HandshakeLimits::default() };
    let server =
        Server::start_with(vec![authority.identity()], Settings { limits, ..Settings::default() });
    let stalled: Vec<_> = (0..10).map(|_| stall(&server, "127.0.0.1:0")).collect();
    server
        .wait_for("the refusals", |server| server.reading("handshakes_failed", Some("rate")) >= 3);
    drop(stalled);
}

/// Proves its address and then receives nothing any more.
fn stall(server: &Server, local: &str) -> UdpSocket {
    let kept = socket(local);
    let hello = client_hello();
    kept.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    kept.send_to(&hello, server.address).unwrap();
    let mut answer = [0; 2_000];
    let len = kept.recv(&mut answer).unwrap();
    let mut second = with_cookie(&hello, &answer[28..len]);
    (second[10], second[18]) = (1, 1);
    kept.send_to(&second, server.address).unwrap();
    kept
}

/// A hello with one cipher suite, one group and one kind of signature.
fn client_hello() -> Vec<u8> {
    let mut body = vec![254, 253];
    body.extend([9; 32]);
    body.extend([0, 0, 0, 2, 0xc0, 0x2b, 1, 0]);
    let extensions = [0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3];
    body.extend([0, extensions.len() as u8]);
    body.extend(extensions);
    let len = body.len() as u8;
    let mut datagram = vec![
        22,
        254,
        255,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        12 + len,
        1,
        0,
        0,
        len,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        len,
    ];
    datagram.extend(body);
    datagram
}
