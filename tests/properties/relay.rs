//! Random sequences of requests, data and time against a naive model: the server and the model
//! agree at every step.

use std::net::SocketAddr;
use std::time::Duration;

use causeway_relay::{ChannelPermission, Command, DeniedPeers, IcmpNotice, Limits, Transport};
use causeway_tests::addresses::{client, peer, peer_v6};
use causeway_tests::{Answer, Client, Lab, Reaction, Setup, deny};
use causeway_wire::attribute::{
    AdditionalAddressFamily, AddressFamily, ChannelNumberAttribute, Data, EvenPort, Icmp, Lifetime,
    RequestedAddressFamily, RequestedTransport, ReservationToken, XorPeerAddress,
};
use causeway_wire::{EncodeError, Message, MessageWriter, Method};
use proptest::prelude::*;

use crate::directory::Directory;
use crate::model::{self, Model};
use crate::request::{self, Ask, What, Who};

const CLIENTS: usize = 6;

#[derive(Clone, Debug)]
enum Step {
    Ask(usize, Ask),
    /// The client's last request arrives again.
    Again(usize),
    Send(usize, SocketAddr, usize),
    SendChannel(usize, u16, usize),
    FromPeer(usize, SocketAddr, usize),
    /// ICMP of this type about this peer.
    Icmp(usize, SocketAddr, u8),
    /// An Allocate with the last token, or with another.
    Claim(usize, bool),
    Gone(usize),
    Pass(u64),
    /// Hosts below this one are denied as peers.
    Deny(u8),
    /// Another server takes over all allocations.
    TakeOver,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn rfc8656_the_server_agrees_with_a_naive_model(
        modes in modes(),
        steps in prop::collection::vec(step(false), 1..120),
    ) {
        run(0, modes, &steps);
    }

    #[test]
    fn rfc8656_the_server_agrees_with_a_naive_model_after_weeks_and_months(
        modes in modes(),
        before in 0..1_200u64,
        round in prop::sample::select(
            &[1u64 << 31, 1 << 32, 3 << 31, 1 << 33, 24 * 24 * 3_600_000],
        ),
        steps in prop::collection::vec(step(false), 1..80),
    ) {
        run((round / 1_000).saturating_sub(before), modes, &steps);
    }

    #[test]
    fn rfc8656_a_server_that_takes_over_goes_on_as_the_one_before(
        modes in modes(),
        steps in prop::collection::vec(step(true), 1..80),
    ) {
        run(0, modes, &steps);
    }
}

/// A server, the model of it, and the clients of both.
struct Both {
    lab: Lab,
    model: Model,
    clients: Vec<(Client, Who)>,
    /// The last request of each client: its bytes, the request, and its number.
    last: Vec<Option<(Vec<u8>, Ask, u64)>>,
    requests: u64,
    /// The last token that an answer contained.
    token: request::Token,
    /// The records that a directory outside the process would have.
    directory: Directory,
}

type Modes = (ChannelPermission, DeniedPeers);

fn modes() -> impl Strategy<Value = Modes> {
    let permission =
        prop::sample::select(&[ChannelPermission::WithChannel, ChannelPermission::Rfc8656]);
    (permission, prop::sample::select(&[DeniedPeers::Refuse, DeniedPeers::Ignore]))
}

/// Takes all steps with both, the first at this uptime in seconds. Milliseconds in four bytes wrap
/// after 49 days, and a signed difference after 24.
fn run(uptime: u64, modes: Modes, steps: &[Step]) {
    let mut both = Both::new(modes);
    both.take(&Step::Pass(uptime));
    for step in steps {
        both.take(step);
        both.gauges_agree();
        both.directory.follow(&mut both.lab);
        both.directory.agrees(&both.lab);
    }
    both.lab.pass_seconds(model::MAX_LIFETIME + 61);
    let gauges = both.lab.server.gauges();
    assert_eq!(
        gauges,
        causeway_relay::Gauges::default(),
        "the server is empty after all allocations have ended"
    );
    assert!(both.lab.pool.is_full() && both.lab.quota.total() == 0);
    assert_eq!(both.lab.server.poll_timeout(), None);
}

