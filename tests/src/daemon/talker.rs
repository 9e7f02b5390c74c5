//! A client that exchanges single messages with a running server, over any connection.

use std::net::SocketAddr;
use std::path::Path;

use causeway_relay::Transport;
use causeway_wire::attribute::{
    ChannelNumberAttribute, Data, Lifetime, RequestedTransport, XorPeerAddress,
};
use causeway_wire::{
    ChannelData, ChannelRange, Class, Message, MessageWriter, Method, TransactionId, padded,
};

use super::leg::Leg;
use super::service::{PASSWORD, USER};
use crate::{Answer, Client, Fill};

/// A client's connection to the server, message by message.
pub trait Link {
    /// Sends one message to the server.
    fn send(&mut self, bytes: &[u8]);

    /// The next message from the server.
    ///
    /// # Panics
    /// When the server has closed the connection, or sends nothing in time.
    fn receive(&mut self) -> Vec<u8>;
}

impl Link for Leg {
    fn send(&mut self, bytes: &[u8]) {
        Self::send(self, bytes);
    }

    fn receive(&mut self) -> Vec<u8> {
        Self::receive(self).expect("the connection is open")
    }
}

/// A client that writes its requests as the laboratory's does, and sends them over a real
/// connection.
pub struct Talker<L = Leg> {
    /// Writes the requests; knows the credentials and the nonce.
    pub client: Client,
    /// The connection that carries them.
    pub link: L,
}

impl Talker {
    /// A client of [`USER`]'s; `root` signs the server's certificate, for TLS and DTLS.
    #[must_use]
    pub fn new(transport: Transport, server: SocketAddr, root: &Path) -> Self {
        let leg = Leg::new(transport, server, root);
        Self::over(leg.local(), transport, leg)
    }

    /// Asserts that nothing was sent to this client until now: the next message that arrives is the
    /// answer to a Binding request.
    ///
    /// # Panics
    /// When something else arrives.
    #[track_caller]
    pub fn heard_nothing(&mut self) {
        let id = self.client.next_transaction();
        let answer = self.exchange(&self.client.unsigned(id, Method::BINDING, &|_| Ok(())));
        assert_eq!((answer.method(), answer.message().transaction_id()), (Method::BINDING, id));
        assert_eq!(answer.mapped(), Some(self.link.local()));
    }
}

impl<L: Link> Talker<L> {
    /// A client of [`USER`]'s at this address, over a connection that exists.
    #[must_use]
    pub fn over(address: SocketAddr, transport: Transport, link: L) -> Self {
        Self { client: Client::at(address, transport).named(USER, PASSWORD), link }
    }

    /// One request with credentials, and before it the challenge, while there is no nonce.
    ///
    /// # Panics
    /// When the answer belongs to another request.
    pub fn ask(&mut self, method: Method, fill: Fill<'_>) -> Answer {
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

    /// Sends a message and returns the answer to it.
    pub fn exchange(&mut self, bytes: &[u8]) -> Answer {
        self.link.send(bytes);
        Answer { bytes: self.link.receive(), to: self.client.five_tuple }
    }

    /// An Allocate for UDP; the relayed address.
    ///
    /// # Panics
    /// When it fails.
    pub fn allocate(&mut self) -> SocketAddr {
        let answer = self.ask(Method::ALLOCATE, &|w| w.put(&RequestedTransport::UDP).map(drop));
        assert_eq!(answer.error(), None);
        answer.relayed().expect("a success names the relayed address")
    }

    /// A Refresh with this LIFETIME; its error.
    pub fn refresh(&mut self, lifetime: u32) -> Option<u16> {
        self.ask(Method::REFRESH, &|w| w.put(&Lifetime(lifetime)).map(drop)).error()
    }

    /// A CreatePermission; its error.
    pub fn permit(&mut self, peer: SocketAddr) -> Option<u16> {
        self.ask(Method::CREATE_PERMISSION, &|w| w.put(&XorPeerAddress(peer)).map(drop)).error()
    }

    /// A ChannelBind; its error.
    pub fn bind(&mut self, number: u16, peer: SocketAddr) -> Option<u16> {
        self.ask(Method::CHANNEL_BIND, &|w| {
            w.put(&ChannelNumberAttribute(number))?.put(&XorPeerAddress(peer)).map(drop)
        })
        .error()
    }

    /// Sends a Send indication with these data.
    ///
    /// # Panics
    /// When the data are longer than a message can be.
    pub fn send(&mut self, peer: SocketAddr, data: &[u8]) {
        let mut bytes = vec![0; 64 + padded(data.len())];
        let mut writer =
            MessageWriter::new(&mut bytes, Class::Indication, Method::SEND, TransactionId([8; 12]))
                .expect("there is room for a header");
        writer.put(&XorPeerAddress(peer)).expect("there is room for an address");
        writer.put(&Data(data)).expect("there is room for the data");
        let len = writer.finish();
        self.link.send(&bytes[..len]);
    }

    /// Sends these data as ChannelData.
    ///
    /// # Panics
    /// When the number is not a channel's, or the data are longer than a message can be.
    pub fn send_channel(&mut self, number: u16, data: &[u8]) {
        let transport = self.client.five_tuple.transport;
        self.link.send(&channel_data(number, data, transport));
    }

    /// Receives a Data indication: the peer's address and the data.
    ///
    /// # Panics
    /// When the next message is something else.
    #[track_caller]
    pub fn data_arrive(&mut self) -> (SocketAddr, Vec<u8>) {
        let bytes = self.link.receive();
        let message = Message::decode(&bytes).expect("a STUN message");
        assert_eq!((message.class(), message.method()), (Class::Indication, Method::DATA));
        let peer: Option<XorPeerAddress> = message.attribute().expect("a well-formed address");
        let data: Option<Data<'_>> = message.attribute().expect("well-formed data");
        (peer.expect("XOR-PEER-ADDRESS").0, data.expect("DATA").0.to_vec())
    }
}

/// A ChannelData message, padded over a stream.
///
/// # Panics
/// When the number is not a channel's, or the data are longer than a message can be.
#[must_use]
pub fn channel_data(number: u16, data: &[u8], over: Transport) -> Vec<u8> {
    let channel = ChannelRange::Rfc8656.channel(number).expect("a channel's number");
    let len = u16::try_from(data.len()).expect("at most 65,535 bytes");
    let mut bytes = [&ChannelData::header(channel, len)[..], data].concat();
    if over.is_stream() {
        bytes.resize(padded(bytes.len()), 0);
    }
    bytes
}
