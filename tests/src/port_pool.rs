//! A model of the shell's relayed ports.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use causeway_relay::{
    AdvertisedAddress, BindFailure, BoundAddress, Completion, RelayId, WantedPort,
};
use causeway_wire::attribute::AddressFamily;

use crate::addresses::{RELAY, RELAY_BOUND, RELAY_V6};

/// The range of relayed ports.
pub(crate) const PORTS: RangeInclusive<u16> = 49_152..=65_535;

/// How long a reservation is held.
const RESERVED_FOR: Duration = Duration::from_secs(30);

/// A request for a relayed socket.
#[derive(Clone, Debug)]
pub(crate) struct Bind {
    pub(crate) relay: RelayId,
    pub(crate) family: AddressFamily,
    pub(crate) port: WantedPort,
    pub(crate) user: String,
}

/// A model of what a shell does with effects: it binds relayed sockets, or fails to, and takes
/// their ports back.
#[derive(Debug)]
pub struct PortPool {
    /// The failure of each further bind.
    pub failure: Option<BindFailure>,
    /// The failure of each further bind of one family.
    pub failures: BTreeMap<AddressFamily, BindFailure>,
    /// Whether binds wait for [`crate::Lab::complete`].
    pub hold: bool,
    pub(crate) waiting: VecDeque<Bind>,
    /// Reserved ports by token, with the user and the end of the reservation.
    reserved: BTreeMap<[u8; 8], (SocketAddr, String, Duration)>,
    tokens: u64,
    free: [BTreeSet<u16>; 2],
    size: usize,
    bound: BTreeMap<SocketAddr, RelayId>,
}

impl PortPool {
    pub(crate) fn new(ports: u16) -> Self {
        let all: BTreeSet<u16> = PORTS.take(usize::from(ports)).collect();
        let size = 2 * all.len();
        Self {
            failure: None,
            failures: BTreeMap::new(),
            hold: false,
            waiting: VecDeque::new(),
            reserved: BTreeMap::new(),
            tokens: 0,
            free: [all.clone(), all],
            size,
            bound: BTreeMap::new(),
        }
    }

    /// Number of free ports, of both families.
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

    /// The address of a relayed socket as peers see it.
    ///
    /// # Panics
    /// When the relay is not bound: a verdict named a socket that does not exist.
    #[must_use]
    pub fn advertised(&self, relay: RelayId) -> SocketAddr {
        let (bound, _) =
            self.bound.iter().find(|(_, id)| **id == relay).expect("a verdict names a bound relay");
        advertised(*bound)
    }

    /// Number of reserved ports.
    #[must_use]
    pub fn reserved(&self) -> usize {
        self.reserved.len()
    }

    pub(crate) fn bind(&mut self, now: Duration, bind: &Bind) -> Completion {
        let relay = bind.relay;
        if let Some(failure) = self.failure.or(self.failures.get(&bind.family).copied()) {
            return Completion::BindFailed { relay, failure };
        }
        let Some(bound) = self.take(now, bind) else {
            return Completion::BindFailed { relay, failure: BindFailure::Capacity };
        };
        let reservation =
            (bind.port == WantedPort::EvenAndReserve).then(|| self.reserve(now, bound, &bind.user));
        assert!(self.bound.insert(bound, relay).is_none(), "a port is bound once");
        let advertised = AdvertisedAddress(advertised(bound));
        Completion::Bound { relay, bound: BoundAddress(bound), advertised, reservation }
    }

    fn take(&mut self, now: Duration, bind: &Bind) -> Option<SocketAddr> {
        if let WantedPort::Reserved(token) = bind.port {
            self.reserved
                .get(&token)
                .filter(|(_, user, until)| *user == bind.user && now < *until)?;
            return self.reserved.remove(&token).map(|(address, ..)| address);
        }
        let (ip, free) = match bind.family {
            AddressFamily::Ipv4 => (RELAY_BOUND, &mut self.free[0]),
            AddressFamily::Ipv6 => (RELAY_V6, &mut self.free[1]),
        };
        let port = match bind.port {
            WantedPort::Any | WantedPort::Reserved(_) => free.first().copied(),
            WantedPort::Even => free.iter().copied().find(|port| port.is_multiple_of(2)),
            WantedPort::EvenAndReserve => free
                .iter()
                .copied()
                .find(|port| port.is_multiple_of(2) && free.contains(&(port + 1))),
            WantedPort::Exactly(address) => Some(address.port()).filter(|_| address.ip() == ip),
        };
        port.filter(|port| free.remove(port)).map(|port| SocketAddr::new(ip, port))
    }

    fn reserve(&mut self, now: Duration, bound: SocketAddr, user: &str) -> [u8; 8] {
        let next = SocketAddr::new(bound.ip(), bound.port() + 1);
        let free = if bound.is_ipv4() { &mut self.free[0] } else { &mut self.free[1] };
        assert!(free.remove(&next.port()));
        self.tokens += 1;
        let token = self.tokens.to_be_bytes();
        self.reserved.insert(token, (next, user.to_owned(), now + RESERVED_FOR));
        token
    }

    /// Frees the reserved ports that no client has claimed in time.
    pub(crate) fn expire(&mut self, now: Duration) {
        let expired: Vec<_> = self
            .reserved
            .iter()
            .filter(|(_, (.., until))| *until <= now)
            .map(|(token, _)| *token)
            .collect();
        for token in expired {
            if let Some((address, ..)) = self.reserved.remove(&token) {
                self.give_back(address);
            }
        }
    }

    pub(crate) fn release(&mut self, relay: RelayId, bound: SocketAddr) {
        assert_eq!(
            self.bound.remove(&bound),
            Some(relay),
            "a relay releases only the port that it bound, and once"
        );
        self.give_back(bound);
    }

    fn give_back(&mut self, bound: SocketAddr) {
        let free = if bound.is_ipv4() { &mut self.free[0] } else { &mut self.free[1] };
        assert!(free.insert(bound.port()));
    }
}

fn advertised(bound: SocketAddr) -> SocketAddr {
    let ip: IpAddr = if bound.ip() == RELAY_BOUND { RELAY } else { bound.ip() };
    SocketAddr::new(ip, bound.port())
}
