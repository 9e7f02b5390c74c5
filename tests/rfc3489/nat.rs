//! The kinds of NAT of RFC 3489 §5, with a real socket for each mapping.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// The device between the client and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No device: the client has a public address.
    None,
    /// One mapping; any address may send to it.
    FullCone,
    /// One mapping; an address that was sent to may answer, from any port.
    Restricted,
    /// One mapping; an address that was sent to may answer, from the same port.
    PortRestricted,
    /// A mapping for each destination, and only that destination may answer.
    Symmetric,
    /// No mapping; an address that was sent to may answer, from the same port.
    Firewall,
    /// All packets are dropped.
    Blocking,
}

/// A client's sockets behind the device.
pub(crate) struct Nat {
    kind: Kind,
    mappings: Vec<Mapping>,
}

struct Mapping {
    socket: UdpSocket,
    sent_to: Vec<SocketAddr>,
}

impl Nat {
    pub(crate) fn new(kind: Kind) -> Self {
        let mut nat = Self { kind, mappings: Vec::new() };
        nat.open();
        nat
    }

    fn open(&mut self) -> usize {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
        self.mappings.push(Mapping { socket, sent_to: Vec::new() });
        self.mappings.len() - 1
    }

    /// The client's address, as it sees it.
    pub(crate) fn inside(&self) -> SocketAddr {
        match self.kind {
            Kind::None | Kind::Firewall => self.mappings[0].socket.local_addr().unwrap(),
            _ => SocketAddr::from(([10, 0, 0, 2], 5_000)),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8], to: SocketAddr) {
        let index = match self.kind {
            Kind::Blocking => return,
            Kind::Symmetric => {
                let unused =
                    |mapping: &Mapping| mapping.sent_to.is_empty() || mapping.sent_to == [to];
                self.mappings.iter().position(unused).unwrap_or_else(|| self.open())
            }
            _ => 0,
        };
        let mapping = &mut self.mappings[index];
        if !mapping.sent_to.contains(&to) {
            mapping.sent_to.push(to);
        }
        mapping.socket.send_to(bytes, to).unwrap();
    }

    /// The next packet that arrives in time and may pass.
    pub(crate) fn receive(&mut self, limit: Duration) -> Option<(Vec<u8>, SocketAddr)> {
        let deadline = Instant::now() + limit;
        let mut buffer = [0; 2_048];
        while Instant::now() < deadline {
            for mapping in &self.mappings {
                let Ok((len, from)) = mapping.socket.recv_from(&mut buffer) else { continue };
                let comes_through = match self.kind {
                    Kind::None | Kind::FullCone => true,
                    Kind::Restricted => mapping.sent_to.iter().any(|to| to.ip() == from.ip()),
                    Kind::PortRestricted | Kind::Symmetric | Kind::Firewall => {
                        mapping.sent_to.contains(&from)
                    }
                    Kind::Blocking => false,
                };
                if comes_through {
                    return Some((buffer[..len].to_vec(), from));
                }
            }
        }
        None
    }
}
