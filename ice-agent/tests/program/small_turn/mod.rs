//! A small TURN server over UDP, TCP, TLS and DTLS that relays between its own allocations only,
//! and has a fault on request.

pub(crate) mod authority;
mod transports;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use authority::ServerCertificate;
use causeway_auth::{Key, userhash};
use causeway_wire::attribute::{
    AdditionalAddressFamily, AddressErrorCode, AddressFamily, AlternateDomain, AlternateServer,
    ChannelNumberAttribute, Data, ErrorCodeAttribute, Lifetime, Nonce, PasswordAlgorithms, Realm,
    RequestedAddressFamily, Userhash, XorMappedAddress, XorPeerAddress, XorRelayedAddress,
};
use causeway_wire::{
    ChannelData, ChannelNumber, ChannelRange, Class, ErrorCode, IntegrityKey, Message,
    MessageWriter, Method, TransactionId,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use transports::{Input, Secured};

pub(crate) const USER: &str = "anna";
pub(crate) const PASSWORD: &str = "s3cret";
const REALM: &str = "example.org";
/// A nonce that announces password algorithms and username anonymity (RFC 8489 §18.1).
const MODERN: &str = "obMatJos2wAADnonce";

/// A fault of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// It answers this method with this error.
    Refuses(Method, ErrorCode),
    /// It answers the first requests with 437, up to this number.
    Mismatches(u32),
    /// It redirects (300) to this server, or to itself.
    Redirects(Option<SocketAddr>),
    /// It requires SHA-256 keys and hashed user names.
    WantsSha256,
    /// It has no IPv6 addresses.
    LacksIpv6,
    /// It drops every n-th relayed datagram.
    Loses(u32),
    /// It swaps every n-th relayed datagram with the next one.
    Reorders(u32),
}

/// The running server; it ends when dropped.
pub(crate) struct SmallTurn {
    /// Over UDP and TCP.
    pub(crate) address: SocketAddr,
    /// Over TLS and DTLS, if it has a certificate.
    pub(crate) secure: Option<SocketAddr>,
    _tasks: JoinSet<()>,
}

impl SmallTurn {
    pub(crate) async fn start(fault: Fault) -> Self {
        Self::start_at([127, 0, 0, 1].into(), fault, None).await
    }

    pub(crate) async fn start_secure(fault: Fault, certificate: ServerCertificate) -> Self {
        Self::start_at([127, 0, 0, 1].into(), fault, Some(certificate)).await
    }

    pub(crate) async fn start_at(
        ip: IpAddr,
        fault: Fault,
        certificate: Option<ServerCertificate>,
    ) -> Self {
        let (udp, tcp) = transports::sockets(ip).await;
        let address = udp.local_addr().unwrap();
        let (to_server, from_clients) = mpsc::channel(1024);
        let (to_udp, from_server) = mpsc::channel(1024);
        let mut tasks = JoinSet::new();
        tasks.spawn(Server::new(fault, address, to_udp).run(from_clients));
        let secure = match certificate {
            None => None,
            Some(certificate) => {
                let (udp, tcp) = transports::sockets(ip).await;
                let address = udp.local_addr().unwrap();
                let Secured { tls, dtls } = Secured::new(certificate);
                tasks.spawn(transports::associations(udp, dtls, to_server.clone()));
                tasks.spawn(transports::connections(tcp, Some(tls), to_server.clone()));
                Some(address)
            }
        };
        tasks.spawn(transports::datagrams(udp, to_server.clone(), from_server));
        tasks.spawn(transports::connections(tcp, None, to_server));
        Self { address, secure, _tasks: tasks }
    }
}

struct Allocation {
    relayed: SocketAddr,
    additional: Option<SocketAddr>,
    permissions: HashSet<IpAddr>,
    channels: HashMap<ChannelNumber, SocketAddr>,
}

impl Allocation {
    fn has(&self, relayed: SocketAddr) -> bool {
        self.relayed == relayed || self.additional == Some(relayed)
    }
}

struct Server {
    fault: Fault,
    address: SocketAddr,
    key: IntegrityKey,
    sha256_key: IntegrityKey,
    to_udp: mpsc::Sender<(SocketAddr, Vec<u8>)>,
    streams: HashMap<SocketAddr, mpsc::Sender<Vec<u8>>>,
    allocations: HashMap<SocketAddr, Allocation>,
    relayed: u32,
    held: Option<(SocketAddr, Vec<u8>)>,
    allocates: u32,
}

impl Server {
    fn new(fault: Fault, address: SocketAddr, to_udp: mpsc::Sender<(SocketAddr, Vec<u8>)>) -> Self {
        let key = Key::long_term_md5(USER, REALM, PASSWORD).integrity_key();
        let sha256_key = Key::long_term_sha256(USER, REALM, PASSWORD).integrity_key();
        Self {
            fault,
            address,
            key,
            sha256_key,
            to_udp,
            streams: HashMap::new(),
            allocations: HashMap::new(),
            relayed: 0,
            held: None,
            allocates: 0,
        }
    }

