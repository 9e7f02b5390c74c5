//! A TURN server as RFC 8656 reads to somebody in no hurry: plain lists, linear scans, whole seconds. Written without a look at `relay`.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

pub(crate) const DEFAULT_LIFETIME: u64 = 600;
pub(crate) const MAX_LIFETIME: u64 = 1200;
pub(crate) const PERMISSIONS: usize = 3;
pub(crate) const CHANNELS: usize = 2;
pub(crate) const QUOTA: usize = 2;
pub(crate) const PER_PREFIX: usize = 3;
pub(crate) const ALLOCATIONS: usize = 4;
pub(crate) const PORTS: usize = 3;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Who {
    /// Which 5-tuple.
    pub(crate) five_tuple: usize,
    /// The source prefix.
    pub(crate) prefix: usize,
    /// Which user.
    pub(crate) user: usize,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Allocate { ipv6: bool, lifetime: Option<u32> },
    Refresh { lifetime: Option<u32> },
    Permit { peers: Vec<SocketAddr> },
    Bind { number: u16, peer: SocketAddr },
}

/// What is answered: a success with its LIFETIME, if it has one, or an error.
pub(crate) type Told = Result<Option<u32>, u16>;

#[derive(Clone, Debug)]
pub(crate) struct Allocation {
    user: usize,
    prefix: usize,
    ipv6: bool,
    made_by: u64,
    expires: u64,
    /// The relayed address, once the server has told it.
    pub(crate) relayed: Option<SocketAddr>,
    permissions: Vec<(IpAddr, u64)>,
    channels: Vec<(u16, SocketAddr, u64)>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    now: u64,
    denied: Vec<IpAddr>,
    pub(crate) allocations: HashMap<usize, Allocation>,
}

