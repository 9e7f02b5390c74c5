//! A client over any transport, message by message.

use std::net::SocketAddr;
use std::path::Path;

use causeway_relay::Transport;
use causeway_tests::daemon::leg::Leg;
use causeway_tests::daemon::service::{PASSWORD, USER};
use causeway_tests::{Answer, Client, Fill};
use causeway_wire::Method;
use causeway_wire::attribute::{
    ChannelNumberAttribute, Lifetime, RequestedTransport, XorPeerAddress,
};

/// How a client's bytes get to the server, and the answers back.
pub(crate) trait Way {
    fn send(&mut self, bytes: &[u8]);
    fn receive(&mut self) -> Vec<u8>;
}

impl Way for Leg {
    fn send(&mut self, bytes: &[u8]) {
        Leg::send(self, bytes);
    }

    fn receive(&mut self) -> Vec<u8> {
        Leg::receive(self).expect("the connection stands")
    }
}

pub(crate) struct Talker<P> {
    pub(crate) client: Client,
    pub(crate) path: P,
}

impl Talker<Leg> {
    pub(crate) fn new(transport: Transport, server: SocketAddr, root: &Path) -> Self {
        let path = Leg::new(transport, server, root);
        Self { client: Client::at(path.local(), transport).named(USER, PASSWORD), path }
    }
}

impl<P: Way> Talker<P> {
    /// One request with credentials, and the challenge before it where there is no nonce yet.
    fn ask(&mut self, method: Method, fill: Fill<'_>) -> Answer {
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

    fn exchange(&mut self, bytes: &[u8]) -> Answer {
        self.path.send(bytes);
        Answer { bytes: self.path.receive(), to: self.client.five_tuple }
    }

    pub(crate) fn allocate(&mut self) -> SocketAddr {
        let answer = self.ask(Method::ALLOCATE, &|w| w.put(&RequestedTransport::UDP).map(drop));
        assert_eq!(answer.error(), None);
        answer.relayed().expect("the server says where")
    }

    pub(crate) fn bind(&mut self, number: u16, peer: SocketAddr) -> Option<u16> {
        self.ask(Method::CHANNEL_BIND, &|w| {
            w.put(&ChannelNumberAttribute(number))?.put(&XorPeerAddress(peer)).map(drop)
        })
        .error()
    }

    /// The error, if there is one.
    pub(crate) fn refresh(&mut self, lifetime: u32) -> Option<u16> {
        self.ask(Method::REFRESH, &|w| w.put(&Lifetime(lifetime)).map(drop)).error()
    }
}

/// ChannelData of four bytes, the same over every transport.
pub(crate) fn channel_data(number: u16, data: &[u8; 4]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &[0, 4], data].concat()
}
