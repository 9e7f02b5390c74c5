//! The messages between a call and the task of a relay.

use std::net::{IpAddr, SocketAddr};

use causeway_client::Allocated;
use causeway_wire::Transport;

use crate::connect::gathering::Problem;

/// A command of the call to a relay.
#[derive(Debug)]
pub(in crate::connect) enum RelayCommand {
    /// Install a permission for this peer.
    Permit(IpAddr),
    /// Bind a channel to this peer.
    Bind(SocketAddr),
    /// Send data to this peer.
    Send(SocketAddr, Vec<u8>),
}

/// An event of a relay.
#[derive(Debug)]
pub(in crate::connect) enum RelayEvent {
    /// The server made an allocation.
    Allocated {
        /// The relay's index.
        relay: usize,
        allocated: Allocated,
        /// The transport to the server.
        transport: Transport,
    },
    /// The server offers no candidate, or none any longer.
    Ended {
        /// The relay's index.
        relay: usize,
    },
    /// Something failed; the rest continues.
    Problem(Problem),
    /// A datagram of a peer.
    Datagram {
        /// The relayed address that the peer sent to.
        relayed: SocketAddr,
        peer: SocketAddr,
        data: Vec<u8>,
    },
}
