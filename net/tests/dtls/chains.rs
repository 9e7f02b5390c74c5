//! Certificates of operators: chains of RSA and ECDSA, several of them, replaced while the server
//! runs.

use std::cell::RefCell;
use std::rc::Rc;

use openssl::ssl::NameType;

use crate::authority::{Authority, Kind};
use crate::client::{Client, Fate, Path, Wish, faithful};
use crate::server::{Server, TAG, offer, socket};

fn path(server: &Server) -> Path {
    Path::new(socket("127.0.0.1:0"), server.address, faithful(), faithful())
}

#[test]
fn a_client_verifies_the_whole_chain_of_either_kind_and_is_served() {
    for kind in [Kind::Rsa, Kind::Ecdsa] {
        let authority = Authority::new(kind, "turn.example.org");
        let server = Server::start(vec![authority.identity()]);
        let mut client =
            Client::connect(path(&server), &Wish::verified(&authority.root, "turn.example.org"))
                .unwrap();
        let sent: Vec<_> = client
            .stream
            .ssl()
            .peer_cert_chain()
            .unwrap()
            .iter()
            .map(|one| one.to_der().unwrap())
            .collect();
        let chain: Vec<_> = authority.chain.iter().map(|one| one.to_der().unwrap()).collect();
        assert_eq!(sent, chain, "{kind:?}");
        assert_eq!(client.stream.ssl().version_str(), "DTLSv1.2");

        let info = server.associated();
        assert_eq!(info.peer, client.stream.get_ref().socket.local_addr().unwrap());
        assert_eq!(
            info.local, server.address,
            "the address that the client sent to, on a wildcard socket"
        );
        assert_eq!(info.tag, 1, "the socket's until it is admitted");
        client.assert_echo(b"an Allocate request");
        let (arrival, plaintext) = server.datagram();
        assert_eq!(plaintext, b"an Allocate request");
        assert_eq!((arrival.association, arrival.tag), (Some(info.key), TAG));
        assert_eq!((arrival.source, arrival.destination), (info.peer, info.local));
        for len in [1, 20, 1_200, 9_000, 16_384] {
            client.assert_echo(&vec![7; len]);
        }
    }
}

#[test]
fn a_client_that_trusts_another_root_or_wants_another_name_breaks_off() {
    let authority = Authority::new(Kind::Ecdsa, "turn.example.org");
    let stranger = Authority::new(Kind::Ecdsa, "turn.example.org");
    let server = Server::start(vec![authority.identity()]);
    assert!(
        Client::connect(path(&server), &Wish::verified(&stranger.root, "turn.example.org"))
            .is_err()
    );
    assert!(
        Client::connect(path(&server), &Wish::verified(&authority.root, "other.example.org"))
            .is_err()
    );
    server.wait_for("the alert", |server| server.reading("handshakes_failed", Some("alert")) == 2);
    server.wait_for("the end", |server| server.reading("handshakes_half_open", None) == 0);
    server.assert_quiet();
}

#[test]
fn the_name_that_the_client_asks_for_chooses_the_identity() {
    let first = Authority::new(Kind::Ecdsa, "one.example.org");
    let second = Authority::new(Kind::Rsa, "two.example.org");
    let server = Server::start(vec![first.identity(), second.identity()]);
    for (authority, name) in [(&first, "one.example.org"), (&second, "two.example.org")] {
        let mut client =
            Client::connect(path(&server), &Wish::verified(&authority.root, name)).unwrap();
        assert_eq!(client.stream.ssl().servername(NameType::HOST_NAME), Some(name));
        client.assert_echo(name.as_bytes());
    }
    let unnamed = Wish { root: None, name: "192.0.2.1", alpn: b"", ciphers: None };
    let client = Client::connect(path(&server), &unnamed).unwrap();
    let leaf = client.stream.ssl().peer_certificate().unwrap();
    assert_eq!(
        leaf.to_der().unwrap(),
        first.chain[0].to_der().unwrap(),
        "the first identity is the default"
    );
}