impl Both {
    fn new((channel_permission, denied): Modes) -> Self {
        let limits = Limits {
            default_lifetime: Duration::from_secs(model::DEFAULT_LIFETIME),
            max_lifetime: Duration::from_secs(model::MAX_LIFETIME),
            permissions_per_allocation: model::PERMISSIONS,
            channels_per_allocation: model::CHANNELS,
            allocations_per_prefix: model::PER_PREFIX as u32,
            allocations: model::ALLOCATIONS,
        };
        let mut lab = Lab::new(Setup {
            limits,
            channel_permission,
            denied,
            quota: model::QUOTA,
            ports: model::PORTS as u16,
            nonce_lifetime: u64::from(u32::MAX),
            track_changes: true,
            ..Setup::default()
        });
        let clients = (0..CLIENTS).map(|index| both_views(index, &mut lab)).collect();
        Self {
            lab,
            model: Model::new(
                channel_permission == ChannelPermission::WithChannel,
                denied == DeniedPeers::Ignore,
            ),
            clients,
            last: vec![None; CLIENTS],
            requests: 0,
            token: [0xEE; 8],
            directory: Directory::default(),
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Ask(index, ask) => self.ask(*index, ask),
            Step::Again(index) => {
                if let Some((bytes, ask, id)) = self.last[*index].clone() {
                    self.answer_agrees(*index, &bytes, &ask, id);
                }
            }
            Step::Send(index, peer, len) => self.send(*index, *peer, *len),
            Step::SendChannel(index, number, len) => self.send_channel(*index, *number, *len),
            Step::FromPeer(index, peer, len) => self.receive(*index, *peer, *len),
            Step::Icmp(index, peer, kind) => self.icmp(*index, *peer, *kind),
            Step::Claim(index, last) => {
                let token = if *last { self.token } else { [0xEE; 8] };
                self.ask(*index, &Ask::Allocate { what: What::Reserved(token), lifetime: None });
            }
            Step::Gone(index) => {
                self.lab.command(Command::ClientGone(self.clients[*index].0.five_tuple));
                self.model.gone(self.clients[*index].1.five_tuple);
            }
            Step::Pass(seconds) => {
                self.lab.pass_seconds(*seconds);
                self.model.pass(*seconds);
            }
            Step::Deny(below) => {
                let hosts: Vec<_> = (1..*below).map(|host| peer(host, 0).ip()).collect();
                self.lab.setup.rules = hosts.iter().map(|ip| deny(&format!("{ip}/32"))).collect();
                self.lab.command(Command::SetPolicy(self.lab.setup.policy()));
                self.model.deny(hosts);
            }
            Step::TakeOver => {
                self.lab = self.lab.succeed();
                self.model.take_over();
            }
        }
    }

    fn ask(&mut self, index: usize, ask: &Ask) {
        self.requests += 1;
        let client = &mut self.clients[index].0;
        let bytes =
            client.signed(client.clone().next_transaction(), method(ask), &|w| fill(w, ask));
        client.next_transaction();
        self.last[index] = Some((bytes.clone(), ask.clone(), self.requests));
        self.answer_agrees(index, &bytes, ask, self.requests);
    }

    fn answer_agrees(&mut self, index: usize, bytes: &[u8], ask: &Ask, id: u64) {
        let (client, who) = &self.clients[index];
        let answer = self.lab.client_sends(&client.five_tuple, bytes).answer();
        let expected = self.model.ask(*who, id, ask);
        assert_eq!(told(&answer), expected, "{who:?}: {ask:?}");
        assert!(answer.is_signed_with(&client.key()));
        if matches!(ask, Ask::Allocate { .. }) && expected.is_ok() {
            let token = answer.token().map(|token| token.0);
            self.model.told(who.five_tuple, &answer.all_relayed(), token);
            self.token = token.unwrap_or(self.token);
        }
    }

