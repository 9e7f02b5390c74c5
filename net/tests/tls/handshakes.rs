//! Handshakes: their limits, broken ones, ALPN and resumption.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use causeway_net::StreamEnd;
use causeway_net::secure::HandshakeLimits;
use rustls::version::{TLS12, TLS13};

use crate::authority::{Authority, Kind};
use crate::server::{ALPN, Server, offer};
use crate::support::{Behavior, Event};
use crate::tls_client::{Client, config, connect, dial, echo, handshake};

#[test]
fn h14_a_hello_of_single_bytes_is_served_and_counts_once() {
    let authority = Authority::new(Kind::Rsa, "localhost");
    let server = Server::echoing(&authority);
    for version in [&TLS12, &TLS13] {
        let mut connection = rustls::ClientConnection::new(
            config(&authority, version, &[]),
            "localhost".try_into().unwrap(),
        )
        .unwrap();
        let mut hello = Vec::new();
        connection.write_tls(&mut hello).unwrap();
        let mut stream = dial(server.address);
        for byte in hello {
            stream.write_all(&[byte]).unwrap();
            assert!(server.reading("handshakes_half_open", None) <= 1);
        }
        connection.complete_io(&mut stream).unwrap();
        echo(&mut Client::new(connection, stream), b"served");
    }
}

#[test]
fn h14_garbage_is_answered_by_an_alert_and_counted() {
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let server =
        Server::start(Behavior::Reports, true, offer(&[&authority]), HandshakeLimits::default());
    for (number, garbage) in
        [&[0x16; 5_000][..], &[0x16, 3, 1, 0, 4, 9, 9, 9, 9], &[0x17, 3, 3, 0, 1, 0]]
            .iter()
            .enumerate()
    {
        let mut client = dial(server.address);
        client.write_all(garbage).unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert_eq!((answer[0], answer[5], answer.len()), (21, 2, 7), "one fatal alert: {answer:?}");
        let Event::Accepted(_) = server.worker.event() else { panic!("a connection") };
        let Event::Closed(info, StreamEnd::Handshake) = server.worker.event() else {
            panic!("an end")
        };
        assert!(!info.secure);
        assert_eq!(server.reading("handshakes_failed", Some("refused")), number as u64 + 1);
    }
    server.await_no_stream();
}

#[test]
fn h14_a_flood_of_half_open_handshakes_is_bounded_and_leaves_nothing() {
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let limits = HandshakeLimits {
        half_open: 100,
        half_open_per_prefix: 40,
        time: Duration::from_secs(2),
        ..Default::default()
    };
    let server = Server::start(Behavior::EchoesQuietly, true, offer(&[&authority]), limits);
    let mut good = connect(server.address, &config(&authority, &TLS13, &[]));
    // A client of TLS 1.3 is done before the server is: until this comes back, its handshake counts
    // as half-open.
    echo(&mut good, b"before it");
    let flood: Vec<_> = (0..300)
        .map(|_| {
            let mut stream = dial(server.address);
            stream.write_all(&[0x16, 3, 1, 2, 0]).unwrap();
            stream
        })
        .collect();
    server.await_reading("handshakes_failed", Some("half_open"), 260);
    assert_eq!(server.reading("handshakes_half_open", None), 40);
    echo(&mut good, b"untouched");
    server.await_reading("handshakes_half_open", None, 0);
    assert_eq!(server.reading("handshakes_failed", Some("slow")), 40);
    drop(flood);
    connect(server.address, &config(&authority, &TLS12, &[]));
    echo(&mut good, b"still");
}

#[test]
fn h14_a_client_that_goes_in_the_middle_no_longer_counts() {
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let server = Server::echoing(&authority);
    for round in 1..=20 {
        let mut stream = dial(server.address);
        stream.write_all(&[0x16, 3, 1, 2, 0]).unwrap();
        server.await_reading("handshakes_half_open", None, 1);
        drop(stream);
        server.await_reading("handshakes_half_open", None, 0);
        assert_eq!(server.reading("handshakes_failed", Some("gone")), round);
    }
    server.await_no_stream();
}

#[test]
fn h14_a_silent_connection_to_a_port_of_tls_alone_is_closed_in_time() {
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let limits = HandshakeLimits { time: Duration::from_millis(300), ..Default::default() };
    let server = Server::start(Behavior::Reports, false, offer(&[&authority]), limits);
    let mut client = dial(server.address);
    let begun = Instant::now();
    assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
    assert!(
        (Duration::from_millis(290)..Duration::from_secs(3)).contains(&begun.elapsed()),
        "{:?}",
        begun.elapsed()
    );
    let Event::Accepted(_) = server.worker.event() else { panic!("a connection") };
    let Event::Closed(_, StreamEnd::Handshake) = server.worker.event() else { panic!("an end") };
}

#[test]
fn h23_hellos_with_broken_bytes_harm_no_other_client() {
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let server = Server::echoing(&authority);
    let mut good = connect(server.address, &config(&authority, &TLS13, &[]));
    let mut hello = Vec::new();
    let mut connection = rustls::ClientConnection::new(
        config(&authority, &TLS12, ALPN),
        "localhost".try_into().unwrap(),
    )
    .unwrap();
    connection.write_tls(&mut hello).unwrap();
    for round in 0..hello.len() - 1 {
        let mut broken = hello.clone();
        broken[1 + round] ^= 1 << (round % 8);
        if round % 3 == 0 {
            broken.truncate(1 + round);
        }
        let mut stream = dial(server.address);
        stream.write_all(&broken).unwrap();
        if round % 50 == 0 {
            echo(&mut good, &[round as u8; 100]);
        }
    }
    server.await_reading("handshakes_half_open", None, 0);
    server.await_no_stream_but(1);
    echo(&mut good, b"unharmed");
}

#[test]
fn rfc7443_3_alpn_is_agreed_on_or_refused() {
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let server = Server::echoing(&authority);
    for version in [&TLS12, &TLS13] {
        for (offered, agreed) in [
            (&[][..], None),
            (&[&b"stun.turn"[..]], Some(&b"stun.turn"[..])),
            (&[b"h2", b"stun.nat-discovery"], Some(b"stun.nat-discovery")),
        ] {
            let mut client = connect(server.address, &config(&authority, version, offered));
            assert_eq!(client.conn.alpn_protocol(), agreed);
            echo(&mut client, b"agreed");
        }
        let refused = handshake(
            dial(server.address),
            &config(&authority, version, &[b"http/1.1"]),
            "localhost",
        )
        .unwrap_err();
        let alert = refused.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        assert_eq!(
            alert,
            Some(&rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol)),
            "RFC 7301 §3.2"
        );
    }
    assert_eq!(server.reading("handshakes_failed", Some("refused")), 2);
}

#[test]
fn a_session_is_resumed_by_its_ticket() {
    let authority = Authority::new(Kind::Rsa, "localhost");
    let server = Server::echoing(&authority);
    for (round, version) in [&TLS12, &TLS13].into_iter().enumerate() {
        let config = config(&authority, version, &[]);
        for _ in 0..2 {
            echo(&mut connect(server.address, &config), b"again"); // reading takes the ticket in
        }
        assert_eq!(server.reading("handshakes_resumed", None), round as u64 + 1);
    }
}
