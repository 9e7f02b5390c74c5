//! The sockets of relayed addresses, and the tags by which the event loop names sockets.

use ahash::AHashMap;
use causeway_net::SocketKey;
use causeway_relay::{AllocationId, RelayId};

/// The bit that marks the tag of a listener's socket; slot numbers do not reach it.
const LISTENER: u64 = 1 << 63;

/// The role of a socket, encoded in its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Socket {
    /// A listener, to which clients send.
    Listener,
    /// A relayed address, to which peers send.
    Relay(RelayId),
}

impl Socket {
    /// Encodes slot, generation and index in 63 bits; the worker is that of the event loop.
    pub(crate) fn tag(self) -> u64 {
        match self {
            Self::Listener => LISTENER,
            Self::Relay(relay) => {
                u64::from(relay.allocation.slot) << 32
                    | u64::from(relay.allocation.generation) << 1
                    | u64::from(relay.index)
            }
        }
    }

    pub(crate) fn from_tag(tag: u64, worker: u16) -> Self {
        if tag & LISTENER != 0 {
            return Self::Listener;
        }
        let allocation =
            AllocationId { worker, slot: (tag >> 32) as u32, generation: (tag as u32) >> 1 };
        Self::Relay(RelayId { allocation, index: (tag & 1) as u8 })
    }
}

/// The sockets of the relayed addresses. The first one of an allocation is found without hashing;
/// few allocations have a second one.
#[derive(Default)]
pub(crate) struct RelaySockets {
    first: Vec<Entry>,
    second: AHashMap<AllocationId, SocketKey>,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    generation: u32,
    socket: Option<SocketKey>,
}

impl RelaySockets {
    pub(crate) fn insert(&mut self, relay: RelayId, socket: SocketKey) {
        if relay.index != 0 {
            self.second.insert(relay.allocation, socket);
            return;
        }
        let slot = relay.allocation.slot as usize;
        if self.first.len() <= slot {
            self.first.resize(slot + 1, Entry::default());
        }
        self.first[slot] = Entry { generation: relay.allocation.generation, socket: Some(socket) };
    }

    pub(crate) fn get(&self, relay: RelayId) -> Option<SocketKey> {
        if relay.index != 0 {
            return self.second.get(&relay.allocation).copied();
        }
        self.first
            .get(relay.allocation.slot as usize)
            .filter(|entry| entry.generation == relay.allocation.generation)?
            .socket
    }

    pub(crate) fn remove(&mut self, relay: RelayId) -> Option<SocketKey> {
        if relay.index != 0 {
            return self.second.remove(&relay.allocation);
        }
        let socket = self.get(relay)?;
        self.first[relay.allocation.slot as usize].socket = None;
        Some(socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_its_socket() {
        for (slot, generation, index) in
            [(0, 0, 0), (0, 0, 1), (70_000, 5, 1), (0x7FFF_FFFF, 0x7FFF_FFFF, 0)]
        {
            let relay = Socket::Relay(RelayId {
                allocation: AllocationId { worker: 3, slot, generation },
                index,
            });
            assert_eq!(Socket::from_tag(relay.tag(), 3), relay);
        }
        assert_eq!(Socket::from_tag(Socket::Listener.tag(), 3), Socket::Listener);
    }
    #[test]
    fn each_of_two_sockets_goes_with_its_own_relayed_address() {
        let relay = |generation, index| RelayId {
            allocation: AllocationId { worker: 3, slot: 5, generation },
            index,
        };
        let [one, two] = [7, 8].map(SocketKey::from_bits);
        let mut sockets = RelaySockets::default();
        sockets.insert(relay(1, 0), one);
        sockets.insert(relay(1, 1), two);
        assert_eq!((sockets.get(relay(1, 0)), sockets.get(relay(1, 1))), (Some(one), Some(two)));
        assert_eq!(
            (sockets.get(relay(3, 0)), sockets.remove(relay(3, 1))),
            (None, None),
            "the place's next owner"
        );
        assert_eq!(
            (sockets.remove(relay(1, 1)), sockets.remove(relay(1, 1)), sockets.remove(relay(1, 0))),
            (Some(two), None, Some(one))
        );
        assert_eq!((sockets.get(relay(1, 0)), sockets.second.len()), (None, 0));
    }
}