    async fn run(mut self, mut inputs: mpsc::Receiver<Input>) {
        while let Some(input) = inputs.recv().await {
            if let Some(stream) = input.stream {
                self.streams.insert(input.client, stream);
            }
            if let Ok(data) = ChannelData::decode(&input.bytes, ChannelRange::Rfc8656) {
                let peer = self.allocations[&input.client].channels[&data.channel];
                self.relay(input.client, peer, data.data).await;
                continue;
            }
            let message = Message::decode(&input.bytes).unwrap();
            if message.class() == Class::Indication {
                let peer = message.attribute::<XorPeerAddress>().unwrap().unwrap().0;
                let data = message.attribute::<Data<'_>>().unwrap().unwrap().0;
                self.relay(input.client, peer, data).await;
            } else {
                let answer = self.answer(input.client, &message);
                self.send(input.client, answer).await;
            }
        }
    }

    async fn send(&mut self, client: SocketAddr, bytes: Vec<u8>) {
        match self.streams.get(&client) {
            Some(stream) => drop(stream.send(bytes).await),
            None => self.to_udp.send((client, bytes)).await.unwrap(),
        }
    }

    fn answer(&mut self, client: SocketAddr, request: &Message<'_>) -> Vec<u8> {
        let method = request.method();
        if method == Method::BINDING {
            return write(request, Class::SuccessResponse, |writer| {
                writer.put(&XorMappedAddress(client)).unwrap();
            });
        }
        if !self.is_authentic(request) {
            return write(request, Class::ErrorResponse, |writer| {
                writer
                    .put(&ErrorCodeAttribute::new(ErrorCode::UNAUTHENTICATED))
                    .unwrap()
                    .put(&Realm(REALM))
                    .unwrap();
                match self.fault {
                    Fault::WantsSha256 => writer
                        .put(&Nonce(MODERN))
                        .unwrap()
                        .put(&PasswordAlgorithms::SHA256_MD5)
                        .unwrap(),
                    _ => writer.put(&Nonce("nonce")).unwrap(),
                };
            });
        }
        if let Some(code) = self.refusal(method).or_else(|| self.family_refusal(request)) {
            return write(request, Class::ErrorResponse, |writer| {
                writer.put(&ErrorCodeAttribute::new(code)).unwrap();
                if let Fault::Redirects(server) = self.fault {
                    writer
                        .put(&AlternateServer(server.unwrap_or(self.address)))
                        .unwrap()
                        .put(&AlternateDomain("turn.test"))
                        .unwrap();
                }
                self.sign(writer);
            });
        }
        let relayed = self.carry_out(client, request);
        write(request, Class::SuccessResponse, |writer| {
            if let Some((relayed, additional)) = relayed {
                writer.put(&XorRelayedAddress(relayed)).unwrap();
                if let Some(additional) = additional {
                    writer.put(&XorRelayedAddress(additional)).unwrap();
                }
                if request.attribute::<AdditionalAddressFamily>().unwrap().is_some()
                    && additional.is_none()
                {
                    let code = ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED;
                    writer
                        .put(&AddressErrorCode {
                            family: AddressFamily::Ipv6,
                            code,
                            reason: code.reason(),
                        })
                        .unwrap();
                }
                writer.put(&XorMappedAddress(client)).unwrap().put(&Lifetime(600)).unwrap();
            }
            if method == Method::REFRESH {
                writer.put(&Lifetime(0)).unwrap();
            }
            self.sign(writer);
        })
    }

    fn is_authentic(&self, request: &Message<'_>) -> bool {
        match self.fault {
            Fault::WantsSha256 => {
                let hidden = request.attribute::<Userhash>().unwrap()
                    == Some(Userhash(userhash(USER, REALM)));
                hidden && request.verify_integrity_sha256(&self.sha256_key, 32)
            }
            _ => request.verify_integrity(&self.key),
        }
    }

    fn sign(&self, writer: &mut MessageWriter<'_>) {
        match self.fault {
            Fault::WantsSha256 => writer.integrity_sha256(&self.sha256_key).unwrap(),
            _ => writer.integrity(&self.key).unwrap(),
        };
    }

    fn family_refusal(&self, request: &Message<'_>) -> Option<ErrorCode> {
        let wants_v6 = request.attribute::<RequestedAddressFamily>().unwrap()
            == Some(RequestedAddressFamily(AddressFamily::Ipv6));
        (wants_v6 && self.fault == Fault::LacksIpv6)
            .then_some(ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED)
    }

