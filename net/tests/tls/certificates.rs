//! Certificates: chains, names, kinds of keys, and their replacement.

use std::io::{ErrorKind, Read, Write};

use causeway_certificates::Part;
use causeway_net::StreamEnd;
use causeway_net::secure::{HandshakeLimits, Identity, Offer};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::cipher_suite::{
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
};
use rustls::crypto::ring::default_provider;
use rustls::version::{TLS12, TLS13};

use crate::authority::{Authority, Kind};
use crate::server::{ALPN, Server, offer};
use crate::support::{Behavior, Event};
use crate::tls_client::{config, config_with, connect, dial, echo, handshake};

#[test]
fn chains_of_both_kinds_are_served_in_both_versions() {
    for kind in [Kind::Ecdsa, Kind::Rsa] {
        let authority = Authority::new(kind, "localhost");
        let server = Server::start(
            Behavior::Echoes,
            false,
            offer(&[&authority]),
            HandshakeLimits::default(),
        );
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
        Behavior::EchoesQuietly,
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
        Behavior::EchoesQuietly,
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
