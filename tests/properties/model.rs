//! A TURN server written from RFC 8656 alone, without a look at `relay` and without regard for
//! speed: plain lists, linear scans, whole seconds.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use crate::request::{Ask, Success, Token, Told, What, Who};

pub(crate) const DEFAULT_LIFETIME: u64 = 600;
pub(crate) const MAX_LIFETIME: u64 = 1200;
pub(crate) const PERMISSIONS: usize = 3;
pub(crate) const CHANNELS: usize = 2;
pub(crate) const QUOTA: usize = 2;
pub(crate) const PER_PREFIX: usize = 3;
pub(crate) const ALLOCATIONS: usize = 4;
pub(crate) const PORTS: usize = 3;
const FIRST_PORT: u16 = 49_152;

#[derive(Clone, Debug)]
pub(crate) struct Allocation {
    user: usize,
    prefix: usize,
    made_by: u64,
    deleted_by: Option<u64>,
    refused_ipv6: Option<bool>,
    has_token: bool,
    token_is_new: bool,
    pub(crate) relays: Vec<Relay>,
    permissions: Vec<(IpAddr, u64)>,
    channels: Vec<(u16, SocketAddr, u64)>,
    /// Channels to denied peers, when the configuration ignores these.
    ignored: Vec<(u16, SocketAddr, u64)>,
}

/// One relayed address of an allocation.
#[derive(Clone, Debug)]
pub(crate) struct Relay {
    pub(crate) ipv6: bool,
    expires: u64,
    /// Known once the server has answered.
    pub(crate) address: Option<SocketAddr>,
}

/// A port that a user has reserved.
#[derive(Clone, Debug)]
struct Reservation {
    token: Token,
    address: SocketAddr,
    user: usize,
    until: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    /// Whether a live channel permits the address and port that it is bound to.
    channels_permit: bool,
    /// Whether a client that asks for a denied peer is answered success.
    ignores_denied: bool,
    now: u64,
    denied: Vec<IpAddr>,
    reservations: Vec<Reservation>,
    pub(crate) allocations: HashMap<usize, Allocation>,
}

impl Model {
    pub(crate) fn new(channels_permit: bool, ignores_denied: bool) -> Self {
        Self { channels_permit, ignores_denied, ..Self::default() }
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now += seconds;
        let now = self.now;
        self.reservations.retain(|reservation| reservation.until > now);
        for allocation in self.allocations.values_mut() {
            allocation.keep(|relay| relay.expires > now);
        }
        self.allocations.retain(|_, allocation| !allocation.relays.is_empty());
    }

    /// Another server takes over. It does not know the answers of the one before, or its
    /// reservations.
    pub(crate) fn take_over(&mut self) {
        self.reservations.clear();
        for allocation in self.allocations.values_mut() {
            (allocation.deleted_by, allocation.refused_ipv6, allocation.has_token) =
                (None, None, false);
            allocation.ignored.clear();
        }
    }

    /// The server has answered with the addresses, and a token for the port after the first.
    pub(crate) fn told(
        &mut self,
        five_tuple: usize,
        addresses: &[SocketAddr],
        token: Option<Token>,
    ) {
        let Some(allocation) = self.allocations.get_mut(&five_tuple) else { return };
        for (relay, address) in allocation.relays.iter_mut().zip(addresses) {
            relay.ipv6 = address.is_ipv6();
            assert_eq!(*relay.address.get_or_insert(*address), *address, "it never changes");
        }
        let known = |token| self.reservations.iter().any(|reservation| reservation.token == token);
        if let Some(token) = token.filter(|token| allocation.token_is_new && !known(*token)) {
            let address = SocketAddr::new(addresses[0].ip(), addresses[0].port() + 1);
            self.reservations.push(Reservation {
                token,
                address,
                user: allocation.user,
                until: self.now + 30,
            });
        }
        allocation.token_is_new = false;
    }

    /// Number of ports in use, by allocations and reservations.
    pub(crate) fn lent(&self) -> usize {
        self.allocations.values().map(|allocation| allocation.relays.len()).sum::<usize>()
            + self.reservations.len()
    }

