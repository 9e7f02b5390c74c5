//! Which allocation has which relayed port, for datagrams between two clients of this process.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use causeway_relay::{AllocationId, BoundAddress, PeerAddress, RelayId, carried_ipv4};

use crate::config::RelayAddress;

/// Number of ports whose entries are allocated together when the first of them is used: 4 KiB.
const PAGE: usize = 512;

/// The relayed addresses of this process that are in use, and their allocations. The workers that
/// own them write it; all workers read it for each datagram to a peer. A late reader finds an
/// allocation that has ended, which the owner detects by the generation.
pub(crate) struct Holders {
    addresses: Vec<Ports>,
}

/// The relation of a peer's address to this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Not an address of this process: send through the kernel.
    Elsewhere,
    /// The advertised form of a relayed address in use.
    Relayed(RelayId),
    /// A port of this relay address that is not in use (H8).
    Unheld(IpAddr),
}

/// The ports of one relay address.
struct Ports {
    address: RelayAddress,
    /// Whether the advertised address stands for this address alone.
    is_unique: bool,
    first: u16,
    count: usize,
    pages: Box<[OnceLock<Box<[AtomicU64]>>]>,
}

impl Holders {
    pub(crate) fn new(addresses: &[RelayAddress], ports: &RangeInclusive<u16>) -> Self {
        let seen_as = |outer: IpAddr| {
            addresses
                .iter()
                .filter(|address| address.advertised == outer || address.bound == outer)
                .count()
        };
        let ports = |address: &RelayAddress| Ports {
            address: *address,
            is_unique: seen_as(address.advertised) == 1,
            first: *ports.start(),
            count: ports.len(),
            pages: (0..ports.len().div_ceil(PAGE)).map(|_| OnceLock::new()).collect(),
        };
        Self { addresses: addresses.iter().map(ports).collect() }
    }

    /// Classifies `peer`. An address behind a 1:1 NAT is matched by its advertised form. A datagram
    /// to the bound one goes through the kernel, and only to a port in use.
    #[inline]
    pub(crate) fn find(&self, peer: PeerAddress) -> Peer {
        for ports in &self.addresses {
            if ports.address.advertised == peer.ip() && ports.is_unique {
                return match (ports.place(peer.port()), ports.holder(peer.port())) {
                    (_, Some(holder)) => Peer::Relayed(holder),
                    (Some(_), None) => Peer::Unheld(peer.ip()),
                    (None, None) => Peer::Elsewhere, // the policy knows such ports
                };
            }
        }
        match self.through_kernel(peer) {
            Peer::Elsewhere => carried_ipv4(peer.ip()).map_or(Peer::Elsewhere, |inner| {
                self.through_kernel(PeerAddress(SocketAddr::new(inner, peer.port())))
            }),
            peer => peer,
        }
    }

    /// Classifies an address of ours that is not written in its advertised form: the bound one, or
    /// one through NAT64 (H1).
    fn through_kernel(&self, peer: PeerAddress) -> Peer {
        let is_ours = |ports: &&Ports| {
            ports.address.bound == peer.ip() || ports.address.advertised == peer.ip()
        };
        let mut ours = self
            .addresses
            .iter()
            .filter(is_ours)
            .filter(|ports| ports.place(peer.port()).is_some())
            .peekable();
        if ours.peek().is_none() || ours.any(|ports| ports.holder(peer.port()).is_some()) {
            return Peer::Elsewhere;
        }
        Peer::Unheld(peer.ip())
    }

    /// The socket of this relayed address is bound.
    pub(crate) fn hold(&self, bound: BoundAddress, relay: RelayId) {
        self.set(bound, pack(relay));
    }

    /// The socket of this relayed address is about to be closed.
    pub(crate) fn release(&self, bound: BoundAddress) {
        self.set(bound, 0);
    }

    fn set(&self, bound: BoundAddress, value: u64) {
        let ports = self.addresses.iter().find(|ports| ports.address.bound == bound.ip());
        if let Some((ports, place)) =
            ports.and_then(|ports| Some((ports, ports.place(bound.port())?)))
        {
            let page = ports.pages[place / PAGE]
                .get_or_init(|| (0..PAGE).map(|_| AtomicU64::new(0)).collect());
            page[place % PAGE].store(value, Ordering::Release);
        }
    }
}

impl Ports {
    fn holder(&self, port: u16) -> Option<RelayId> {
        let place = self.place(port)?;
        let page = self.pages[place / PAGE].get()?;
        unpack(page[place % PAGE].load(Ordering::Acquire))
    }

    fn place(&self, port: u16) -> Option<usize> {
        let place = usize::from(port.checked_sub(self.first)?);
        (place < self.count).then_some(place)
    }
}

const HELD: u64 = 1 << 63;
const WORKER_BITS: u32 = 8;
const SLOT_BITS: u32 = 24;
const GENERATION_BITS: u32 = 30;
const _: () = assert!(
    1 + WORKER_BITS + SLOT_BITS + GENERATION_BITS + 1 == u64::BITS
        && AllocationId::GENERATIONS == 1 << GENERATION_BITS
);

