//! A STUN server with two addresses and two ports on loopback that answers clients as if they were
//! behind a NAT: mapped addresses are made up, and answers that the NAT would filter are not sent.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use causeway_wire::attribute::{
    ChangeRequest, ChangedAddress, ErrorCodeAttribute, MappedAddress, OtherAddress, ResponseOrigin,
    SourceAddress, XorMappedAddress,
};
use causeway_wire::{Class, ErrorCode, Message, MessageWriter};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

/// The part of the remote endpoint that a behaviour depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depends {
    Nothing,
    Address,
    AddressAndPort,
}

impl Depends {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "endpoint-independent",
            Self::Address => "address-dependent",
            Self::AddressAndPort => "address-and-port-dependent",
        }
    }
}

/// The NAT in front of the clients; without a mapping it is a firewall.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nat {
    pub(crate) mapping: Option<Depends>,
    pub(crate) filtering: Depends,
}

/// A fault of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quirk {
    None,
    /// It has one address only, and sends no OTHER-ADDRESS.
    NoOtherAddress,
    /// It is a server of RFC 3489.
    Rfc3489,
    /// It names another address that does not answer.
    OtherAddressDead,
    /// It answers CHANGE-REQUEST from the address that was asked.
    ChangeRequestIgnored,
    /// It answers CHANGE-REQUEST with 420.
    ChangeRequestRefused,
    /// It answers over TCP only.
    TcpOnly,
    /// It answers over no transport.
    Silent,
}

/// The running server; it ends when dropped.
pub(crate) struct NatServer {
    addresses: [SocketAddr; 4],
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Traces {
    /// The server's addresses that each client has sent to.
    sent: HashMap<SocketAddr, HashSet<SocketAddr>>,
    mappings: HashMap<(SocketAddr, String), u16>,
}

impl NatServer {
    pub(crate) async fn start(nat: Nat, quirk: Quirk) -> Self {
        let (sockets, addresses, listeners) = four_sockets().await;
        let mut tasks = JoinSet::new();
        let sockets = Arc::new(sockets);
        let traces = Arc::new(Mutex::new(Traces::default()));
        let endpoint = |at| Endpoint {
            at,
            addresses,
            nat,
            quirk,
            sockets: sockets.clone(),
            traces: traces.clone(),
        };
        for at in 0..4 {
            let silent = quirk == Quirk::Silent
                || quirk == Quirk::TcpOnly
                || (quirk == Quirk::OtherAddressDead && at == 3);
            if !silent {
                tasks.spawn(endpoint(at).serve());
            }
        }
        for (at, listener) in listeners.into_iter().enumerate() {
            if matches!(quirk, Quirk::TcpOnly | Quirk::None | Quirk::NoOtherAddress) {
                tasks.spawn(endpoint(at).serve_tcp(listener));
            }
        }
        // The silent sockets stay open, so that no ICMP error reveals them.
        tasks.spawn(async move {
            let _sockets = sockets;
            std::future::pending::<()>().await;
        });
        Self { addresses, _tasks: tasks }
    }

    pub(crate) fn primary(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// The primary address with the primary and the other port, then the other address with both.
    pub(crate) fn addresses(&self) -> [SocketAddr; 4] {
        self.addresses
    }

    pub(crate) fn other(&self) -> SocketAddr {
        self.addresses[3]
    }
}

/// Sockets for the primary address with the primary and the other port, and for the other address
/// with both; each over UDP and TCP.
async fn four_sockets() -> (Vec<UdpSocket>, [SocketAddr; 4], Vec<TcpListener>) {
    for _ in 0..50 {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let first = tcp.local_addr().unwrap().port();
        let Ok(primary) = UdpSocket::bind(("127.0.0.1", first)).await else { continue };
        let second_port = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let second = second_port.local_addr().unwrap().port();
        let others = (
            UdpSocket::bind(("127.0.0.2", first)).await,
            UdpSocket::bind(("127.0.0.2", second)).await,
        );
        if let (Ok(third), Ok(fourth)) = others {
            let sockets = vec![primary, second_port, third, fourth];
            let addresses = [0, 1, 2, 3].map(|at: usize| sockets[at].local_addr().unwrap());
            let mut listeners = vec![tcp];
            for address in &addresses[1..] {
                listeners.extend(TcpListener::bind(address).await);
            }
            if listeners.len() == addresses.len() {
                return (sockets, addresses, listeners);
            }
        }
    }
    panic!("no four free ports on loopback");
}

struct Endpoint {
    at: usize,
    addresses: [SocketAddr; 4],
    nat: Nat,
    quirk: Quirk,
    sockets: Arc<Vec<UdpSocket>>,
    traces: Arc<Mutex<Traces>>,
}

impl Endpoint {
    async fn serve(self) {
        let mut buffer = [0; 2048];
        loop {
            let (length, client) = self.sockets[self.at].recv_from(&mut buffer).await.unwrap();
            let message = Message::decode(&buffer[..length]).unwrap();
            let change = message.attribute::<ChangeRequest>().unwrap();
            let refused = change.is_some() && self.quirk == Quirk::ChangeRequestRefused;
            let from = self.origin(change.unwrap_or_default());
            if !self.passes(client, from) || (self.quirk == Quirk::OtherAddressDead && from == 3) {
                continue;
            }
            let mut answer = [0; 256];
            let class = if refused { Class::ErrorResponse } else { Class::SuccessResponse };
            let mut writer = MessageWriter::answer(&mut answer, message.header(), class).unwrap();
            if refused {
                writer.put(&ErrorCodeAttribute::new(ErrorCode::UNKNOWN_ATTRIBUTE)).unwrap();
            } else if self.quirk == Quirk::Rfc3489 {
                writer
                    .put(&MappedAddress(self.mapped(client)))
                    .unwrap()
                    .put(&SourceAddress(self.addresses[from]))
                    .unwrap();
                writer.put(&ChangedAddress(self.addresses[3 - self.at])).unwrap();
            } else {
                writer
                    .put(&XorMappedAddress(self.mapped(client)))
                    .unwrap()
                    .put(&ResponseOrigin(self.addresses[from]))
                    .unwrap();
                if self.quirk != Quirk::NoOtherAddress {
                    writer.put(&OtherAddress(self.addresses[3 - self.at])).unwrap();
                }
            }
            let length = writer.finish();
            self.sockets[from].send_to(&answer[..length], client).await.unwrap();
        }
    }

