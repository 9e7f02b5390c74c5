//! The transports between the clients and the server: one UDP socket for all, or a connection for
//! each.

mod connection;
mod connections;
mod datagrams;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;

use anyhow::Result;

use connections::Connections;
use datagrams::Datagrams;

use crate::load::{Scenario, Subnet, Target, Transport};

pub(crate) use connection::Connected;
/// The peers' sockets: datagrams, as on the clients' UDP socket.
pub(crate) use datagrams::Datagrams as PeerDatagrams;

/// Sends and receives whole messages, by the number of the client.
pub(crate) enum Legs {
    Datagrams(Datagrams),
    Connections(Connections),
}

impl Legs {
    pub(crate) fn open(scenario: &Scenario, target: &Target) -> Result<Self> {
        if scenario.transport == Transport::Udp {
            return Ok(Self::Datagrams(Datagrams::bind(target.clients, scenario)?));
        }
        Connections::open(scenario, target).map(Self::Connections)
    }

    /// The address at which the server sees this client.
    pub(crate) fn address(&self, client: usize) -> SocketAddr {
        match self {
            Self::Datagrams(datagrams) => datagrams.address(client),
            Self::Connections(connections) => connections.address(client),
        }
    }

    /// Queues what `fill` writes, with its length: one message, or with `segment` above 0 several
    /// of that length.
    pub(crate) fn push(
        &mut self,
        client: usize,
        server: SocketAddr,
        segment: u16,
        fill: impl FnOnce(&mut [u8]) -> usize,
    ) -> Result<()> {
        match self {
            Self::Datagrams(datagrams) => datagrams.push(client, server, segment, fill),
            Self::Connections(connections) => connections.push(client, fill),
        }
    }

    /// Sends the queue, as far as possible.
    pub(crate) fn flush(&mut self) -> Result<()> {
        match self {
            Self::Datagrams(datagrams) => datagrams.flush(),
            Self::Connections(connections) => connections.flush(),
        }
    }

    /// Passes all received messages to `each`: the client, the bytes, and whether the server sent
    /// them; returns their number.
    pub(crate) fn receive(
        &mut self,
        server: SocketAddr,
        mut each: impl FnMut(usize, &[u8], bool),
    ) -> Result<usize> {
        match self {
            Self::Datagrams(datagrams) => {
                let count = datagrams.receive()?;
                for index in 0..count {
                    let Some(datagram) = datagrams.datagram(index) else { continue };
                    let Some(client) = datagrams.number(datagram.destination) else { continue };
                    for message in datagram.bytes.chunks(datagram.segment.max(1)) {
                        each(client, message, datagram.source == server);
                    }
                }
                Ok(count)
            }
            Self::Connections(connections) => {
                connections.receive(|client, message| each(client, message, true))
            }
        }
    }

    /// The descriptor that becomes readable when something arrives.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Datagrams(datagrams) => datagrams.fd(),
            Self::Connections(connections) => connections.fd(),
        }
    }

    /// Whether messages may be lost on the way.
    pub(crate) fn is_lossy(&self) -> bool {
        match self {
            Self::Datagrams(_) => true,
            Self::Connections(connections) => connections.is_lossy(),
        }
    }
}

/// The number of an address of the subnet, among the first `count`.
fn number(subnet: Subnet, count: usize, address: IpAddr) -> Option<usize> {
    subnet.number(address).filter(|number| *number < count)
}
