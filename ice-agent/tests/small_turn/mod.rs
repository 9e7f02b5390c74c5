//! A small TURN server over UDP and TCP that relays between its own allocations only, and fails where it is told to.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use causeway_auth::Key;
use causeway_client::StreamBuffer;
use causeway_wire::attribute::{
    AlternateServer, ChannelNumberAttribute, Data, ErrorCodeAttribute, Lifetime, Nonce, Realm, XorMappedAddress, XorPeerAddress,
    XorRelayedAddress,
};
use causeway_wire::{
    ChannelData, ChannelNumber, ChannelRange, Class, ErrorCode, IntegrityKey, Message, MessageWriter, Method, TransactionId,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub(crate) const USER: &str = "anna";
pub(crate) const PASSWORD: &str = "s3cret";
const REALM: &str = "example.org";

/// Where the server fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// This method is answered with this error.
    Refuses(Method, ErrorCode),
    /// The first so many Allocates are answered with 437.
    Mismatches(u32),
    /// 300 with this server, or with itself.
    Redirects(Option<SocketAddr>),
    /// Of the data that is relayed, each one of so many is lost.
    Loses(u32),
    /// Each one of so many is overtaken by the one behind it.
    Reorders(u32),
}

/// The running server; it ends when dropped.
pub(crate) struct SmallTurn {
    pub(crate) address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl SmallTurn {
    pub(crate) async fn start(fault: Fault) -> Self {
        let (udp, tcp) = sockets().await;
        let address = udp.local_addr().unwrap();
        let (to_server, from_clients) = mpsc::channel(1024);
        let (to_udp, from_server) = mpsc::channel(1024);
        let mut tasks = JoinSet::new();
        tasks.spawn(Server::new(fault, address, to_udp).run(from_clients));
        tasks.spawn(datagrams(udp, to_server.clone(), from_server));
        tasks.spawn(connections(tcp, to_server));
        Self { address, _tasks: tasks }
    }
}

async fn sockets() -> (UdpSocket, TcpListener) {
    for _ in 0..50 {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
    panic!("no port is free for both");
}

/// A message from a client, and over TCP how to answer it.
struct Input {
    client: SocketAddr,
    bytes: Vec<u8>,
    stream: Option<mpsc::Sender<Vec<u8>>>,
}

async fn datagrams(socket: UdpSocket, to_server: mpsc::Sender<Input>, mut from_server: mpsc::Receiver<(SocketAddr, Vec<u8>)>) {
    let mut buffer = vec![0; 2048];
    loop {
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                let (length, client) = received.unwrap();
                to_server.send(Input { client, bytes: buffer[..length].to_vec(), stream: None }).await.unwrap();
            }
            Some((client, bytes)) = from_server.recv() => { socket.send_to(&bytes, client).await.unwrap(); }
        }
    }
}

async fn connections(listener: TcpListener, to_server: mpsc::Sender<Input>) {
    let mut tasks = JoinSet::new();
    loop {
        let (stream, client) = listener.accept().await.unwrap();
        tasks.spawn(connection(stream, client, to_server.clone()));
    }
}

async fn connection(mut stream: TcpStream, client: SocketAddr, to_server: mpsc::Sender<Input>) {
    let (answers, mut from_server) = mpsc::channel::<Vec<u8>>(1024);
    let mut incoming = StreamBuffer::new();
    loop {
        tokio::select! {
            read = stream.read(incoming.space()) => match read {
                Ok(0) | Err(_) => return,
                Ok(read) => incoming.filled(read),
            },
            Some(bytes) = from_server.recv() => stream.write_all(&bytes).await.unwrap(),
        }
        while let Some(frame) = incoming.next_frame().unwrap() {
            to_server.send(Input { client, bytes: frame.to_vec(), stream: Some(answers.clone()) }).await.unwrap();
        }
    }
}

struct Allocation {
    relayed: SocketAddr,
    permissions: HashSet<IpAddr>,
    channels: HashMap<ChannelNumber, SocketAddr>,
}