    fn free(&self, ipv6: bool) -> Vec<u16> {
        let lent = self
            .allocations
            .values()
            .flat_map(|allocation| &allocation.relays)
            .filter_map(|relay| relay.address);
        let lent: Vec<SocketAddr> =
            lent.chain(self.reservations.iter().map(|reservation| reservation.address)).collect();
        let is_free = |port: &u16| {
            !lent.iter().any(|address| address.is_ipv6() == ipv6 && address.port() == *port)
        };
        (FIRST_PORT..FIRST_PORT + PORTS as u16).filter(is_free).collect()
    }

    /// Sets another policy: the peers that are denied from now on.
    pub(crate) fn deny(&mut self, denied: Vec<IpAddr>) {
        for allocation in self.allocations.values_mut() {
            allocation.permissions.retain(|(ip, _)| !denied.contains(ip));
            allocation.channels.retain(|(_, peer, _)| !denied.contains(&peer.ip()));
            allocation.ignored.retain(|(_, peer, _)| peer.port() == 0 || is_denied(&denied, peer));
        }
        self.denied = denied;
    }

    pub(crate) fn gone(&mut self, five_tuple: usize) {
        self.allocations.remove(&five_tuple);
    }

    /// Permissions and channels that have not expired.
    pub(crate) fn live(&self) -> (usize, usize) {
        self.count(|expires| expires > self.now)
    }

    /// Those, and the expired ones that may not have been cleared yet.
    pub(crate) fn remembered(&self) -> (usize, usize) {
        self.count(|expires| expires + 61 > self.now)
    }

    fn count(&self, counts: impl Fn(u64) -> bool) -> (usize, usize) {
        let permissions = self.allocations.values().flat_map(|allocation| &allocation.permissions);
        let channels = self
            .allocations
            .values()
            .flat_map(|allocation| allocation.channels.iter().chain(&allocation.ignored));
        (
            permissions.filter(|(_, expires)| counts(*expires)).count(),
            channels.filter(|(_, _, expires)| counts(*expires)).count(),
        )
    }

    /// A request under transaction id `id`.
    pub(crate) fn ask(&mut self, who: Who, id: u64, ask: &Ask) -> Told {
        if let Ask::Allocate { what, lifetime } = ask {
            return self.allocate(who, id, *what, *lifetime);
        }
        let now = self.now;
        let allocation = self.allocations.get_mut(&who.five_tuple).ok_or(437u16)?;
        if allocation.user != who.user {
            return Err(441);
        }
        match ask {
            Ask::Refresh { .. } if allocation.deleted_by == Some(id) => Ok(lifetime_of(0)),
            Ask::Refresh { ipv6: Some(ipv6), .. } if !allocation.has(*ipv6) => Err(443),
            Ask::Refresh { ipv6: Some(ipv6), lifetime: Some(0) }
                if allocation.relays.len() == 2 =>
            {
                allocation.keep(|relay| relay.ipv6 != *ipv6);
                allocation.deleted_by = Some(id);
                Ok(lifetime_of(0))
            }
            Ask::Refresh { lifetime: Some(0), .. } => {
                self.allocations.remove(&who.five_tuple);
                Ok(lifetime_of(0))
            }
            Ask::Refresh { ipv6, lifetime } => {
                let granted = granted(*lifetime);
                let meant = |relay: &&mut Relay| ipv6.is_none_or(|ipv6| ipv6 == relay.ipv6);
                allocation
                    .relays
                    .iter_mut()
                    .filter(meant)
                    .for_each(|relay| relay.expires = now + granted);
                Ok(lifetime_of(granted))
            }
            Ask::Permit { peers } => {
                if peers.is_empty() {
                    return Err(400);
                }
                if peers.iter().any(|peer| !allocation.is_of_family(peer)) {
                    return Err(443);
                }
                let allowed: Vec<_> =
                    peers.iter().filter(|peer| !is_denied(&self.denied, peer)).collect();
                if allowed.len() < peers.len() && !self.ignores_denied {
                    return Err(403);
                }
                let ips: Vec<IpAddr> = allowed.into_iter().map(SocketAddr::ip).collect();
                allocation.permit(&ips, now).map(|()| Success::default())
            }
            Ask::Bind { number, peer } => {
                let carries = !is_denied(&self.denied, peer) && peer.port() != 0;
                allocation
                    .bind(*number, *peer, now, carries, self.ignores_denied)
                    .map(|()| Success::default())
            }
            Ask::Allocate { .. } => unreachable!(),
        }
    }

