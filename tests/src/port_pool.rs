use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use causeway_relay::{BindFailure, Completion, RelayId, WantedPort};
use causeway_wire::attribute::AddressFamily;

use crate::addresses::{RELAY, RELAY_BOUND, RELAY_V6};

/// The ports that relayed addresses can have.
pub(crate) const PORTS: RangeInclusive<u16> = 49_152..=65_535;

/// A model of what a shell does with effects: it binds relayed sockets, or fails to, and takes their ports back.
#[derive(Debug)]
pub struct PortPool {
    /// What each further bind fails with.
    pub failure: Option<BindFailure>,
    /// While set, binds wait for [`crate::Lab::complete`].
    pub hold: bool,
    pub(crate) waiting: VecDeque<(RelayId, AddressFamily, WantedPort)>,
    free: [BTreeSet<u16>; 2],
    size: usize,
    bound: BTreeMap<SocketAddr, RelayId>,
}

impl PortPool {
    pub(crate) fn new(ports: u16) -> Self {
        let all: BTreeSet<u16> = PORTS.take(usize::from(ports)).collect();
        let size = 2 * all.len();
        Self { failure: None, hold: false, waiting: VecDeque::new(), free: [all.clone(), all], size, bound: BTreeMap::new() }
    }

    /// Ports that are free, of both families.
    #[must_use]
    pub fn free(&self) -> usize {
        self.free.iter().map(BTreeSet::len).sum()
    }

    /// Whether no port is in use.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.free() == self.size && self.bound.is_empty()
    }

    /// The allocation behind an advertised address.
    #[must_use]
    pub fn relay(&self, advertised: SocketAddr) -> Option<RelayId> {
        let ip = if advertised.ip() == RELAY { RELAY_BOUND } else { advertised.ip() };
        self.bound.get(&SocketAddr::new(ip, advertised.port())).copied()
    }

    /// What peers see of a relayed socket.
    ///
    /// # Panics
    /// When the relay is not bound: a verdict named a socket that does not exist.
    #[must_use]
    pub fn advertised(&self, relay: RelayId) -> SocketAddr {
        let (bound, _) = self.bound.iter().find(|(_, id)| **id == relay).expect("a verdict names a bound relay");
        advertised(*bound)
    }

    pub(crate) fn bind(&mut self, relay: RelayId, family: AddressFamily, port: WantedPort) -> Completion {
        if let Some(failure) = self.failure {
            return Completion::BindFailed { relay, failure };
        }
        let (ip, free) = match family {
            AddressFamily::Ipv4 => (RELAY_BOUND, &mut self.free[0]),
            AddressFamily::Ipv6 => (RELAY_V6, &mut self.free[1]),
        };
        let taken = match port {
            WantedPort::Any => free.pop_first(),
            WantedPort::Even => free.iter().copied().find(|port| port.is_multiple_of(2)).inspect(|port| _ = free.remove(port)),
            WantedPort::Exactly(address) => Some(address.port()).filter(|port| address.ip() == ip && free.remove(port)),
        };
        let Some(port) = taken else { return Completion::BindFailed { relay, failure: BindFailure::Capacity } };
        let bound = SocketAddr::new(ip, port);
        assert!(self.bound.insert(bound, relay).is_none(), "a port is bound once");
        Completion::Bound { relay, bound, advertised: advertised(bound) }
    }

    pub(crate) fn release(&mut self, relay: RelayId, bound: SocketAddr) {
        assert_eq!(self.bound.remove(&bound), Some(relay), "what is released was bound by the same relay, and once");
        let free = if bound.is_ipv4() { &mut self.free[0] } else { &mut self.free[1] };
        assert!(free.insert(bound.port()));
    }
}

fn advertised(bound: SocketAddr) -> SocketAddr {
    let ip: IpAddr = if bound.ip() == RELAY_BOUND { RELAY } else { bound.ip() };
    SocketAddr::new(ip, bound.port())
}