    async fn serve_tcp(self, listener: TcpListener) {
        let mut open = Vec::new();
        loop {
            let (mut stream, client) = listener.accept().await.unwrap();
            let mut buffer = [0; 2048];
            let length = stream.read(&mut buffer).await.unwrap();
            let Ok(message) = Message::decode(&buffer[..length]) else { continue };
            let mut answer = [0; 256];
            let mut writer =
                MessageWriter::answer(&mut answer, message.header(), Class::SuccessResponse)
                    .unwrap();
            writer.put(&XorMappedAddress(self.mapped(client))).unwrap();
            if self.quirk == Quirk::None {
                writer.put(&OtherAddress(self.addresses[3 - self.at])).unwrap();
            }
            let length = writer.finish();
            stream.write_all(&answer[..length]).await.unwrap();
            open.push(stream);
        }
    }

    /// The index of the address that answers (RFC 5780 §6.1, table 1).
    fn origin(&self, change: ChangeRequest) -> usize {
        match self.quirk {
            Quirk::ChangeRequestIgnored | Quirk::ChangeRequestRefused => self.at,
            _ => self.at ^ (usize::from(change.change_ip) << 1) ^ usize::from(change.change_port),
        }
    }

    /// Records that the client has sent here, and returns whether its NAT accepts an answer from
    /// `from`.
    fn passes(&self, client: SocketAddr, from: usize) -> bool {
        let from = self.addresses[from];
        let mut traces = self.traces.lock().unwrap();
        let sent = traces.sent.entry(client).or_default();
        sent.insert(self.addresses[self.at]);
        match self.nat.filtering {
            Depends::Nothing => true,
            Depends::Address => sent.iter().any(|to| to.ip() == from.ip()),
            Depends::AddressAndPort => sent.contains(&from),
        }
    }

    /// The client as this endpoint sees it through the NAT.
    fn mapped(&self, client: SocketAddr) -> SocketAddr {
        let Some(mapping) = self.nat.mapping else { return client };
        let here = self.addresses[self.at];
        let key = match mapping {
            Depends::Nothing => String::new(),
            Depends::Address => here.ip().to_string(),
            Depends::AddressAndPort => here.to_string(),
        };
        let mut traces = self.traces.lock().unwrap();
        // Below every ephemeral port, so that no port is preserved.
        let next = 1000 + traces.mappings.len() as u16;
        let port = *traces.mappings.entry((client, key)).or_insert(next);
        SocketAddr::new("203.0.113.5".parse().unwrap(), port)
    }
}

/// Answers each client with its source address.
pub(crate) async fn serve_plainly(socket: UdpSocket) {
    let mut buffer = [0; 2048];
    loop {
        let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
        let message = Message::decode(&buffer[..length]).unwrap();
        let mut answer = [0; 256];
        let mut writer =
            MessageWriter::answer(&mut answer, message.header(), Class::SuccessResponse).unwrap();
        writer.put(&XorMappedAddress(client)).unwrap();
        let length = writer.finish();
        socket.send_to(&answer[..length], client).await.unwrap();
    }
}
