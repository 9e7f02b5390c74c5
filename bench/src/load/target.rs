//! The server that is loaded, and the addresses of the load.

use std::net::SocketAddr;

use crate::load::Subnet;

/// The protocol of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// TURN with long-term credentials. The server names the realm in its challenge.
    Turn {
        /// The user name.
        username: String,
        /// The user's password.
        password: String,
    },
    /// The trivial protocol of the floor forwarders, which have no users.
    ///
    /// The client sends `FLR1`, its peer's IPv4 address and port (10 bytes); the answer is `FLR1`
    /// with the relayed address and port. From then on each datagram between client and server
    /// is a header of 4 bytes (0x4000 and the length) and the data.
    Floor,
}

/// The server's address and the addresses of the load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The server's listener for the scenario's transport.
    pub address: SocketAddr,
    /// Its protocol and credentials.
    pub access: Access,
    /// The addresses of the clients.
    pub clients: Subnet,
    /// The addresses of the peers, not the clients' ones.
    pub peers: Subnet,
}

impl Target {
    /// A server on loopback: clients of 127.1.0.0/16, peers of 127.2.0.0/16.
    #[must_use]
    pub fn new(address: SocketAddr, access: Access) -> Self {
        let loopback =
            |second| Subnet::new([127, second, 0, 0].into(), 16).expect("16 is a length");
        Self { address, access, clients: loopback(1), peers: loopback(2) }
    }
}