impl Model {
    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now += seconds;
        let now = self.now;
        self.allocations.retain(|_, allocation| allocation.expires > now);
    }

    /// Another policy: who is denied from now on.
    pub(crate) fn deny(&mut self, denied: Vec<IpAddr>) {
        for allocation in self.allocations.values_mut() {
            allocation.permissions.retain(|(ip, _)| !denied.contains(ip));
            allocation.channels.retain(|(_, peer, _)| !denied.contains(&peer.ip()));
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

    /// Those, and the ones that may not have been cleared yet.
    pub(crate) fn remembered(&self) -> (usize, usize) {
        self.count(|expires| expires + 61 > self.now)
    }

    fn count(&self, counts: impl Fn(u64) -> bool) -> (usize, usize) {
        let permissions = self.allocations.values().flat_map(|allocation| &allocation.permissions);
        let channels = self.allocations.values().flat_map(|allocation| &allocation.channels);
        (permissions.filter(|(_, expires)| counts(*expires)).count(), channels.filter(|(_, _, expires)| counts(*expires)).count())
    }

    /// A request under transaction id `id`.
    pub(crate) fn ask(&mut self, who: Who, id: u64, ask: &Ask) -> Told {
        if let Ask::Allocate { ipv6, lifetime } = ask {
            return self.allocate(who, id, *ipv6, *lifetime);
        }
        let now = self.now;
        let allocation = self.allocations.get_mut(&who.five_tuple).ok_or(437u16)?;
        if allocation.user != who.user {
            return Err(441);
        }
        match ask {
            Ask::Refresh { lifetime: Some(0) } => {
                self.allocations.remove(&who.five_tuple);
                Ok(Some(0))
            }
            Ask::Refresh { lifetime } => {
                let granted = granted(*lifetime);
                allocation.expires = now + granted;
                Ok(Some(granted as u32))
            }
            Ask::Permit { peers } => {
                if peers.is_empty() {
                    return Err(400);
                }
                if peers.iter().any(|peer| !allocation.is_of_family(peer)) {
                    return Err(443);
                }
                if peers.iter().any(|peer| is_denied(&self.denied, peer)) {
                    return Err(403);
                }
                let ips: Vec<IpAddr> = peers.iter().map(SocketAddr::ip).collect();
                allocation.permit(&ips, now).map(|()| None)
            }
            Ask::Bind { number, peer } => allocation.bind(*number, *peer, now, &self.denied).map(|()| None),
            Ask::Allocate { .. } => unreachable!(),
        }
    }

    fn allocate(&mut self, who: Who, id: u64, ipv6: bool, lifetime: Option<u32>) -> Told {
        if let Some(allocation) = self.allocations.get(&who.five_tuple) {
            let again = allocation.made_by == id && allocation.user == who.user;
            return if again { Ok(Some((allocation.expires - self.now) as u32)) } else { Err(437) };
        }
        let among = |is: &dyn Fn(&&Allocation) -> bool| self.allocations.values().filter(is).count();
        if self.allocations.len() >= ALLOCATIONS {
            return Err(508);
        }
        if among(&|other| other.prefix == who.prefix) >= PER_PREFIX || among(&|other| other.user == who.user) >= QUOTA {
            return Err(486);
        }
        if among(&|other| other.ipv6 == ipv6) >= PORTS {
            return Err(508);
        }
        let granted = granted(lifetime);
        let allocation = Allocation {
            user: who.user,
            prefix: who.prefix,
            ipv6,
            made_by: id,
            expires: self.now + granted,
            relayed: None,
            permissions: Vec::new(),
            channels: Vec::new(),
        };
        self.allocations.insert(who.five_tuple, allocation);
        Ok(Some(granted as u32))
    }

    /// Whether a Send indication goes through.
    pub(crate) fn sends(&self, five_tuple: usize, peer: SocketAddr) -> bool {
        self.allocations.get(&five_tuple).is_some_and(|allocation| {
            allocation.is_of_family(&peer) && allocation.permits(peer.ip(), self.now) && !is_denied(&self.denied, &peer) && peer.port() != 0
        })
    }

    /// The peer that ChannelData goes to.
    pub(crate) fn channel(&self, five_tuple: usize, number: u16) -> Option<SocketAddr> {
        let allocation = self.allocations.get(&five_tuple)?;
        allocation.channels.iter().find(|(bound, _, expires)| *bound == number && *expires > self.now).map(|(_, peer, _)| *peer)
    }

    /// How data from a peer reach the client: not at all, on a channel, or in a Data indication.
    pub(crate) fn receives(&self, five_tuple: usize, peer: SocketAddr) -> Option<Option<u16>> {
        let allocation = self.allocations.get(&five_tuple)?;
        let channel = allocation.channels.iter().find(|(_, bound, expires)| *bound == peer && *expires > self.now);
        allocation.permits(peer.ip(), self.now).then_some(channel.map(|(number, _, _)| *number))
    }
}

impl Allocation {
    fn is_of_family(&self, peer: &SocketAddr) -> bool {
        match peer.ip() {
            IpAddr::V4(_) => !self.ipv6,
            IpAddr::V6(ip) => self.ipv6 && ip.to_ipv4_mapped().is_none(),
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

    fn bind(&mut self, number: u16, peer: SocketAddr, now: u64, denied: &[IpAddr]) -> Result<(), u16> {
        if !(0x4000..=0x4FFF).contains(&number) {
            return Err(400);
        }
        let live: Vec<_> = self.channels.iter().filter(|(_, _, expires)| *expires > now).copied().collect();
        if live.iter().any(|(bound, to, _)| (*bound == number) != (*to == peer)) {
            return Err(400);
        }
        if !self.is_of_family(&peer) {
            return Err(443);
        }
        if is_denied(denied, &peer) || peer.port() == 0 {
            return Err(403);
        }
        let others: Vec<_> = self.channels.iter().filter(|(bound, to, _)| *bound != number && *to != peer).copied().collect();
        if others.iter().filter(|(_, _, expires)| *expires > now).count() >= CHANNELS {
            return Err(508);
        }
        self.permit(&[peer.ip()], now)?;
        self.channels = others;
        self.channels.push((number, peer, now + 600));
        Ok(())
    }
}

fn granted(asked: Option<u32>) -> u64 {
    match asked {
        Some(asked) if u64::from(asked) > DEFAULT_LIFETIME => u64::from(asked).min(MAX_LIFETIME),
        _ => DEFAULT_LIFETIME,
    }
}

/// The operator's list, and what is denied by default as far as the peers of the test go.
fn is_denied(denied: &[IpAddr], peer: &SocketAddr) -> bool {
    let by_default = match peer.ip() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback(),
    };
    by_default || denied.contains(&peer.ip())
}
