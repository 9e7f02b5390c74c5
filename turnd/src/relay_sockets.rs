use std::net::SocketAddr;

use causeway_net::SocketKey;
use causeway_relay::{AllocationId, RelayId};

/// Marks the tag of a listener's socket; no slot number is so high.
const LISTENER: u64 = 1 << 63;

/// What a socket of the loop is, as it stands in its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Socket {
    /// Clients send to it.
    Listener,
    /// Peers send to it.
    Relay(RelayId),
}

impl Socket {
    /// Slot, generation and index in 63 bits; the worker is the loop's own.
    pub(crate) fn tag(self) -> u64 {
        match self {
            Self::Listener => LISTENER,
            Self::Relay(relay) => {
                u64::from(relay.allocation.slot) << 32 | u64::from(relay.allocation.generation & 0x7FFF_FFFF) << 1 | u64::from(relay.index)
            }
        }
    }

    pub(crate) fn from_tag(tag: u64, worker: u16) -> Self {
        if tag & LISTENER != 0 {
            return Self::Listener;
        }
        let allocation = AllocationId { worker, slot: (tag >> 32) as u32, generation: (tag as u32) >> 1 };
        Self::Relay(RelayId { allocation, index: (tag & 1) as u8 })
    }
}

/// The sockets of the relayed addresses, found by allocation without hashing.
#[derive(Default)]
pub(crate) struct RelaySockets {
    slots: Vec<[Option<Entry>; 2]>,
}

#[derive(Clone, Copy)]
struct Entry {
    generation: u32,
    socket: SocketKey,
}

impl RelaySockets {
    pub(crate) fn insert(&mut self, relay: RelayId, socket: SocketKey) {
        let slot = relay.allocation.slot as usize;
        if self.slots.len() <= slot {
            self.slots.resize(slot + 1, [None; 2]);
        }
        self.slots[slot][usize::from(relay.index & 1)] = Some(Entry { generation: relay.allocation.generation, socket });
    }

    pub(crate) fn get(&self, relay: RelayId) -> Option<SocketKey> {
        let entry = self.slots.get(relay.allocation.slot as usize)?[usize::from(relay.index & 1)]?;
        (entry.generation == relay.allocation.generation).then_some(entry.socket)
    }

    pub(crate) fn remove(&mut self, relay: RelayId) -> Option<SocketKey> {
        let socket = self.get(relay)?;
        self.slots[relay.allocation.slot as usize][usize::from(relay.index & 1)] = None;
        Some(socket)
    }
}

/// The listener's socket that answers for a server address.
pub(crate) struct ListenerSocket {
    pub(crate) local: SocketAddr,
    pub(crate) key: SocketKey,
}

impl ListenerSocket {
    /// Whether datagrams to `server` arrive here: its own address, or any of its family for a wildcard.
    pub(crate) fn answers_for(&self, server: &SocketAddr) -> bool {
        self.local == *server
            || self.local.port() == server.port() && self.local.is_ipv4() == server.is_ipv4() && self.local.ip().is_unspecified()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_its_socket() {
        for (slot, generation, index) in [(0, 0, 0), (0, 0, 1), (70_000, 5, 1), (0x7FFF_FFFF, 0x7FFF_FFFF, 0)] {
            let relay = Socket::Relay(RelayId { allocation: AllocationId { worker: 3, slot, generation }, index });
            assert_eq!(Socket::from_tag(relay.tag(), 3), relay);
        }
        assert_eq!(Socket::from_tag(Socket::Listener.tag(), 3), Socket::Listener);
    }
}