    fn refusal(&mut self, method: Method) -> Option<ErrorCode> {
        match self.fault {
            Fault::Refuses(refused, code) => (refused == method).then_some(code),
            Fault::Redirects(_) => (method == Method::ALLOCATE).then_some(ErrorCode::TRY_ALTERNATE),
            Fault::Mismatches(count) if method == Method::ALLOCATE => {
                self.allocates += 1;
                (self.allocates <= count).then_some(ErrorCode::ALLOCATION_MISMATCH)
            }
            _ => None,
        }
    }

    /// Executes a request, and returns the relayed addresses of a new allocation.
    fn carry_out(
        &mut self,
        client: SocketAddr,
        request: &Message<'_>,
    ) -> Option<(SocketAddr, Option<SocketAddr>)> {
        let peer = request.attribute::<XorPeerAddress>().unwrap().map(|peer| peer.0);
        match (request.method(), self.allocations.get_mut(&client)) {
            (Method::ALLOCATE, _) => {
                let port = 50_000 + self.allocations.len() as u16;
                let v4 = SocketAddr::new("203.0.113.1".parse().unwrap(), port);
                let v6 = SocketAddr::new("2001:db8::1".parse().unwrap(), port);
                let family = request.attribute::<RequestedAddressFamily>().unwrap();
                let relayed = if family == Some(RequestedAddressFamily(AddressFamily::Ipv6)) {
                    v6
                } else {
                    v4
                };
                let both = request.attribute::<AdditionalAddressFamily>().unwrap().is_some()
                    && self.fault != Fault::LacksIpv6;
                let additional = both.then_some(v6);
                let allocation = Allocation {
                    relayed,
                    additional,
                    permissions: HashSet::new(),
                    channels: HashMap::new(),
                };
                self.allocations.insert(client, allocation);
                return Some((relayed, additional));
            }
            (Method::REFRESH, _) => drop(self.allocations.remove(&client)),
            (Method::CREATE_PERMISSION, Some(allocation)) => {
                allocation.permissions.insert(peer.unwrap().ip());
            }
            (Method::CHANNEL_BIND, Some(allocation)) => {
                let number = request.attribute::<ChannelNumberAttribute>().unwrap().unwrap().0;
                allocation
                    .channels
                    .insert(ChannelRange::Rfc8656.channel(number).unwrap(), peer.unwrap());
            }
            (method, _) => panic!("{method:?} without an allocation"),
        }
        None
    }

    async fn relay(&mut self, client: SocketAddr, peer: SocketAddr, data: &[u8]) {
        let from = &self.allocations[&client];
        let to = self.allocations.iter().find(|(_, allocation)| allocation.has(peer));
        let Some(source) = [Some(from.relayed), from.additional]
            .into_iter()
            .flatten()
            .find(|own| own.is_ipv4() == peer.is_ipv4())
        else {
            return;
        };
        let Some((receiver, to)) = to.filter(|(_, to)| {
            to.permissions.contains(&source.ip()) && from.permissions.contains(&peer.ip())
        }) else {
            return;
        };
        let channel =
            to.channels.iter().find(|(_, bound)| **bound == source).map(|(number, _)| *number);
        let (receiver, bytes) = (*receiver, frame(channel, source, data));
        self.relayed += 1;
        match self.fault {
            Fault::Loses(of) if self.relayed.is_multiple_of(of) => {}
            Fault::Reorders(of) if self.relayed.is_multiple_of(of) && self.held.is_none() => {
                self.held = Some((receiver, bytes));
            }
            _ => {
                self.send(receiver, bytes).await;
                // The held datagram follows the next one in its own direction.
                if let Some((waiting, bytes)) =
                    self.held.take_if(|(waiting, _)| *waiting == receiver)
                {
                    self.send(waiting, bytes).await;
                }
            }
        }
    }
}

/// Data for a client: ChannelData, padded for streams, or a Data indication.
fn frame(channel: Option<ChannelNumber>, from: SocketAddr, data: &[u8]) -> Vec<u8> {
    if let Some(channel) = channel {
        let mut bytes = ChannelData::header(channel, data.len() as u16).to_vec();
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len() + ChannelData::stream_padding(data.len()), 0);
        return bytes;
    }
    let mut bytes = vec![0; 2048];
    let mut writer =
        MessageWriter::new(&mut bytes, Class::Indication, Method::DATA, TransactionId([1; 12]))
            .unwrap();
    writer.put(&XorPeerAddress(from)).unwrap().put(&Data(data)).unwrap();
    let length = writer.finish();
    bytes.truncate(length);
    bytes
}

fn write(
    request: &Message<'_>,
    class: Class,
    fill: impl FnOnce(&mut MessageWriter<'_>),
) -> Vec<u8> {
    let mut bytes = vec![0; 1024];
    let mut writer = MessageWriter::answer(&mut bytes, request.header(), class).unwrap();
    fill(&mut writer);
    let length = writer.finish();
    bytes.truncate(length);
    bytes
}