    fn allocate(&mut self, who: Who, id: u64, what: What, lifetime: Option<u32>) -> Told {
        if let Some(allocation) = self.allocations.get(&who.five_tuple) {
            let again = allocation.made_by == id && allocation.user == who.user;
            return if again { Ok(allocation.success(self.now)) } else { Err(437) };
        }
        let among =
            |is: &dyn Fn(&&Allocation) -> bool| self.allocations.values().filter(is).count();
        if self.allocations.len() >= ALLOCATIONS {
            return Err(508);
        }
        if among(&|other| other.prefix == who.prefix) >= PER_PREFIX
            || among(&|other| other.user == who.user) >= QUOTA
        {
            return Err(486);
        }
        let (families, refused_ipv6) = self.find(who.user, what)?;
        let expires = self.now + granted(lifetime);
        let has_token = matches!(what, What::Pair { .. });
        let allocation = Allocation {
            user: who.user,
            prefix: who.prefix,
            made_by: id,
            deleted_by: None,
            refused_ipv6,
            has_token,
            token_is_new: has_token,
            relays: families
                .into_iter()
                .map(|ipv6| Relay { ipv6, expires, address: None })
                .collect(),
            permissions: Vec::new(),
            channels: Vec::new(),
            ignored: Vec::new(),
        };
        let success = allocation.success(self.now);
        self.allocations.insert(who.five_tuple, allocation);
        Ok(success)
    }

    /// The families with a free port, and the one of two that has none.
    fn find(&mut self, user: usize, what: What) -> Result<(Vec<bool>, Option<bool>), u16> {
        let found =
            |ipv6: bool, is_there: bool| if is_there { Ok((vec![ipv6], None)) } else { Err(508) };
        match what {
            What::One { ipv6 } => found(ipv6, !self.free(ipv6).is_empty()),
            What::Even { ipv6 } => found(ipv6, self.free(ipv6).iter().any(|port| port % 2 == 0)),
            What::Pair { ipv6 } => {
                let free = self.free(ipv6);
                found(ipv6, free.iter().any(|port| port % 2 == 0 && free.contains(&(port + 1))))
            }
            What::Reserved(token) => {
                let held = self
                    .reservations
                    .iter()
                    .position(|held| held.token == token && held.user == user)
                    .ok_or(508u16)?;
                found(self.reservations.remove(held).address.is_ipv6(), true)
            }
            What::Both => match [false, true].map(|ipv6| !self.free(ipv6).is_empty()) {
                [true, true] => Ok((vec![false, true], None)),
                [false, false] => Err(508),
                [ipv4, _] => Ok((vec![!ipv4], Some(ipv4))),
            },
        }
    }

    /// Whether a Send indication goes through.
    pub(crate) fn sends(&self, five_tuple: usize, peer: SocketAddr) -> bool {
        self.allocations.get(&five_tuple).is_some_and(|allocation| {
            allocation.is_of_family(&peer)
                && self.permits(allocation, peer)
                && !is_denied(&self.denied, &peer)
                && peer.port() != 0
        })
    }

    /// The peer that ChannelData goes to.
    pub(crate) fn channel(&self, five_tuple: usize, number: u16) -> Option<SocketAddr> {
        let allocation = self.allocations.get(&five_tuple)?;
        allocation
            .channels
            .iter()
            .find(|(bound, _, expires)| *bound == number && *expires > self.now)
            .map(|(_, peer, _)| *peer)
    }

    /// Whether the client is told of ICMP about a peer.
    pub(crate) fn notifies(&self, five_tuple: usize, peer: SocketAddr, kind: u8) -> bool {
        let types: &[u8] = if peer.is_ipv4() { &[3, 11] } else { &[1, 2, 3] };
        let allocation = self.allocations.get(&five_tuple);
        types.contains(&kind) && allocation.is_some_and(|allocation| self.permits(allocation, peer))
    }