struct Server {
    fault: Fault,
    address: SocketAddr,
    key: IntegrityKey,
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
        Self { fault, address, key, to_udp, streams: HashMap::new(), allocations: HashMap::new(), relayed: 0, held: None, allocates: 0 }
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
            return write(request, Class::SuccessResponse, None, |writer| {
                writer.put(&XorMappedAddress(client)).unwrap();
            });
        }
        if !request.verify_integrity(&self.key) {
            return write(request, Class::ErrorResponse, None, |writer| {
                writer.put(&ErrorCodeAttribute::new(ErrorCode::UNAUTHENTICATED)).unwrap();
                writer.put(&Realm(REALM)).unwrap().put(&Nonce("nonce")).unwrap();
            });
        }
        if let Some(code) = self.refusal(method) {
            return write(request, Class::ErrorResponse, Some(&self.key), |writer| {
                writer.put(&ErrorCodeAttribute::new(code)).unwrap();
                if let Fault::Redirects(server) = self.fault {
                    writer.put(&AlternateServer(server.unwrap_or(self.address))).unwrap();
                }
            });
        }
        let relayed = self.carry_out(client, request);
        write(request, Class::SuccessResponse, Some(&self.key), |writer| {
            if let Some(relayed) = relayed {
                writer.put(&XorRelayedAddress(relayed)).unwrap().put(&XorMappedAddress(client)).unwrap().put(&Lifetime(600)).unwrap();
            }
            if method == Method::REFRESH {
                writer.put(&Lifetime(0)).unwrap();
            }
        })
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

    /// Does what the request asks for; the relayed address of a new allocation.
    fn carry_out(&mut self, client: SocketAddr, request: &Message<'_>) -> Option<SocketAddr> {
        let peer = request.attribute::<XorPeerAddress>().unwrap().map(|peer| peer.0);
        match (request.method(), self.allocations.get_mut(&client)) {
            (Method::ALLOCATE, _) => {
                let relayed = SocketAddr::new("203.0.113.1".parse().unwrap(), 50_000 + self.allocations.len() as u16);
                self.allocations.insert(client, Allocation { relayed, permissions: HashSet::new(), channels: HashMap::new() });
                return Some(relayed);
            }
            (Method::REFRESH, _) => drop(self.allocations.remove(&client)),
            (Method::CREATE_PERMISSION, Some(allocation)) => drop(allocation.permissions.insert(peer.unwrap().ip())),
            (Method::CHANNEL_BIND, Some(allocation)) => {
                let number = request.attribute::<ChannelNumberAttribute>().unwrap().unwrap().0;
                allocation.channels.insert(ChannelRange::Rfc8656.channel(number).unwrap(), peer.unwrap());
            }
            (method, _) => panic!("{method:?} without an allocation"),
        }
        None
    }

    async fn relay(&mut self, client: SocketAddr, peer: SocketAddr, data: &[u8]) {
        let from = &self.allocations[&client];
        let to = self.allocations.iter().find(|(_, allocation)| allocation.relayed == peer);
        let Some((receiver, to)) =
            to.filter(|(_, to)| to.permissions.contains(&from.relayed.ip()) && from.permissions.contains(&peer.ip()))
        else {
            return;
        };
        let channel = to.channels.iter().find(|(_, bound)| **bound == from.relayed).map(|(number, _)| *number);
        let (receiver, bytes) = (*receiver, frame(channel, from.relayed, data));
        self.relayed += 1;
        match self.fault {
            Fault::Loses(of) if self.relayed.is_multiple_of(of) => {}
            Fault::Reorders(of) if self.relayed.is_multiple_of(of) && self.held.is_none() => self.held = Some((receiver, bytes)),
            _ => {
                self.send(receiver, bytes).await;
                // What waits goes behind the next one in its own direction.
                if let Some((waiting, bytes)) = self.held.take_if(|(waiting, _)| *waiting == receiver) {
                    self.send(waiting, bytes).await;
                }
            }
        }
    }
}

/// Data for a client: ChannelData, padded as streams want it, or a Data indication.
fn frame(channel: Option<ChannelNumber>, from: SocketAddr, data: &[u8]) -> Vec<u8> {
    if let Some(channel) = channel {
        let mut bytes = ChannelData::header(channel, data.len() as u16).to_vec();
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len() + ChannelData::stream_padding(data.len()), 0);
        return bytes;
    }
    let mut bytes = vec![0; 2048];
    let mut writer = MessageWriter::new(&mut bytes, Class::Indication, Method::DATA, TransactionId([1; 12])).unwrap();
    writer.put(&XorPeerAddress(from)).unwrap().put(&Data(data)).unwrap();
    let length = writer.finish();
    bytes.truncate(length);
    bytes
}

fn write(request: &Message<'_>, class: Class, key: Option<&IntegrityKey>, fill: impl FnOnce(&mut MessageWriter<'_>)) -> Vec<u8> {
    let mut bytes = vec![0; 1024];
    let mut writer = MessageWriter::answer(&mut bytes, request.header(), class).unwrap();
    fill(&mut writer);
    if let Some(key) = key {
        writer.integrity(key).unwrap();
    }
    let length = writer.finish();
    bytes.truncate(length);
    bytes
}
