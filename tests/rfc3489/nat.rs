//! The kinds of NAT of RFC 3489 §5, with a real socket for each mapping.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// What stands between the client and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing.
    None,
    /// One mapping; anybody may send to it.
    FullCone,
    /// One mapping; who was sent to may answer, from any port.
    Restricted,
    /// One mapping; from the port that was sent to.
    PortRestricted,
    /// A mapping for each destination, which alone may answer.
    Symmetric,
    /// No mapping; who was sent to may answer, from that port.
    Firewall,
    /// Nothing comes through.
    Blocking,
}

/// A client's way out.
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

    /// The address that the client has, as it sees it.
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

    /// What comes in within the time and is let through.
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
