//! Paths that lose, repeat and reorder: the handshake and the association get through.

use std::time::Duration;

use crate::authority::{Authority, Kind};
use crate::client::{Client, Fate, Path, Wish, faithful, losing};
use crate::server::{Event, Server, socket};

fn connect(server: &Server, authority: &Authority, out: Fate, back: Fate) -> Client {
    let path = Path::new(socket("127.0.0.1:0"), server.address, out, back);
    Client::connect(path, &Wish::verified(&authority.root, "turn.example.org")).unwrap()
}

fn started() -> (Authority, Server) {
    let authority = Authority::new(Kind::Rsa, "turn.example.org");
    let server = Server::start(vec![authority.identity()]);
    (authority, server)
}

/// Every datagram arrives twice.
fn doubling() -> Fate {
    Box::new(|datagram| vec![datagram.clone(), datagram])
}

/// Each pair of datagrams arrives in the wrong order, from the `first` on.
fn swapping(first: usize) -> Fate {
    let (mut next, mut held) = (0, None);
    Box::new(move |datagram| {
        next += 1;
        match held.take() {
            _ if next <= first => vec![datagram],
            None => {
                held = Some(datagram);
                Vec::new()
            }
            Some(earlier) => vec![datagram, earlier],
        }
    })
}

#[test]
fn rfc6347_4_2_4_a_lost_flight_is_sent_again() {
    let (authority, server) = started();
    // The server's: number 0 is the HelloVerifyRequest, its certificates follow. The client's:
    // ClientHello, ClientHello with cookie, the rest.
    let cases: [(&'static [usize], &'static [usize]); 5] =
        [(&[0], &[]), (&[1], &[]), (&[2], &[]), (&[], &[0]), (&[], &[1, 2, 3, 4])];
    for (out, back) in cases {
        let mut client = connect(&server, &authority, losing(out), losing(back));
        client.assert_echo(format!("{out:?} {back:?}").as_bytes());
    }
}

#[test]
fn rfc6347_4_2_4_the_last_flight_is_sent_again_when_the_client_s_comes_again() {
    let (authority, server) = started();
    // The number of datagrams in the server's flights depends on the length of the chain: count
    // them first.
    let counted = std::rc::Rc::new(std::cell::Cell::new(0));
    let counter = std::rc::Rc::clone(&counted);
    let counting: Fate = Box::new(move |datagram| {
        counter.set(counter.get() + 1);
        vec![datagram]
    });
    connect(&server, &authority, faithful(), counting);
    let last = counted.get() - 1;
    let mut next = 0;
    let losing_the_last: Fate = Box::new(move |datagram| {
        next += 1;
        if next - 1 == last { Vec::new() } else { vec![datagram] }
    });
    let mut client = connect(&server, &authority, faithful(), losing_the_last);
    client.assert_echo(b"after the second try");
    let established = (0..)
        .map_while(|_| server.events.try_recv().ok())
        .filter(|event| matches!(event, Event::Associated(_)))
        .count();
    assert_eq!(established, 2, "the retransmission began nothing new");
}

#[test]
fn a_path_that_repeats_or_reorders_changes_nothing() {
    let (authority, server) = started();
    let mut client = connect(&server, &authority, doubling(), doubling());
    client.assert_echo(b"heard once");
    assert_eq!(client.receive_within(Duration::from_millis(100)), None);
    server.associated();
    assert_eq!(server.datagram().1, b"heard once");
    server.assert_quiet();

    let mut client = connect(&server, &authority, faithful(), swapping(1));
    for word in [&b"one"[..], b"two", b"three"] {
        client.send(word);
    }
    // The path keeps every second reply until there is another: the third releases the second, or
    // is kept itself.
    let heard: Vec<_> =
        std::iter::from_fn(|| client.receive_within(Duration::from_millis(300))).collect();
    assert!(heard.contains(&b"one".to_vec()) && heard.contains(&b"two".to_vec()), "{heard:?}");
}

#[test]
fn rfc6347_4_1_2_6_a_repeated_record_is_dropped_however_late_it_comes() {
    let (authority, server) = started();
    let mut client = connect(&server, &authority, faithful(), faithful());
    server.associated();
    client.assert_echo(b"pay 5");
    server.datagram();
    let sent = client.stream.get_ref().sent.clone();
    for _ in 0..3 {
        client.stream.get_ref().socket.send_to(sent.last().unwrap(), server.address).unwrap();
    }
    server.wait_for("the drops", |server| server.stats.dropped_unauthentic.value() == 3);
    // Repeated datagrams of the handshake are no records of an association, and harm none.
    for datagram in &sent {
        client.stream.get_ref().socket.send_to(datagram, server.address).unwrap();
    }
    client.assert_echo(b"still here");
    assert_eq!(server.datagram().1, b"still here");
    server.assert_quiet();
}
