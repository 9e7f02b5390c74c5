//! Random clients of one `turnd` that call each other, against a naive model of who reaches whom.

use std::net::SocketAddr;

use causeway_relay::Transport;
use causeway_wire::attribute::{Data, Lifetime, XorPeerAddress};
use causeway_wire::{Class, Message, Method};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};

use crate::turnd::{Turnd, turnd_relaying_from};
use causeway_tests::daemon::talker::Talker;

const CLIENTS: usize = 5;
const STEPS: usize = 250;
/// The first channel number; each client takes the next one for each new address.
const FIRST: u16 = 0x4000;

/// A client, and the model's view of it.
struct Client {
    talker: Talker,
    relayed: Option<SocketAddr>,
    /// All relayed addresses have the same IP address, so that one permission covers all.
    permits: bool,
    /// The addresses of the channels, by number from [`FIRST`] on.
    channels: Vec<SocketAddr>,
}

/// How a client receives another's datagram.
#[derive(Debug, PartialEq, Eq)]
enum Arrival {
    Channel(u16, Vec<u8>),
    Indication(SocketAddr, Vec<u8>),
}

#[test]
fn h8_permissions_and_channels_alone_decide_what_arrives() {
    for (seed, workers) in [(1, 1), (2, 1), (3, 3), (4, 3)] {
        let turnd = turnd_relaying_from("[\"127.0.0.1\"]\nexternal = \"192.0.2.7\"", "", workers);
        let mut rng = StdRng::seed_from_u64(seed);
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::new(&turnd, &mut rng)).collect();
        let mut known = vec![SocketAddr::from(([192, 0, 2, 7], 50_000))];
        let mut arrived = 0;
        for step in 0..STEPS {
            let at = rng.random_range(0..CLIENTS);
            // Mostly a live relayed address; sometimes an earlier one, which may come back.
            let live: Vec<_> = clients.iter().filter_map(|client| client.relayed).collect();
            let peers = if live.is_empty() || rng.random_range(0..5) == 0 { &known } else { &live };
            let peer = *peers.choose(&mut rng).expect("one is known from the beginning");
            match rng.random_range(0..20) {
                0 => clients[at].release(),
                1..=3 => known.extend(clients[at].allocate()),
                4 => clients[at].permit(peer),
                5..=8 => clients[at].bind(peer),
                _ => arrived += send(&mut clients, at, peer, step as u16, &mut rng),
            }
        }
        assert!(arrived > 30, "with seed {seed} too little arrives");
    }
}

/// One client sends to `peer`; checks that each client receives what the model says. The number of
/// clients that received something.
fn send(clients: &mut [Client], at: usize, peer: SocketAddr, step: u16, rng: &mut StdRng) -> usize {
    let mut data = vec![0; rng.random_range(0..1300)];
    rng.fill_bytes(&mut data);
    data.extend(step.to_be_bytes());
    let leaves = clients[at].send(peer, &data, rng.random());
    let holder = clients
        .iter()
        .position(|client| client.relayed == Some(peer))
        .filter(|to| leaves && clients[*to].permits);
    let expected =
        holder.zip(clients[at].relayed).map(|(to, from)| (to, clients[to].wrapped(from, data)));
    assert_eq!(
        clients[at].arrivals().first(),
        expected.as_ref().filter(|(to, _)| *to == at).map(|(_, arrival)| arrival),
        "step {step}"
    );
    for (index, client) in clients.iter_mut().enumerate().filter(|(index, _)| *index != at) {
        let expected = expected.as_ref().filter(|(to, _)| *to == index).map(|(_, arrival)| arrival);
        let arrivals = client.arrivals();
        assert!(
            arrivals.len() <= 1 && arrivals.first() == expected,
            "step {step}: {arrivals:?}, not {expected:?}"
        );
    }
    usize::from(expected.is_some())
}

impl Client {
    fn new(turnd: &Turnd, rng: &mut StdRng) -> Self {
        let transports = [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Dtls];
        let talker = turnd.talker(*transports.choose(rng).expect("four"));
        Self { talker, relayed: None, permits: false, channels: Vec::new() }
    }

    fn allocate(&mut self) -> Option<SocketAddr> {
        if self.relayed.is_none() {
            self.relayed = Some(self.talker.allocate());
        }
        self.relayed
    }

    fn release(&mut self) {
        let answer = self.talker.ask(Method::REFRESH, &|w| w.put(&Lifetime(0)).map(drop));
        assert_eq!(answer.error().is_none(), self.relayed.is_some());
        (self.relayed, self.permits) = (None, false);
        self.channels.clear();
    }

    fn permit(&mut self, peer: SocketAddr) {
        let refused = self.talker.permit(peer);
        assert_eq!(refused.is_none(), self.relayed.is_some());
        self.permits |= refused.is_none();
    }

    /// Binds a channel to any address of the relay, in use or not.
    fn bind(&mut self, peer: SocketAddr) {
        if self.channels.contains(&peer) {
            return;
        }
        let refused = self.talker.bind(FIRST + self.channels.len() as u16, peer);
        assert_eq!(refused.is_none(), self.relayed.is_some());
        if refused.is_none() {
            self.permits = true;
            self.channels.push(peer);
        }
    }

    /// Sends by a channel, if there is one and it `likes_channels`; whether the server relays it.
    fn send(&mut self, peer: SocketAddr, data: &[u8], likes_channels: bool) -> bool {
        match self.channels.iter().position(|channel| *channel == peer) {
            Some(number) if likes_channels => self.talker.send_channel(FIRST + number as u16, data),
            _ => self.talker.send(peer, data),
        }
        self.relayed.is_some() && self.permits
    }

    fn wrapped(&self, from: SocketAddr, data: Vec<u8>) -> Arrival {
        match self.channels.iter().position(|channel| *channel == from) {
            Some(number) => Arrival::Channel(FIRST + number as u16, data),
            None => Arrival::Indication(from, data),
        }
    }

    /// All messages that have arrived by now. It asks twice, since a datagram from another worker
    /// may arrive just after the first answer.
    fn arrivals(&mut self) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        for _ in 0..2 {
            let id = self.talker.client.next_transaction();
            let request = self.talker.client.unsigned(id, Method::BINDING, &|_| Ok(()));
            self.talker.link.send(&request);
            loop {
                let bytes = self.talker.link.receive().expect("the connection stands");
                if bytes[0] & 0xC0 == 0x40 {
                    let (number, len) = (
                        u16::from_be_bytes([bytes[0], bytes[1]]),
                        u16::from_be_bytes([bytes[2], bytes[3]]),
                    );
                    arrivals
                        .push(Arrival::Channel(number, bytes[4..4 + usize::from(len)].to_vec()));
                    continue;
                }
                let message = Message::decode(&bytes).unwrap();
                if message.class() != Class::Indication {
                    assert_eq!(message.transaction_id(), id);
                    break;
                }
                let (XorPeerAddress(peer), Data(data)) =
                    (message.attribute().unwrap().unwrap(), message.attribute().unwrap().unwrap());
                arrivals.push(Arrival::Indication(peer, data.to_vec()));
            }
        }
        arrivals
    }
}