    fn send(&mut self, index: usize, peer: SocketAddr, len: usize) {
        let data = data(len);
        let (client, who) = &mut self.clients[index];
        let reaction = client.send(&mut self.lab, peer, &data);
        let expected = self.model.sends(who.five_tuple, peer).then_some(peer);
        self.sent(index, &reaction, expected, &data);
    }

    fn send_channel(&mut self, index: usize, number: u16, len: usize) {
        let data = data(len);
        let (client, who) = &mut self.clients[index];
        let reaction = client.send_channel(&mut self.lab, number, &data);
        let expected = self.model.channel(who.five_tuple, number);
        self.sent(index, &reaction, expected, &data);
    }

    fn sent(&self, index: usize, reaction: &Reaction, to: Option<SocketAddr>, data: &[u8]) {
        let from = to.and_then(|to| self.relayed(index, to));
        assert_eq!(reaction.to_peer(), from.zip(to).map(|(from, to)| (from, to, data)));
        assert_eq!(reaction.silence().is_some(), to.is_none());
    }

    /// The client's relayed address of the peer's family, or else its other one.
    fn relayed(&self, index: usize, peer: SocketAddr) -> Option<SocketAddr> {
        let relays = &self.model.allocations.get(&self.clients[index].1.five_tuple)?.relays;
        relays
            .iter()
            .find(|relay| relay.ipv6 == peer.is_ipv6())
            .or(relays.first())
            .and_then(|relay| relay.address)
    }

    fn icmp(&mut self, index: usize, peer: SocketAddr, kind: u8) {
        let Some(relayed) = self.relayed(index, peer) else { return };
        let reaction =
            self.lab.icmp_arrives(relayed, peer, IcmpNotice { kind, code: 4, data: 1400 });
        let (client, who) = &self.clients[index];
        if !self.model.notifies(who.five_tuple, peer, kind) {
            return assert!(reaction.silence().is_some(), "{reaction:?}");
        }
        let Reaction::Notice { to, bytes } = reaction else { panic!("{reaction:?}") };
        let message = Message::decode(&bytes).expect("a Data indication");
        assert_eq!((to, message.attribute()), (client.five_tuple, Ok(Some(XorPeerAddress(peer)))));
        let Ok(Some(Icmp { icmp_type, code, .. })) = message.attribute() else {
            panic!("{message:?}")
        };
        assert_eq!((icmp_type, code), (kind, 4));
    }

    fn receive(&mut self, index: usize, peer: SocketAddr, len: usize) {
        let Some(relayed) = self.relayed(index, peer) else { return };
        let (client, who) = &self.clients[index];
        let data = data(len);
        let reaction =
            self.lab.peer_sends(peer, relayed, &data).expect("the relayed address is bound");
        let Some(channel) = self.model.receives(who.five_tuple, peer) else {
            return assert!(reaction.silence().is_some(), "{reaction:?}");
        };
        let Reaction::ToClient { to, bytes, .. } = reaction else { panic!("{reaction:?}") };
        assert_eq!(to, client.five_tuple);
        let Some(number) = channel else {
            let message = Message::decode(&bytes).expect("a Data indication");
            assert_eq!(message.attribute(), Ok(Some(XorPeerAddress(peer))));
            assert_eq!(message.attribute(), Ok(Some(Data(&data))));
            return;
        };
        assert_eq!(bytes[..2], number.to_be_bytes());
        assert_eq!(usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), len);
        assert_eq!(bytes[4..4 + len], data);
        let whole = if to.transport.is_stream() { causeway_wire::padded(4 + len) } else { 4 + len };
        assert_eq!(bytes.len(), whole);
    }

    fn gauges_agree(&self) {
        let gauges = self.lab.server.gauges();
        assert_eq!(gauges.allocations, self.model.allocations.len());
        assert_eq!(self.lab.quota.total(), gauges.allocations);
        assert_eq!(self.lab.pool.free(), 2 * model::PORTS - self.model.lent());
        let (live, remembered) = (self.model.live(), self.model.remembered());
        assert!(
            (live.0..=remembered.0).contains(&gauges.permissions),
            "{gauges:?}: {live:?} to {remembered:?}"
        );
        assert!(
            (live.1..=remembered.1).contains(&gauges.channels),
            "{gauges:?}: {live:?} to {remembered:?}"
        );
    }
}

