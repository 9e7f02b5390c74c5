use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;

use causeway_kit::port;
use causeway_relay::Transport;
use causeway_tests::daemon::certificates::{Certificates, KeyKind};
use causeway_tests::daemon::service::{self, PASSWORD, Service, USER};
use causeway_tests::{Answer, Client, Fill};
use causeway_wire::attribute::{ChannelNumberAttribute, Data, RequestedTransport, XorPeerAddress};
use causeway_wire::{
    ChannelData, ChannelRange, Class, Message, MessageWriter, Method, TransactionId, padded,
};

use causeway_tests::daemon::leg::Leg;

const EVERY: [&str; 4] = ["udp", "tcp", "tls", "dtls"];
const ONE: &str = r#"["127.0.0.1"]"#;

/// A `turnd` that takes clients over everything, on one port.
pub(crate) struct Turnd {
    service: Service,
    certificates: Certificates,
}

impl Deref for Turnd {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.service
    }
}

/// A `turnd` whose peers may be on loopback: there is no other network to be sure of.
pub(crate) fn turnd() -> Turnd {
    turnd_with(r#""allow 127.0.0.0/8""#, "[net]\nworkers = 2\n")
}

/// The same with these rules for peers and these further tables.
pub(crate) fn turnd_with(peers: &str, more: &str) -> Turnd {
    start(ONE, (&EVERY, ""), peers, more)
}

/// The same over these transports only, with this further line of its listener.
pub(crate) fn turnd_listening(transports: &[&str], line: &str) -> Turnd {
    start(ONE, (transports, line), r#""allow 127.0.0.0/8""#, "")
}

/// A `turnd` that relays from both families, each on loopback.
pub(crate) fn turnd_of_both_families() -> Turnd {
    turnd_relaying_from(r#"["127.0.0.1", "::1"]"#, r#""allow 127.0.0.0/8", "allow ::1/128""#, 2)
}

/// A `turnd` that relays from these addresses, as `[relay]` names them. Its clients send more
/// Binding requests than the limiter answers.
pub(crate) fn turnd_relaying_from(relays: &str, peers: &str, workers: usize) -> Turnd {
    start(
        relays,
        (&EVERY, ""),
        peers,
        &format!("[limits]\nunauthenticated_per_prefix = \"off\"\n[net]\nworkers = {workers}\n"),
    )
}

fn start(relays: &str, (transports, line): (&[&str], &str), peers: &str, more: &str) -> Turnd {
    let certificates = Certificates::make(KeyKind::Ecdsa);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
    let listen = format!("address = \"{address}\"\n");
    let all = format!("{listen}transports = {transports:?}\n{line}");
    let config = service::turnd_config(address, peers, &format!("{}{more}", certificates.table()))
        .replacen(&listen, &all, 1);
    let config =
        config.replacen(r#"addresses = ["127.0.0.1"]"#, &format!("addresses = {relays}"), 1);
    Turnd { service: Service::start("turnd", address, &config), certificates }
}

/// A client that writes its requests as the laboratory's does, and sends them over a real leg.
pub(crate) struct Talker {
    pub(crate) client: Client,
    pub(crate) leg: Leg,
}

impl Talker {
    pub(crate) fn new(turnd: &Turnd, transport: Transport) -> Self {
        Self::through(turnd.address, turnd, transport)
    }

    /// Reaches the server at another address.
    pub(crate) fn through(address: SocketAddr, turnd: &Turnd, transport: Transport) -> Self {
        let leg = Leg::new(transport, address, &turnd.certificates.root());
        let mut client = Client::at(leg.local(), transport).named(USER, PASSWORD);
        client.five_tuple.server = turnd.address;
        Self { client, leg }
    }

    /// One request with credentials, and the challenge before it where there is no nonce yet.
    pub(crate) fn ask(&mut self, method: Method, fill: Fill<'_>) -> Answer {
        if self.client.nonce.is_none() {
            let id = self.client.next_transaction();
            let challenge = self.exchange(&self.client.unsigned(id, method, fill));
            assert_eq!(challenge.error(), Some(401));
            (self.client.realm, self.client.nonce) = (challenge.realm(), challenge.nonce());
        }
        let id = self.client.next_transaction();
        let answer = self.exchange(&self.client.signed(id, method, fill));
        assert_eq!((answer.method(), answer.message().transaction_id()), (method, id));
        answer
    }

    /// Sends bytes; the answer to them.
    pub(crate) fn exchange(&mut self, bytes: &[u8]) -> Answer {
        self.leg.send(bytes);
        Answer {
            bytes: self.leg.receive().expect("the connection stands"),
            to: self.client.five_tuple,
        }
    }

    pub(crate) fn allocate(&mut self) -> SocketAddr {
        let answer = self.ask(Method::ALLOCATE, &|w| w.put(&RequestedTransport::UDP).map(drop));
        assert_eq!(answer.error(), None);
        answer.relayed().unwrap()
    }

    pub(crate) fn permit(&mut self, peer: SocketAddr) -> Option<u16> {
        self.ask(Method::CREATE_PERMISSION, &|w| w.put(&XorPeerAddress(peer)).map(drop)).error()
    }

    pub(crate) fn bind(&mut self, number: u16, peer: SocketAddr) -> Option<u16> {
        self.ask(Method::CHANNEL_BIND, &|w| {
            w.put(&ChannelNumberAttribute(number))?.put(&XorPeerAddress(peer)).map(drop)
        })
        .error()
    }

    pub(crate) fn send(&mut self, peer: SocketAddr, data: &[u8]) {
        let mut bytes = vec![0; 64 + padded(data.len())];
        let mut writer =
            MessageWriter::new(&mut bytes, Class::Indication, Method::SEND, TransactionId([8; 12]))
                .unwrap();
        writer.put(&XorPeerAddress(peer)).unwrap().put(&Data(data)).unwrap();
        let len = writer.finish();
        self.leg.send(&bytes[..len]);
    }

    pub(crate) fn send_channel(&mut self, number: u16, data: &[u8]) {
        let header =
            ChannelData::header(ChannelRange::Rfc8656.channel(number).unwrap(), data.len() as u16);
        let mut bytes = [&header[..], data].concat();
        if self.client.five_tuple.transport.is_stream() {
            bytes.resize(padded(bytes.len()), 0);
        }
        self.leg.send(&bytes);
    }

    /// The next message is a Data indication: from whom, and what.
    pub(crate) fn data_arrive(&mut self) -> (SocketAddr, Vec<u8>) {
        let bytes = self.leg.receive().unwrap();
        let message = Message::decode(&bytes).unwrap();
        assert_eq!((message.class(), message.method()), (Class::Indication, Method::DATA));
        let XorPeerAddress(peer) = message.attribute().unwrap().unwrap();
        let Data(data) = message.attribute().unwrap().unwrap();
        (peer, data.to_vec())
    }

    /// Nothing was sent to this client by what came before: the next that arrives is the answer to
    /// a Binding request.
    pub(crate) fn heard_nothing(&mut self) {
        let id = self.client.next_transaction();
        let answer = self.exchange(&self.client.unsigned(id, Method::BINDING, &|_| Ok(())));
        assert_eq!((answer.method(), answer.message().transaction_id()), (Method::BINDING, id));
        assert_eq!(answer.mapped(), Some(self.leg.local()));
    }
}
