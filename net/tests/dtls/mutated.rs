//! Mutated datagrams: bytes of real ones changed, cut, repeated, put together.

use std::io::Write;
use std::time::Duration;

use crate::authority::{Authority, Kind};
use crate::client::{Client, Fate, Path, Wish, faithful};
use crate::server::{Server, socket};

/// Random numbers that are the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    /// A datagram made of these ones.
    fn mutate(&mut self, known: &[Vec<u8>]) -> Vec<u8> {
        let mut datagram = known[self.below(known.len())].clone();
        for _ in 0..=self.below(3) {
            let at = self.below(datagram.len().max(1));
            match self.below(6) {
                0 => datagram.truncate(at),
                1 => datagram.extend_from_slice(&known[self.below(known.len())]),
                2 => drop(datagram.drain(..at)),
                // Mostly the header, which nothing protects before the record is decrypted.
                3 if datagram.len() > 13 => datagram[self.below(13)] = self.below(256) as u8,
                4 if datagram.len() > 26 => datagram[self.below(26)] ^= 1 << self.below(8),
                _ if at < datagram.len() => datagram[at] = self.below(256) as u8,
                _ => {}
            }
        }
        datagram.truncate(2_000);
        datagram
    }
}

#[test]
fn h23_what_is_made_of_real_records_harms_no_association() {
    let authority = Authority::new(Kind::Ecdsa, "turn.example.org");
    let server = Server::start(vec![authority.identity()]);
    let path = Path::new(socket("127.0.0.1:0"), server.address, faithful(), faithful());
    let mut client =
        Client::connect(path, &Wish::verified(&authority.root, "turn.example.org")).unwrap();
    let info = server.associated();
    // Records that were sealed and never sent, so that only what is made of them arrives.
    let attacker = client.stream.get_ref().socket.try_clone().unwrap();
    let mut known = client.stream.get_ref().sent.clone();
    let nowhere = socket("127.0.0.1:0");
    let real = std::mem::replace(&mut client.stream.get_mut().socket, nowhere);
    for len in [1, 100, 1_000] {
        client.stream.write_all(&vec![0x40; len]).unwrap();
        known.push(client.stream.get_ref().sent.last().unwrap().clone());
    }
    client.stream.get_mut().socket = real;
    let mut chance = Chance(1);
    for round in 0..200 {
        for _ in 0..100 {
            let datagram = chance.mutate(&known);
            // A datagram that begins as STUN or ChannelData goes to the service as it is.
            if datagram.first().is_some_and(|first| (20..=63).contains(first)) {
                attacker.send_to(&datagram, server.address).unwrap();
            }
        }
        // A record that stayed whole is still valid.
        server.with_io(|_| ());
        while server.events.try_recv().is_ok() {}
        while client.receive_within(Duration::from_millis(1)).is_some() {}
        assert_eq!(
            server.with_io(move |io| io.association(info.key)).map(|info| info.key),
            Some(info.key),
            "round {round}"
        );
    }
    client.assert_echo(b"still here");
}

#[test]
fn h23_what_is_made_of_a_real_handshake_harms_nobody_else() {
    let authority = Authority::new(Kind::Ecdsa, "turn.example.org");
    let server = Server::start(vec![authority.identity()]);
    let wish = Wish::verified(&authority.root, "turn.example.org");
    let mut witness = Client::connect(
        Path::new(socket("127.0.0.1:0"), server.address, faithful(), faithful()),
        &wish,
    )
    .unwrap();
    server.associated();
    let mut chance = Chance(2);
    for _ in 0..20 {
        let mut mutating = Chance(chance.below(1 << 30) as u64);
        // Each datagram comes with three that are made of it, before or behind it.
        let fate: Fate = Box::new(move |datagram| {
            let known = [datagram.clone()];
            let mut all: Vec<_> = (0..3).map(|_| mutating.mutate(&known)).collect();
            all.retain(|one| one.first().is_some_and(|first| (20..=63).contains(first)));
            let place = mutating.below(all.len() + 1);
            all.insert(place, datagram);
            all
        });
        // It may succeed or not: handshakes are in the clear, and an attacker can end one.
        let path = Path::new(socket("127.0.0.3:0"), server.address, fate, faithful());
        let _ = Client::connect_within(Duration::from_millis(500), path, &wish);
        while server.events.try_recv().is_ok() {}
        witness.assert_echo(b"unharmed");
    }
    server.wait_for("the end of the half-open ones", |server| {
        server.reading("handshakes_half_open", None) == 0
    });
}
