//! How associations end, and how a client that was restarted gets a new one.

use std::io::Write;
use std::time::Duration;

use causeway_net::Unsent;

use crate::authority::{Authority, Kind};
use crate::client::{Client, Path, Wish, faithful};
use crate::server::{Server, Settings, socket};

fn started() -> (Authority, Server) {
    let authority = Authority::new(Kind::Ecdsa, "turn.example.org");
    let server = Server::start(vec![authority.identity()]);
    (authority, server)
}

fn connect(server: &Server, authority: &Authority) -> Client {
    connect_from(server, authority, "127.0.0.1:0")
}

fn connect_from(server: &Server, authority: &Authority, local: &str) -> Client {
    let path = Path::new(socket(local), server.address, faithful(), faithful());
    Client::connect(path, &Wish::verified(&authority.root, "turn.example.org")).unwrap()
}

#[test]
fn a_client_s_close_notify_ends_its_association_and_is_answered() {
    let (authority, server) = started();
    let mut client = connect(&server, &authority);
    let info = server.associated();
    client.stream.shutdown().unwrap();
    assert_eq!(server.dissociated(), info.key);
    assert_eq!(client.receive(), b"", "the server's close_notify");
    assert_eq!(server.with_io(move |io| io.association(info.key)), None);
    assert_eq!(
        server.with_io(move |io| io.send_secure(info.key, &[b"late"], 0)),
        Err(Unsent::Gone)
    );
    assert_eq!(
        (server.stats.associations_open.value(), server.stats.associations_closed.value()),
        (0, 1)
    );
}

#[test]
fn what_the_service_closes_is_told_to_the_client_and_not_to_the_service() {
    let (authority, server) = started();
    let mut client = connect(&server, &authority);
    let info = server.associated();
    server.with_io(move |io| io.close_association(info.key));
    assert_eq!(client.receive(), b"");
    server.assert_quiet();
}

#[test]
fn a_client_that_the_service_refuses_is_told_so() {
    let authority = Authority::new(Kind::Ecdsa, "turn.example.org");
    let server = Server::start_with(
        vec![authority.identity()],
        Settings { refuses: true, ..Settings::default() },
    );
    let mut client = connect(&server, &authority);
    server.associated();
    assert_eq!(client.receive(), b"");
    server.wait_for("the refusal", |server| server.stats.associations_refused.value() == 1);
    assert_eq!(server.stats.associations_open.value(), 0);
    server.assert_quiet();
}

#[test]
fn the_service_sends_of_its_own_accord_in_parts() {
    let (authority, server) = started();
    let mut client = connect(&server, &authority);
    let info = server.associated();
    server
        .with_io(move |io| io.send_secure(info.key, &[b"a header", b" and ", b"a body"], 0xb8))
        .unwrap();
    assert_eq!(client.receive(), b"a header and a body");
    assert_eq!(
        server.with_io(move |io| io.send_secure(info.key, &[&[0; 16_385]], 0)),
        Err(Unsent::TooLong)
    );
    client.assert_echo(b"no harm done");
}

#[test]
fn rfc6347_4_2_8_a_restarted_client_replaces_its_association_and_nobody_else_does() {
    let (authority, server) = started();
    let mut client = connect(&server, &authority);
    let old = server.associated();
    let local = client.stream.get_ref().socket.local_addr().unwrap();
    // Forged ClientHellos, and a handshake that is never finished, do not end it.
    let hello = client.stream.get_ref().sent[0].clone();
    for _ in 0..5 {
        client.stream.get_ref().socket.send_to(&hello, server.address).unwrap();
    }
    client.assert_echo(b"the old one");
    server.datagram();
    assert_eq!(
        server.with_io(move |io| io.association(old.key)).map(|info| info.key),
        Some(old.key)
    );
    drop(client);

    let mut client = connect_from(&server, &authority, &local.to_string());
    assert_eq!(server.dissociated(), old.key);
    let new = server.associated();
    assert_eq!((new.peer, new.key == old.key), (local, false));
    client.assert_echo(b"the new one");
    assert_eq!(server.datagram().0.association, Some(new.key));
    assert_eq!(server.stats.associations_open.value(), 1);
}

#[test]
fn garbage_in_the_clear_or_under_another_key_harms_no_association() {
    let (authority, server) = started();
    let mut client = connect(&server, &authority);
    let info = server.associated();
    let attacker = client.stream.get_ref().socket.try_clone().unwrap();
    let record = |kind: u8, epoch: u8, sequence: u8, body: &[u8]| {
        let mut record = vec![kind, 254, 253, 0, epoch, 0, 0, 0, 0, 0, sequence];
        record.extend((body.len() as u16).to_be_bytes());
        record.extend(body);
        record
    };
    let mut sent = 0;
    for kind in 20..=63 {
        for epoch in [0, 1, 2] {
            for body in [&b""[..], &[2, 0], &[2, 40], &[1; 24], &[0xff; 1_000]] {
                attacker.send_to(&record(kind, epoch, 200, body), server.address).unwrap();
                attacker
                    .send_to(&record(kind, epoch, 200, body)[..13 + body.len() / 2], server.address)
                    .unwrap();
                sent += 2;
            }
        }
        client.assert_echo(&[kind; 3]);
        server.datagram();
    }
    server.wait_for("the drops", |server| {
        let stats = &server.stats;
        stats.dropped_unauthentic.value()
            + stats.dropped_no_handshake.value()
            + stats.dropped_not_served.value()
            >= sent
    });
    assert_eq!(
        server.with_io(move |io| io.association(info.key)).map(|info| info.key),
        Some(info.key)
    );
    server.assert_quiet();
}

#[test]
fn several_records_in_one_datagram_are_several_datagrams() {
    let (authority, server) = started();
    let mut client = connect(&server, &authority);
    server.associated();
    let already = client.stream.get_ref().sent.len();
    // One by one they leave from a port without an association, and have no effect; then they leave
    // together from the client's port.
    let stub = socket("127.0.0.1:0");
    let real = std::mem::replace(&mut client.stream.get_mut().socket, stub);
    for word in [&b"one"[..], b"two", b"three"] {
        client.stream.write_all(word).unwrap();
    }
    let together = client.stream.get_ref().sent[already..].concat();
    real.send_to(&together, server.address).unwrap();
    client.stream.get_mut().socket = real;
    for word in [&b"one"[..], b"two", b"three"] {
        assert_eq!(server.datagram().1, word);
        assert_eq!(client.receive(), word);
    }
}

#[test]
fn plain_datagrams_and_dtls_share_a_socket() {
    let (authority, server) = started();
    let mut client = connect(&server, &authority);
    server.associated();
    let plain = socket("127.0.0.1:0");
    plain.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    plain.send_to(b"\0\x01 a Binding request", server.address).unwrap();
    let mut answer = [0; 64];
    let len = plain.recv(&mut answer).unwrap();
    assert_eq!(&answer[..len], b"plain \0\x01 a Binding request");
    let (arrival, _) = server.datagram();
    assert_eq!(arrival.association, None);
    client.assert_echo(b"encrypted");
    assert_eq!(
        server.with_io(move |io| io.local_addr(arrival.socket)).map(|local| local.port()),
        Some(server.address.port())
    );
}