    /// How data from a peer reach the client: not at all, on a channel, or in a Data indication.
    pub(crate) fn receives(&self, five_tuple: usize, peer: SocketAddr) -> Option<Option<u16>> {
        let allocation = self.allocations.get(&five_tuple)?;
        let channel = allocation
            .channels
            .iter()
            .find(|(_, bound, expires)| *bound == peer && *expires > self.now);
        self.permits(allocation, peer).then_some(channel.map(|(number, _, _)| *number))
    }

    fn permits(&self, allocation: &Allocation, peer: SocketAddr) -> bool {
        let has_channel = allocation
            .channels
            .iter()
            .any(|(_, bound, expires)| *bound == peer && *expires > self.now);
        allocation.permits(peer.ip(), self.now) || self.channels_permit && has_channel
    }
}

fn lifetime_of(seconds: u64) -> Success {
    Success { lifetime: Some(seconds as u32), ..Success::default() }
}

impl Allocation {
    fn has(&self, ipv6: bool) -> bool {
        self.relays.iter().any(|relay| relay.ipv6 == ipv6)
    }

    /// Drops the other relayed addresses, and what peers of their families had.
    fn keep(&mut self, keep: impl Fn(&Relay) -> bool) {
        self.relays.retain(|relay| keep(relay));
        let families: Vec<bool> = self.relays.iter().map(|relay| relay.ipv6).collect();
        self.permissions.retain(|(ip, _)| families.contains(&ip.is_ipv6()));
        self.channels.retain(|(_, peer, _)| families.contains(&peer.is_ipv6()));
        self.ignored.retain(|(_, peer, _)| families.contains(&peer.is_ipv6()));
    }

    fn success(&self, now: u64) -> Success {
        let left = self.relays.iter().map(|relay| relay.expires - now).max();
        Success {
            lifetime: left.map(|left| left as u32),
            refused_ipv6: self.refused_ipv6,
            has_token: self.has_token,
        }
    }

    fn is_of_family(&self, peer: &SocketAddr) -> bool {
        match peer.ip() {
            IpAddr::V4(_) => self.has(false),
            IpAddr::V6(ip) => self.has(true) && ip.to_ipv4_mapped().is_none(),
        }
    }

    fn permits(&self, ip: IpAddr, now: u64) -> bool {
        self.permissions.iter().any(|(permitted, expires)| *permitted == ip && *expires > now)
    }

    fn permit(&mut self, ips: &[IpAddr], now: u64) -> Result<(), u16> {
        let mut after = self.permissions.clone();
        for ip in ips {
            after.retain(|(permitted, _)| permitted != ip);
            after.push((*ip, now + 300));
        }
        if after.iter().filter(|(_, expires)| *expires > now).count() > PERMISSIONS {
            return Err(508);
        }
        self.permissions = after;
        Ok(())
    }

    fn bind(
        &mut self,
        number: u16,
        peer: SocketAddr,
        now: u64,
        carries: bool,
        ignores: bool,
    ) -> Result<(), u16> {
        if !(0x4000..=0x4FFF).contains(&number) {
            return Err(400);
        }
        let all =
            || self.channels.iter().chain(&self.ignored).filter(|(_, _, expires)| *expires > now);
        if all().any(|(bound, to, _)| (*bound == number) != (*to == peer)) {
            return Err(400);
        }
        if !self.is_of_family(&peer) {
            return Err(443);
        }
        if !carries && !ignores {
            return Err(403);
        }
        if all().filter(|(bound, to, _)| *bound != number && *to != peer).count() >= CHANNELS {
            return Err(508);
        }
        if carries {
            self.permit(&[peer.ip()], now)?;
        }
        let channels = if carries { &mut self.channels } else { &mut self.ignored };
        channels.retain(|(bound, to, _)| *bound != number && *to != peer);
        channels.push((number, peer, now + 600));
        Ok(())
    }
}

fn granted(asked: Option<u32>) -> u64 {
    match asked {
        Some(asked) if u64::from(asked) > DEFAULT_LIFETIME => u64::from(asked).min(MAX_LIFETIME),
        _ => DEFAULT_LIFETIME,
    }
}

/// Whether the operator's list or the default denies the peer, for the peers of the test.
fn is_denied(denied: &[IpAddr], peer: &SocketAddr) -> bool {
    let by_default = match peer.ip() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback(),
    };
    by_default || denied.contains(&peer.ip())
}
