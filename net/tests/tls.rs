//! TLS through the loop, with clients that verify the chain.

#![allow(clippy::unwrap_used)] // what a test calls fails as the test would

#[path = "support/authority.rs"]
mod authority;
mod support;
#[path = "support/tls_client.rs"]
mod tls_client;

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use authority::{Authority, Kind};
use causeway_certificates::Part;
use causeway_net::secure::{HandshakeLimits, Handshaker, Identity, Offer};
use causeway_net::{Listener, MAX_QUEUE, StreamEnd, StreamListenerOptions, Unsent};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::cipher_suite::{
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
};
use rustls::crypto::ring::default_provider;
use rustls::version::{TLS12, TLS13};
use support::{Event, Manner, Worker};
use tls_client::{Client, config, config_with, connect, dial, echo, handshake};

const ALPN: &[&[u8]] = &[b"stun.turn", b"stun.nat-discovery"];

fn offer(authorities: &[&Authority]) -> Offer {
    Offer {
        identities: authorities.iter().map(|authority| Arc::new(authority.identity())).collect(),
        alpn: ALPN,
    }
}

struct Server {
    worker: Worker,
    address: SocketAddr,
    handshaker: Handshaker,
}

impl Server {
    fn start(manner: Manner, plain: bool, offer: Offer, limits: HandshakeLimits) -> Self {
        let handshaker = Handshaker::start(offer, limits).unwrap();
        let (worker, address) = Worker::start_with(Some(&handshaker), |io| {
            let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let key = io
                .listen_tcp(
                    listener,
                    StreamListenerOptions { plain, tls: true, ..StreamListenerOptions::plain(4) },
                )
                .unwrap();
            (manner, io.listener_addr(key).unwrap())
        });
        Self { worker, address, handshaker }
    }

    fn echoing(authority: &Authority) -> Self {
        Self::start(Manner::EchoesQuietly, true, offer(&[authority]), HandshakeLimits::default())
    }

    fn reading(&self, family: &str, cause: Option<&str>) -> u64 {
        let found =
            self.handshaker.readings().find(|one| (one.family, one.cause) == (family, cause));
        found.expect("such a counter").value
    }