/// A client, and its identity in the model: three hosts, each over UDP and TCP. The last one shares
/// the 5-tuple of the first, as another user.
fn both_views(index: usize, lab: &mut Lab) -> (Client, Who) {
    let (place, user) = if index == CLIENTS - 1 { (0, 1) } else { (index, index % 2) };
    let transport = if place % 2 == 0 { Transport::Udp } else { Transport::Tcp };
    let (name, password) = [("alice", "wonderland"), ("bob", "builder")][user];
    let mut client = Client::at(client(place as u8 / 2, 1), transport).named(name, password);
    client.fetch_nonce(lab);
    for _ in 0..1000 * index {
        // Clients of one 5-tuple use different transaction ids.
        client.next_transaction();
    }
    (client, Who { five_tuple: place, prefix: place / 2, user })
}

fn told(answer: &Answer) -> request::Told {
    if let Some(code) = answer.error() {
        return Err(code);
    }
    let refused_ipv6 = answer.address_error().map(|(family, code)| {
        assert_eq!(code, 508);
        family == AddressFamily::Ipv6
    });
    Ok(request::Success {
        lifetime: answer.lifetime(),
        refused_ipv6,
        has_token: answer.token().is_some(),
    })
}

fn method(ask: &Ask) -> Method {
    match ask {
        Ask::Allocate { .. } => Method::ALLOCATE,
        Ask::Refresh { .. } => Method::REFRESH,
        Ask::Permit { .. } => Method::CREATE_PERMISSION,
        Ask::Bind { .. } => Method::CHANNEL_BIND,
    }
}

fn fill(w: &mut MessageWriter<'_>, ask: &Ask) -> Result<(), EncodeError> {
    match ask {
        Ask::Allocate { what, lifetime } => {
            w.put(&RequestedTransport::UDP)?;
            match what {
                What::One { .. } | What::Reserved(_) => {}
                What::Even { .. } => _ = w.put(&EvenPort { reserve: false })?,
                What::Pair { .. } => _ = w.put(&EvenPort { reserve: true })?,
                What::Both => _ = w.put(&AdditionalAddressFamily(AddressFamily::Ipv6))?,
            }
            match what {
                What::One { ipv6 } | What::Even { ipv6 } | What::Pair { ipv6 } if *ipv6 => {
                    w.put(&RequestedAddressFamily(AddressFamily::Ipv6))?;
                }
                What::Reserved(token) => _ = w.put(&ReservationToken(*token))?,
                _ => {}
            }
            lifetime.map_or(Ok(()), |lifetime| w.put(&Lifetime(lifetime)).map(drop))
        }
        Ask::Refresh { ipv6, lifetime } => {
            if let Some(ipv6) = ipv6 {
                w.put(&RequestedAddressFamily(if *ipv6 {
                    AddressFamily::Ipv6
                } else {
                    AddressFamily::Ipv4
                }))?;
            }
            lifetime.map_or(Ok(()), |lifetime| w.put(&Lifetime(lifetime)).map(drop))
        }
        Ask::Permit { peers } => {
            peers.iter().try_for_each(|peer| w.put(&XorPeerAddress(*peer)).map(drop))
        }
        Ask::Bind { number, peer } => {
            w.put(&ChannelNumberAttribute(*number))?.put(&XorPeerAddress(*peer)).map(drop)
        }
    }
}

