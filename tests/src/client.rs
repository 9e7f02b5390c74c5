//! A TURN client of the laboratory: it writes requests and learns from the answers.

use std::net::SocketAddr;

use causeway_auth::{Key, RestSecret};
use causeway_relay::{FiveTuple, Transport};
use causeway_wire::attribute::{
    AdditionalAddressFamily, AddressFamily, ChannelNumberAttribute, Data, Lifetime, Nonce, Realm,
    RequestedAddressFamily, RequestedTransport, Username, XorPeerAddress,
};
use causeway_wire::{
    ChannelData, ChannelRange, Class, EncodeError, IntegrityKey, MAX_MESSAGE_LEN, MessageWriter,
    Method, TransactionId, padded,
};

use crate::addresses::{self, LISTENER, LISTENER_V6};
use crate::answer::Answer;
use crate::lab::Lab;
use crate::reaction::Reaction;
use crate::setup::REALM;

/// Writes the attributes of a message.
pub type Fill<'f> = &'f dyn Fn(&mut MessageWriter<'_>) -> Result<(), EncodeError>;

/// A TURN client: a 5-tuple, credentials, and the realm and nonce that it was given.
#[derive(Clone, Debug)]
pub struct Client {
    /// The 5-tuple of its packets.
    pub five_tuple: FiveTuple,
    /// The value of USERNAME in its requests.
    pub username: String,
    /// The password that its key is made from.
    pub password: String,
    /// The REALM of the last challenge.
    pub realm: Option<String>,
    /// The NONCE of the last challenge.
    pub nonce: Option<String>,
    /// Whether it uses FINGERPRINT.
    pub fingerprint: bool,
    transactions: u64,
}

impl Client {
    /// A client of the user alice at `192.0.2.host`, over UDP.
    #[must_use]
    pub fn udp(host: u8) -> Self {
        Self::at(addresses::client(host, 40_000), Transport::Udp)
    }

    /// A client of the user alice at `192.0.2.host`, over TCP.
    #[must_use]
    pub fn tcp(host: u8) -> Self {
        Self::at(addresses::client(host, 40_000), Transport::Tcp)
    }

    /// A client of the user alice at `2001:db8::host`, over UDP.
    #[must_use]
    pub fn udp_v6(host: u16) -> Self {
        Self::at(addresses::client_v6(host, 40_000), Transport::Udp)
    }

    /// A client of the user alice at this address.
    #[must_use]
    pub fn at(client: SocketAddr, transport: Transport) -> Self {
        let server = if client.is_ipv4() { LISTENER } else { LISTENER_V6 };
        Self {
            five_tuple: FiveTuple { client, server, transport },
            username: "alice".to_owned(),
            password: "wonderland".to_owned(),
            realm: None,
            nonce: None,
            fingerprint: false,
            transactions: 0,
        }
    }

    /// The same client with another user's credentials.
    #[must_use]
    pub fn named(mut self, username: &str, password: &str) -> Self {
        (self.username, self.password) = (username.to_owned(), password.to_owned());
        self
    }

    /// The same client with a REST credential that is valid until `expiry` in Unix time.
    #[must_use]
    pub fn with_rest(self, secret: &[u8], expiry: u64, name: &str) -> Self {
        let username = format!("{expiry}:{name}");
        let password = RestSecret::new(secret).password_sha1(&username);
        self.named(&username, &password)
    }

    /// Its key for message integrity.
    #[must_use]
    pub fn key(&self) -> IntegrityKey {
        Key::long_term_md5(&self.username, self.realm.as_deref().unwrap_or(REALM), &self.password)
            .integrity_key()
    }

    /// A transaction id that was not used before.
    pub fn next_transaction(&mut self) -> TransactionId {
        self.transactions += 1;
        let mut id = [0xC1; 12];
        id[..8].copy_from_slice(&self.transactions.to_be_bytes());
        TransactionId(id)
    }

    /// A request without credentials, as a client sends first.
    ///
    /// # Panics
    /// When `fill` writes more than a message can hold.
    #[must_use]
    pub fn unsigned(&self, id: TransactionId, method: Method, fill: Fill<'_>) -> Vec<u8> {
        write(Class::Request, method, id, |writer| {
            fill(writer)?;
            if self.fingerprint { writer.fingerprint().map(drop) } else { Ok(()) }
        })
    }

    /// A request with credentials, under the realm and nonce of the last challenge.
    ///
    /// # Panics
    /// When `fill` writes more than a message can hold, or there was no challenge yet.
    #[must_use]
    pub fn signed(&self, id: TransactionId, method: Method, fill: Fill<'_>) -> Vec<u8> {
        let (realm, nonce) =
            (self.realm.as_deref().expect("a realm"), self.nonce.as_deref().expect("a nonce"));
        write(Class::Request, method, id, |writer| {
            fill(writer)?;
            writer
                .put(&Username(&self.username))?
                .put(&Realm(realm))?
                .put(&Nonce(nonce))?
                .integrity(&self.key())?;
            if self.fingerprint { writer.fingerprint().map(drop) } else { Ok(()) }
        })
    }

    /// Learns realm and nonce from the server's challenge.
    ///
    /// # Panics
    /// When the server does not challenge.
    pub fn fetch_nonce(&mut self, lab: &mut Lab) {
        let id = self.next_transaction();
        let answer = lab
            .client_sends(&self.five_tuple, &self.unsigned(id, Method::REFRESH, &|_| Ok(())))
            .answer();
        assert_eq!(answer.error(), Some(401));
        self.learn(&answer);
    }

    fn learn(&mut self, answer: &Answer) {
        self.realm = answer.realm();
        self.nonce = answer.nonce();
    }

    /// One request; before it the challenge, while the client has no nonce; and a retry when its
    /// nonce is stale.
    pub fn ask(&mut self, lab: &mut Lab, method: Method, fill: Fill<'_>) -> Reaction {
        if self.nonce.is_none() {
            self.fetch_nonce(lab);
        }
        let reaction = self.ask_once(lab, method, fill);
        match &reaction {
            Reaction::Answer(answer) if answer.error() == Some(438) => {
                self.learn(answer);
                self.ask_once(lab, method, fill)
            }
            _ => reaction,
        }
    }

    /// One request with the nonce that the client has.
    pub fn ask_once(&mut self, lab: &mut Lab, method: Method, fill: Fill<'_>) -> Reaction {
        let id = self.next_transaction();
        let request = self.signed(id, method, fill);
        let reaction = lab.client_sends(&self.five_tuple, &request);
        if let Reaction::Answer(answer) = &reaction {
            assert_eq!((answer.message().transaction_id(), answer.to), (id, self.five_tuple));
        }
        reaction
    }

    /// An Allocate for UDP; the relayed address.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn allocate(&mut self, lab: &mut Lab) -> SocketAddr {
        let answer = self
            .ask(lab, Method::ALLOCATE, &|w| w.put(&RequestedTransport::UDP).map(drop))
            .answer();
        assert_eq!(answer.error(), None);
        answer.relayed().expect("a success names the relayed address")
    }

    /// An Allocate for UDP with further attributes; the answer.
    pub fn allocate_with(&mut self, lab: &mut Lab, fill: Fill<'_>) -> Answer {
        let fill: Fill<'_> = &|w| {
            w.put(&RequestedTransport::UDP)?;
            fill(w)
        };
        self.ask(lab, Method::ALLOCATE, fill).answer()
    }

    /// An Allocate for both families; the relayed addresses, IPv4 first.
    ///
    /// # Panics
    /// When one of the two is not allocated.
    #[track_caller]
    pub fn allocate_both(&mut self, lab: &mut Lab) -> (SocketAddr, SocketAddr) {
        let answer = self.allocate_with(lab, &|w| {
            w.put(&AdditionalAddressFamily(AddressFamily::Ipv6)).map(drop)
        });
        assert_eq!((answer.error(), answer.address_error()), (None, None));
        let [ipv4, ipv6] = answer.all_relayed()[..] else {
            panic!("two relayed addresses, not {:?}", answer.all_relayed())
        };
        assert!(ipv4.is_ipv4() && ipv6.is_ipv6());
        (ipv4, ipv6)
    }

    /// A Refresh with this LIFETIME of the relayed address of one family.
    pub fn refresh_one(&mut self, lab: &mut Lab, family: AddressFamily, lifetime: u32) -> Answer {
        self.ask(lab, Method::REFRESH, &|w| {
            w.put(&Lifetime(lifetime))?.put(&RequestedAddressFamily(family)).map(drop)
        })
        .answer()
    }

    /// A Refresh with this LIFETIME.
    pub fn refresh(&mut self, lab: &mut Lab, lifetime: u32) -> Answer {
        self.ask(lab, Method::REFRESH, &|w| w.put(&Lifetime(lifetime)).map(drop)).answer()
    }

    /// A CreatePermission for these peers; its error.
    pub fn permit(&mut self, lab: &mut Lab, peers: &[SocketAddr]) -> Option<u16> {
        let answer = self.ask(lab, Method::CREATE_PERMISSION, &|w| {
            peers.iter().try_for_each(|peer| w.put(&XorPeerAddress(*peer)).map(drop))
        });
        answer.answer().error()
    }

    /// A ChannelBind; its error.
    pub fn bind(&mut self, lab: &mut Lab, number: u16, peer: SocketAddr) -> Option<u16> {
        let answer = self.ask(lab, Method::CHANNEL_BIND, &|w| {
            w.put(&ChannelNumberAttribute(number))?.put(&XorPeerAddress(peer)).map(drop)
        });
        answer.answer().error()
    }

    /// A Send indication; the reaction of the server.
    pub fn send(&mut self, lab: &mut Lab, peer: SocketAddr, data: &[u8]) -> Reaction {
        let id = self.next_transaction();
        let fingerprint = self.fingerprint;
        let bytes = write(Class::Indication, Method::SEND, id, |w| {
            w.put(&XorPeerAddress(peer))?.put(&Data(data))?;
            if fingerprint { w.fingerprint().map(drop) } else { Ok(()) }
        });
        lab.client_sends(&self.five_tuple, &bytes)
    }

    /// A ChannelData message, padded over a stream.
    ///
    /// # Panics
    /// When the number is not a channel's, or the data are longer than a message can be.
    pub fn send_channel(&mut self, lab: &mut Lab, number: u16, data: &[u8]) -> Reaction {
        let channel = ChannelRange::Rfc5766.channel(number).expect("a channel's number");
        let mut bytes =
            ChannelData::header(channel, u16::try_from(data.len()).expect("at most 65,535 bytes"))
                .to_vec();
        bytes.extend_from_slice(data);
        if self.five_tuple.transport.is_stream() {
            bytes.resize(padded(bytes.len()), 0);
        }
        lab.client_sends(&self.five_tuple, &bytes)
    }
}

fn write(
    class: Class,
    method: Method,
    id: TransactionId,
    fill: impl FnOnce(&mut MessageWriter<'_>) -> Result<(), EncodeError>,
) -> Vec<u8> {
    let mut buffer = vec![0; MAX_MESSAGE_LEN];
    let mut writer = MessageWriter::new(&mut buffer, class, method, id).expect("room for a header");
    fill(&mut writer).expect("room for a message");
    let len = writer.finish();
    buffer.truncate(len);
    buffer
}