    /// Waits until a gauge or counter has come to `value`.
    fn await_reading(&self, family: &str, cause: Option<&str>, value: u64) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.reading(family, cause) != value {
            assert!(
                Instant::now() < deadline,
                "{family} {cause:?} is {}, not {value}",
                self.reading(family, cause)
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn await_no_stream(&self) {
        self.await_no_stream_but(0);
    }

    fn await_no_stream_but(&self, kept: u64) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.worker.stats.streams_open.value() > kept {
            assert!(
                Instant::now() < deadline,
                "{} streams are open",
                self.worker.stats.streams_open.value()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn chains_of_both_kinds_are_served_in_both_versions() {
    for kind in [Kind::Ecdsa, Kind::Rsa] {
        let authority = Authority::new(kind, "localhost");
        let server =
            Server::start(Manner::Echoes, false, offer(&[&authority]), HandshakeLimits::default());
        for version in [&TLS12, &TLS13] {
            let mut client = connect(server.address, &config(&authority, version, &[]));
            assert_eq!(client.conn.peer_certificates().unwrap().len(), 3, "the chain is whole");
            assert_eq!(client.conn.protocol_version(), Some(version.version));
            let Event::Accepted(accepted) = server.worker.event() else { panic!("a connection") };
            let Event::Secured(secured) = server.worker.event() else { panic!("TLS") };
            assert_eq!((accepted.secure, secured.secure), (false, true));
            assert_eq!(
                (secured.key, secured.tag, secured.peer),
                (accepted.key, 7, client.sock.local_addr().unwrap())
            );
            for len in [0, 1, 1_000, 16_384, 60_000] {
                echo(&mut client, &vec![len as u8; len]);
                let Event::Frame(info, content) = server.worker.event() else { panic!("a frame") };
                assert_eq!((info, content.len()), (secured, len + 2));
            }
            client.conn.send_close_notify();
            client.flush().unwrap();
            let Event::Closed(info, StreamEnd::PeerClosed) = server.worker.event() else {
                panic!("an end")
            };
            assert_eq!(info, secured);
            assert_eq!(client.read(&mut [0; 8]).unwrap(), 0, "close_notify comes back");
        }
        assert_eq!(
            (
                server.reading("handshakes_started", None),
                server.reading("handshakes_completed", None)
            ),
            (2, 2)
        );
        server.await_reading("handshakes_half_open", None, 0);
    }
}

#[test]
fn frames_survive_every_way_of_splitting_them_into_records() {
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let server = Server::echoing(&authority);
    let frames: Vec<_> = [0u16, 1, 17, 1_000, 60_000, 2]
        .iter()
        .map(|len| [&len.to_be_bytes()[..], &vec![*len as u8; usize::from(*len)]].concat())
        .collect();
    let all = frames.concat();
    for version in [&TLS12, &TLS13] {
        let mut client = connect(server.address, &config(&authority, version, &[]));
        for record in [1, 3, 700, 16_384, all.len()] {
            // Single bytes of the whole would be sixty thousand records; the beginning has all the
            // headers but two.
            let (front, rest) = all.split_at(if record == 1 { 1_100 } else { all.len() });
            for part in front.chunks(record).chain([rest]) {
                client.write_all(part).unwrap();
                client.flush().unwrap();
            }
            let mut back = vec![0; all.len()];
            client.read_exact(&mut back).unwrap();
            assert!(back == all, "what comes back is whole and in order");
        }
    }
}

#[test]
fn plain_and_secure_connections_share_a_port() {
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let server = Server::echoing(&authority);
    let mut secure = connect(server.address, &config(&authority, &TLS13, &[]));
    let mut plain = dial(server.address);
    for round in 0..20 {
        echo(&mut secure, &vec![round; 500]);
        echo(&mut plain, &vec![round; 700]);
    }
    assert_eq!(server.reading("handshakes_started", None), 1);
}

#[test]
fn h14_a_hello_of_single_bytes_is_served_and_holds_one_place() {
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
        Server::start(Manner::Tells, true, offer(&[&authority]), HandshakeLimits::default());
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
    let server = Server::start(Manner::EchoesQuietly, true, offer(&[&authority]), limits);
    let mut good = connect(server.address, &config(&authority, &TLS13, &[]));
    // A client of TLS 1.3 is done before the server is: until this comes back its handshake has a
    // place.
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
fn h14_a_client_that_goes_in_the_middle_gives_its_place_back() {
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
    let server = Server::start(Manner::Tells, false, offer(&[&authority]), limits);
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
fn certificates_are_swapped_while_sessions_live_on() {
    let (old, new) =
        (Authority::new(Kind::Ecdsa, "localhost"), Authority::new(Kind::Rsa, "localhost"));
    let server = Server::echoing(&old);
    let mut first = connect(server.address, &config(&old, &TLS13, &[]));
    server.handshaker.set_offer(offer(&[&new])).unwrap();
    let mut second = connect(server.address, &config(&new, &TLS13, &[]));
    assert!(
        handshake(dial(server.address), &config(&old, &TLS13, &[]), "localhost").is_err(),
        "the old one is offered no more"
    );
    echo(&mut first, b"of the old");
    echo(&mut second, b"of the new");
    server.await_reading("handshakes_failed", Some("alert"), 1);
    let nothing = Offer { identities: Vec::new(), alpn: ALPN };
    assert_eq!(server.handshaker.set_offer(nothing).unwrap_err().kind(), ErrorKind::InvalidInput);
    echo(&mut connect(server.address, &config(&new, &TLS12, &[])), b"the offer stands");
}

#[test]
fn the_name_that_a_client_asks_for_chooses_the_certificate() {
    let first = Authority::naming(Kind::Ecdsa, &["a.example", "*.a.example", "127.0.0.1"]);
    let second = Authority::new(Kind::Rsa, "b.example");
    let server = Server::start(
        Manner::EchoesQuietly,
        true,
        offer(&[&first, &second]),
        HandshakeLimits::default(),
    );
    for (authority, name) in [
        (&first, "a.example"),
        (&first, "x.a.example"),
        (&second, "b.example"),
        (&first, "127.0.0.1"),
    ] {
        echo(
            &mut handshake(dial(server.address), &config(authority, &TLS13, &[]), name).unwrap(),
            name.as_bytes(),
        );
    }
    assert!(
        handshake(dial(server.address), &config(&second, &TLS13, &[]), "c.example").is_err(),
        "the first is for all others"
    );
}

#[test]
fn a_client_that_knows_one_kind_of_keys_gets_a_certificate_of_it() {
    let first = Authority::new(Kind::Ecdsa, "localhost");
    let second = Authority::new(Kind::Rsa, "localhost");
    let server = Server::start(
        Manner::EchoesQuietly,
        true,
        offer(&[&first, &second]),
        HandshakeLimits::default(),
    );
    for (authority, suite) in [
        (&first, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
        (&second, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ] {
        let provider = CryptoProvider { cipher_suites: vec![suite], ..default_provider() };
        echo(
            &mut connect(server.address, &config_with(provider, authority, &TLS12, &[])),
            b"of its kind",
        );
    }
}

#[test]
fn h23_hellos_with_broken_bytes_harm_nobody() {
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

#[test]
fn a_slow_reader_loses_whole_frames_and_its_session_stays_whole() {
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let server =
        Server::start(Manner::Tells, true, offer(&[&authority]), HandshakeLimits::default());
    let mut client = connect(server.address, &config(&authority, &TLS13, &[]));
    let Event::Accepted(_) = server.worker.event() else { panic!("a connection") };
    let Event::Secured(stream) = server.worker.event() else { panic!("TLS") };
    let mut sent: Vec<u32> = Vec::new();
    let mut number = 0u32;
    let mut lost = 0;
    while lost < 100 {
        let outcomes = server.worker.with_io(move |io| {
            let queue = io.stream_queue_len(stream.key).unwrap();
            assert!(queue <= MAX_QUEUE);
            let frames = (0..50).map(|index| {
                let frame = [
                    &2_000u16.to_be_bytes()[..],
                    &(number + index).to_be_bytes(),
                    &[index as u8; 1_996],
                ]
                .concat();
                io.reply_buffer()[..frame.len()].copy_from_slice(&frame);
                io.reply_frame(stream.key, frame.len())
            });
            frames.collect::<Vec<_>>()
        });
        for outcome in outcomes {
            match outcome {
                Ok(()) => sent.push(number),
                Err(error) => {
                    assert_eq!(error, Unsent::QueueFull);
                    lost += 1;
                }
            }
            number += 1;
        }
    }
    for expected in sent {
        let mut frame = [0; 2_002];
        client.read_exact(&mut frame).unwrap();
        assert_eq!(frame[..6], [&2_000u16.to_be_bytes()[..], &expected.to_be_bytes()].concat());
    }
    server.worker.settle();
    assert_eq!(server.worker.stats.dropped_stream_queue_full.value(), lost);
    assert_eq!(server.worker.with_io(move |io| io.stream_queue_len(stream.key)), Some(0));
}

#[test]
fn a_frame_is_a_record_as_clients_that_read_one_record_at_a_time_expect() {
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let server =
        Server::start(Manner::Tells, true, offer(&[&authority]), HandshakeLimits::default());
    let mut client = connect(server.address, &config(&authority, &TLS13, &[]));
    let Event::Accepted(_) = server.worker.event() else { panic!("a connection") };
    let Event::Secured(stream) = server.worker.event() else { panic!("TLS") };
    server.worker.settle();
    let before = server.worker.stats.streams_sent_bytes.value();
    server.worker.with_io(move |io| {
        for _ in 0..100 {
            io.reply_buffer()[..102]
                .copy_from_slice(&[&100u16.to_be_bytes()[..], &[5; 100]].concat());
            io.reply_frame(stream.key, 102).unwrap();
        }
    });
    client.read_exact(&mut vec![0; 10_200]).unwrap();
    server.worker.settle();
    let overhead = server.worker.stats.streams_sent_bytes.value() - before - 10_200;
    assert_eq!(overhead, 100 * (5 + 1 + 16), "a hundred headers, types and tags");
}

#[test]
fn a_stream_that_the_service_closes_delivers_what_was_queued_and_says_goodbye() {
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let server =
        Server::start(Manner::Tells, true, offer(&[&authority]), HandshakeLimits::default());
    let mut client = connect(server.address, &config(&authority, &TLS12, &[]));
    let Event::Accepted(_) = server.worker.event() else { panic!("a connection") };
    let Event::Secured(stream) = server.worker.event() else { panic!("TLS") };
    server.worker.with_io(move |io| {
        for _ in 0..3 {
            io.reply_buffer()[..2].copy_from_slice(&60_000u16.to_be_bytes());
            io.reply_frame(stream.key, 60_002).unwrap();
        }
        io.close_stream(stream.key);
    });
    let mut all = Vec::new();
    client
        .read_to_end(&mut all)
        .expect("an orderly end: without close_notify it would be an error");
    assert_eq!(all.len(), 3 * 60_002);
    server.worker.assert_quiet();
    server.await_no_stream();
}

#[test]
fn a_record_that_was_changed_ends_the_session_with_an_alert() {
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let server =
        Server::start(Manner::Tells, true, offer(&[&authority]), HandshakeLimits::default());
    let mut client = connect(server.address, &config(&authority, &TLS13, &[]));
    let Event::Accepted(_) = server.worker.event() else { panic!("a connection") };
    let Event::Secured(_) = server.worker.event() else { panic!("TLS") };
    client.sock.write_all(&[0x17, 3, 3, 0, 32]).unwrap();
    client.sock.write_all(&[7; 32]).unwrap();
    let error = client.read(&mut [0; 8]).unwrap_err();
    let alert = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    assert_eq!(alert, Some(&rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac)));
    let Event::Closed(_, StreamEnd::Malformed) = server.worker.event() else { panic!("an end") };
}

#[test]
fn an_identity_says_what_it_is_for_and_what_is_wrong_with_it() {
    let authority = Authority::naming(
        Kind::Rsa,
        &["Turn.Example", "*.relay.example", "192.0.2.1", "2001:db8::1"],
    );
    let identity = authority.identity();
    let names: Vec<_> = identity.names().collect();
    assert_eq!(names, ["turn.example", "*.relay.example", "192.0.2.1", "2001:db8::1"]);
    for (name, is_for) in [
        ("TURN.example", true),
        ("a.relay.example", true),
        ("relay.example", false),
        ("a.b.relay.example", false),
        (".relay.example", false),
        ("192.0.2.1", true),
        ("2001:DB8:0::1", true),
        ("192.0.2.2", false),
    ] {
        assert_eq!(identity.is_for(name), is_for, "{name}");
    }
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs()
        .cast_signed();
    assert!(identity.certificate().validity().not_after.abs_diff(now + 30 * 86_400) < 3_600);
    assert!(!format!("{identity:?}").contains("PRIVATE"));

    let other = Authority::new(Kind::Ecdsa, "turn.example");
    let broken = authority
        .pem()
        .iter()
        .map(|byte| if *byte == b'A' { b'!' } else { *byte })
        .collect::<Vec<_>>();
    let tried = |chain: &[u8], key: &[u8]| Identity::from_pem(chain, key).unwrap_err().part;
    assert_eq!(tried(&authority.pem(), &other.key_pem()), Part::Key);
    assert_eq!(tried(b"", &authority.key_pem()), Part::Chain);
    assert_eq!(tried(&broken, &authority.key_pem()), Part::Chain);
    assert_eq!(tried(&authority.pem(), b""), Part::Key);
    assert_eq!(tried(&authority.pem(), &authority.pem()), Part::Key);
}

#[test]
fn keys_are_taken_in_each_form_that_operators_have() {
    let rsa = Authority::new(Kind::Rsa, "localhost");
    let ecdsa = Authority::new(Kind::Ecdsa, "localhost");
    Identity::from_pem(&rsa.pem(), &rsa.key.rsa().unwrap().private_key_to_pem().unwrap())
        .expect("PKCS#1");
    Identity::from_pem(&ecdsa.pem(), &ecdsa.key.ec_key().unwrap().private_key_to_pem().unwrap())
        .expect("SEC1");
}