fn data(len: usize) -> Vec<u8> {
    (0..len).map(|at| at as u8 ^ 0x5A).collect()
}

fn step(takes_over: bool) -> impl Strategy<Value = Step> {
    let who = 0..CLIENTS;
    prop_oneof![
        6 => (who.clone(), ask()).prop_map(|(who, ask)| Step::Ask(who, ask)),
        2 => (who.clone(), allocate()).prop_map(|(who, ask)| Step::Ask(who, ask)),
        1 => who.clone().prop_map(Step::Again),
        3 => (who.clone(), a_peer(), 0..9usize)
            .prop_map(|(who, peer, len)| Step::Send(who, peer, len)),
        3 => (who.clone(), number(), 0..9usize)
            .prop_map(|(who, number, len)| Step::SendChannel(who, number, len)),
        3 => (who.clone(), a_peer(), 0..9usize)
            .prop_map(|(who, peer, len)| Step::FromPeer(who, peer, len)),
        2 => (who.clone(), a_peer(), prop::sample::select(vec![0u8, 1, 2, 3, 3, 4, 11, 11, 12]))
            .prop_map(|(who, peer, kind)| Step::Icmp(who, peer, kind)),
        1 => (who.clone(), any::<bool>()).prop_map(|(who, last)| Step::Claim(who, last)),
        1 => who.prop_map(Step::Gone),
        3 => seconds().prop_map(Step::Pass),
        1 => (1..4u8).prop_map(Step::Deny),
        u32::from(takes_over) * 3 + 1 =>
            Just(if takes_over { Step::TakeOver } else { Step::Pass(1) }),
    ]
}

fn seconds() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..10u64,
        Just(1),
        Just(29),
        Just(30),
        Just(299),
        Just(300),
        Just(301),
        Just(600),
        0..700u64
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        1 => allocate(),
        2 => (any::<Option<bool>>(), lifetime())
            .prop_map(|(ipv6, lifetime)| Ask::Refresh { ipv6, lifetime }),
        1 => any::<bool>().prop_map(|ipv6| Ask::Refresh { ipv6: Some(ipv6), lifetime: Some(0) }),
        3 => prop::collection::vec(a_peer(), 0..4).prop_map(|peers| Ask::Permit { peers }),
        4 => (number(), a_peer()).prop_map(|(number, peer)| Ask::Bind { number, peer }),
    ]
}

fn allocate() -> impl Strategy<Value = Ask> {
    let what = prop_oneof![
        2 => any::<bool>().prop_map(|ipv6| What::One { ipv6 }),
        1 => any::<bool>().prop_map(|ipv6| What::Even { ipv6 }),
        1 => any::<bool>().prop_map(|ipv6| What::Pair { ipv6 }),
        4 => Just(What::Both),
    ];
    (what, lifetime()).prop_map(|(what, lifetime)| Ask::Allocate { what, lifetime })
}

fn lifetime() -> impl Strategy<Value = Option<u32>> {
    prop_oneof![Just(None), Just(Some(0)), Just(Some(u32::MAX)), (1..1300u32).prop_map(Some)]
}

fn number() -> impl Strategy<Value = u16> {
    prop_oneof![4 => 0x4000..0x4004u16, 1 => Just(0x5000)]
}

fn a_peer() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        8 => (1..5u8, 1..3u16).prop_map(|(host, port)| peer(host, port)),
        4 => (1..4u16, 1..3u16).prop_map(|(host, port)| peer_v6(host, port)),
        1 => prop::sample::select(&DENIED[..])
            .prop_map(|address| address.parse().expect("an address")),
    ]
}

/// Peers that are denied whatever the policy says.
const DENIED: [&str; 5] =
    ["20.0.0.1:0", "10.1.1.1:1", "127.0.0.1:1", "[::1]:1", "[::ffff:20.0.0.1]:1"];