/// Packs an id into one word, so that no reader sees parts of two ids. There are at most 256
/// workers (`net.workers`) and 65,536 allocations a worker.
fn pack(relay: RelayId) -> u64 {
    let RelayId { allocation: AllocationId { worker, slot, generation }, index } = relay;
    debug_assert!(
        u32::from(worker) < 1 << WORKER_BITS
            && slot < 1 << SLOT_BITS
            && generation < 1 << GENERATION_BITS
            && index < 2
    );
    let mut word = u64::from(worker);
    word = word << SLOT_BITS | u64::from(slot);
    word = word << GENERATION_BITS | u64::from(generation);
    HELD | word << 1 | u64::from(index)
}

fn unpack(word: u64) -> Option<RelayId> {
    let part = |shift: u32, bits: u32| (word >> shift & ((1 << bits) - 1)) as u32;
    let allocation = AllocationId {
        worker: part(1 + GENERATION_BITS + SLOT_BITS, WORKER_BITS) as u16,
        slot: part(1 + GENERATION_BITS, SLOT_BITS),
        generation: part(1, GENERATION_BITS),
    };
    (word & HELD != 0).then_some(RelayId { allocation, index: part(0, 1) as u8 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(worker: u16, slot: u32, generation: u32, index: u8) -> RelayId {
        RelayId { allocation: AllocationId { worker, slot, generation }, index }
    }

    fn relayed(addresses: &[(&str, &str)]) -> Holders {
        let address = |(bound, advertised): &(&str, &str)| RelayAddress {
            bound: bound.parse().unwrap(),
            advertised: advertised.parse().unwrap(),
        };
        Holders::new(&addresses.iter().map(address).collect::<Vec<_>>(), &(50_000..=52_000))
    }

    fn find(relayed: &Holders, peer: &str) -> Peer {
        relayed.find(PeerAddress(peer.parse().unwrap()))
    }

    fn unheld(ours: &str) -> Peer {
        Peer::Unheld(ours.parse().unwrap())
    }

    #[test]
    fn a_holder_fits_into_its_word() {
        for holder in [
            relay(0, 0, 0, 0),
            relay(255, (1 << 24) - 1, AllocationId::GENERATIONS - 1, 1),
            relay(3, 70_000, 5, 1),
        ] {
            assert_eq!(unpack(pack(holder)), Some(holder));
        }
        assert_eq!(unpack(0), None);
    }

    #[test]
    fn h8_a_port_is_somebodys_while_it_is_held() {
        let relayed = relayed(&[("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::1")]);
        let holder = relay(1, 7, 2, 1);
        for (address, other) in [
            ("192.0.2.1:50000", "192.0.2.1:50001"),
            ("192.0.2.1:52000", "192.0.2.1:51999"),
            ("[2001:db8::1]:50511", "[2001:db8::1]:50512"),
        ] {
            let bound = BoundAddress(address.parse().unwrap());
            let peer = PeerAddress(bound.0);
            let unheld = Peer::Unheld(peer.ip());
            assert_eq!(relayed.find(peer), unheld);
            relayed.hold(bound, holder);
            assert_eq!(
                (relayed.find(peer), find(&relayed, other)),
                (Peer::Relayed(holder), unheld)
            );
            relayed.release(bound);
            assert_eq!(relayed.find(peer), unheld);
        }
        for elsewhere in
            ["192.0.2.2:50000", "192.0.2.1:49999", "192.0.2.1:52001", "[2001:db8::2]:50000"]
        {
            assert_eq!(find(&relayed, elsewhere), Peer::Elsewhere);
        }
    }

    #[test]
    fn h8_behind_a_nat_the_outer_address_is_compared_and_the_inner_one_goes_through_the_kernel() {
        let relayed = relayed(&[("10.0.0.7", "192.0.2.1")]);
        let holder = relay(0, 1, 0, 0);
        relayed.hold(BoundAddress("10.0.0.7:50000".parse().unwrap()), holder);
        assert_eq!(find(&relayed, "192.0.2.1:50000"), Peer::Relayed(holder));
        assert_eq!(find(&relayed, "10.0.0.7:50000"), Peer::Elsewhere);
        assert_eq!(
            (find(&relayed, "192.0.2.1:50001"), find(&relayed, "10.0.0.7:50001")),
            (unheld("192.0.2.1"), unheld("10.0.0.7"))
        );
    }

    #[test]
    fn h8_two_relay_addresses_that_look_alike_from_outside_are_told_apart_by_the_nat() {
        let relayed = relayed(&[("10.0.0.7", "192.0.2.1"), ("10.0.0.8", "192.0.2.1")]);
        relayed.hold(BoundAddress("10.0.0.8:50000".parse().unwrap()), relay(0, 1, 0, 0));
        assert_eq!(
            (find(&relayed, "192.0.2.1:50000"), find(&relayed, "192.0.2.1:50001")),
            (Peer::Elsewhere, unheld("192.0.2.1"))
        );
    }

    #[test]
    fn h8_nothing_is_reached_through_nat64_that_is_not_held() {
        let relayed = relayed(&[("192.0.2.1", "192.0.2.1")]);
        relayed.hold(BoundAddress("192.0.2.1:50000".parse().unwrap()), relay(0, 1, 0, 0));
        assert_eq!(find(&relayed, "[64:ff9b::192.0.2.1]:50000"), Peer::Elsewhere);
        assert_eq!(find(&relayed, "[64:ff9b::192.0.2.1]:50001"), unheld("192.0.2.1"));
        assert_eq!(find(&relayed, "[64:ff9b::192.0.2.2]:50001"), Peer::Elsewhere);
    }
}