/// The types of the extensions of a ServerHello that stands at the beginning of a datagram, as
/// OpenSSL writes it.
fn extensions(datagram: &[u8]) -> Vec<u16> {
    let number = |at: usize| usize::from(u16::from_be_bytes([datagram[at], datagram[at + 1]]));
    let list = 13 + 12 + 2 + 32 + 1 + usize::from(datagram[13 + 12 + 2 + 32]) + 2 + 1;
    let (mut at, end) = (list + 2, list + 2 + number(list));
    let mut types = Vec::new();
    while at < end {
        types.push(number(at) as u16);
        at += 4 + number(at + 2);
    }
    types
}

#[test]
fn rfc6066_3_the_name_is_followed_and_not_acknowledged_as_pion_needs_it() {
    const SERVER_NAME: u16 = 0;
    const EXTENDED_MASTER_SECRET: u16 = 23;
    let authority = Authority::new(Kind::Ecdsa, "turn.example.org");
    let server = Server::start(vec![authority.identity()]);
    let heard = Rc::new(RefCell::new(Vec::new()));
    let listener = Rc::clone(&heard);
    let listening: Fate = Box::new(move |datagram| {
        listener.borrow_mut().push(datagram.clone());
        vec![datagram]
    });
    let path = Path::new(socket("127.0.0.1:0"), server.address, faithful(), listening);
    Client::connect(path, &Wish::verified(&authority.root, "turn.example.org")).unwrap();
    let hello = extensions(
        heard.borrow().iter().find(|datagram| datagram[13] == 2).expect("a ServerHello"),
    );
    assert!(hello.contains(&EXTENDED_MASTER_SECRET) && !hello.contains(&SERVER_NAME), "{hello:?}");
}

#[test]
fn one_name_with_keys_of_both_kinds_serves_clients_of_either() {
    let rsa = Authority::new(Kind::Rsa, "turn.example.org");
    let ecdsa = Authority::new(Kind::Ecdsa, "turn.example.org");
    let server = Server::start(vec![ecdsa.identity(), rsa.identity()]);
    for (authority, ciphers) in
        [(&rsa, "ECDHE-RSA-AES128-GCM-SHA256"), (&ecdsa, "ECDHE-ECDSA-AES128-GCM-SHA256")]
    {
        let wish =
            Wish { ciphers: Some(ciphers), ..Wish::verified(&authority.root, "turn.example.org") };
        let mut client = Client::connect(path(&server), &wish).unwrap();
        client.assert_echo(ciphers.as_bytes());
    }
}

#[test]
fn rfc7443_3_the_protocol_is_agreed_on_by_alpn() {
    let authority = Authority::new(Kind::Ecdsa, "turn.example.org");
    let server = Server::start(vec![authority.identity()]);
    let wish = |alpn| Wish { alpn, ..Wish::verified(&authority.root, "turn.example.org") };
    let client = Client::connect(path(&server), &wish(b"\x02h2\x09stun.turn")).unwrap();
    assert_eq!(client.stream.ssl().selected_alpn_protocol(), Some(b"stun.turn".as_slice()));
    assert!(Client::connect(path(&server), &wish(b"\x02h2")).is_err());
    let client = Client::connect(path(&server), &wish(b"")).unwrap();
    assert_eq!(client.stream.ssl().selected_alpn_protocol(), None);
}

#[test]
fn a_changed_certificate_is_for_those_who_come_later() {
    let old = Authority::new(Kind::Rsa, "turn.example.org");
    let new = Authority::new(Kind::Ecdsa, "turn.example.org");
    let server = Server::start(vec![old.identity()]);
    let mut early =
        Client::connect(path(&server), &Wish::verified(&old.root, "turn.example.org")).unwrap();
    server.handshaker.set_offer(offer(vec![new.identity()])).unwrap();
    let mut late =
        Client::connect(path(&server), &Wish::verified(&new.root, "turn.example.org")).unwrap();
    early.assert_echo(b"I was here before");
    late.assert_echo(b"I came later");
}
