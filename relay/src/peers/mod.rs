//! An allocation's peers: permissions and channels (RFC 8656 §9, §12), two of them in place. The
//! policy that says which peers are allowed is in this folder, too.

pub(crate) mod channel;
pub(crate) mod ignored;
pub(crate) mod permission;
pub(crate) mod policy;
pub(crate) mod special;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;

use causeway_wire::{ChannelNumber, ChannelRange};

use crate::address::PeerAddress;
use crate::memory::moment::Moment;
use crate::peers::channel::Channels;
use crate::peers::permission::{ChannelPermission, Permissions};

/// Number of peers that the allocation's record itself has room for.
const FEW: usize = 2;

/// The permissions and channels of one allocation. Nearly every allocation has one or two peers:
/// they are stored in place, an address with its permission and its channel; more are in tables.
#[derive(Debug)]
pub(crate) enum Peers {
    Few([Peer; FEW]),
    Many(Box<Tables>),
}

/// Permissions and channels, each under the keys by which they are looked up.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    pub(crate) permissions: Permissions,
    pub(crate) channels: Channels,
}

/// A peer's address with its permission, a channel, or both. If several channels lead to one IP
/// address, one of them has its permission.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// An IPv4 address is stored as IPv4-mapped IPv6: mapped addresses are no peers (H1).
    ip: [u8; 16],
    /// When the permission expires.
    permission: Option<Moment>,
    /// When the channel expires.
    channel: Option<Moment>,
    number: NonZeroU16,
    /// The port of the channel's peer.
    port: u16,
}

const VACANT: Peer =
    Peer { ip: [0; 16], permission: None, channel: None, number: NonZeroU16::MIN, port: 0 };

impl Peers {
    pub(crate) fn new() -> Self {
        Self::Few([VACANT; FEW])
    }

    /// Whether the address has a live permission.
    #[inline]
    pub(crate) fn allow(&self, peer: &IpAddr, now: Moment) -> bool {
        match self {
            Self::Few(peers) => {
                let Some(ip) = octets(peer) else { return false };
                peers.iter().any(|peer| peer.ip == ip && is_live(peer.permission, now))
            }
            Self::Many(tables) => tables.permissions.allow(peer, now),
        }
    }

    /// Whether data may pass to and from this transport address: its IP address has a permission,
    /// or it has a channel itself (H46).
    #[inline]
    pub(crate) fn reach(
        &self,
        peer: &PeerAddress,
        lasting: ChannelPermission,
        now: Moment,
    ) -> bool {
        self.allow(&peer.ip(), now)
            || lasting == ChannelPermission::WithChannel && self.number(peer, now).is_some()
    }

    /// The peer of a live channel.
    #[inline]
    pub(crate) fn channel(&self, number: ChannelNumber, now: Moment) -> Option<PeerAddress> {
        match self {
            Self::Few(peers) => {
                let bound = peers.iter().find(|peer| {
                    peer.number.get() == number.number() && is_live(peer.channel, now)
                })?;
                Some(PeerAddress(SocketAddr::new(bound.ip(), bound.port)))
            }
            Self::Many(tables) => tables.channels.peer(number, now),
        }
    }

    /// The live channel of a peer.
    #[inline]
    pub(crate) fn number(&self, peer: &PeerAddress, now: Moment) -> Option<ChannelNumber> {
        match self {
            Self::Few(peers) => {
                let (ip, port) = (octets(&peer.ip())?, peer.port());
                let bound = peers.iter().find(|peer| {
                    peer.port == port && peer.ip == ip && is_live(peer.channel, now)
                })?;
                number(bound.number)
            }
            Self::Many(tables) => tables.channels.number(peer, now),
        }
    }

    /// Whether number and peer may be bound: neither is bound to another (RFC 8656 §12.2).
    pub(crate) fn may_bind(&self, number: ChannelNumber, peer: &PeerAddress, now: Moment) -> bool {
        match self {
            Self::Few(_) => {
                self.channel(number, now).is_none_or(|bound| bound == *peer)
                    && self.number(peer, now).is_none_or(|bound| bound == number)
            }
            Self::Many(tables) => tables.channels.may_bind(number, peer, now),
        }
    }

    /// The numbers of permissions and of channels, expired ones included.
    pub(crate) fn counts(&self) -> (usize, usize) {
        match self {
            Self::Few(peers) => {
                let count = |has: fn(&Peer) -> bool| peers.iter().filter(|peer| has(peer)).count();
                (count(|peer| peer.permission.is_some()), count(|peer| peer.channel.is_some()))
            }
            Self::Many(tables) => (tables.permissions.len(), tables.channels.len()),
        }
    }

    /// A copy of all of them in tables.
    pub(crate) fn tables(&self) -> Tables {
        match self {
            Self::Few(peers) => Tables::of(peers),
            Self::Many(tables) => (**tables).clone(),
        }
    }

    /// Changes them as tables, and stores them in place again if they are few.
    pub(crate) fn change<T>(&mut self, change: impl FnOnce(&mut Tables) -> T) -> T {
        match self {
            Self::Few(peers) => {
                let mut tables = Tables::of(peers);
                let result = change(&mut tables);
                *self = tables.few().map_or_else(|| Self::Many(Box::new(tables)), Self::Few);
                result
            }
            Self::Many(tables) => {
                let result = change(tables);
                if let Some(few) = tables.few() {
                    *self = Self::Few(few);
                }
                result
            }
        }
    }
}

impl Tables {
    pub(crate) fn new() -> Self {
        Self { permissions: Permissions::new(), channels: Channels::new() }
    }

    pub(crate) fn remove_expired(&mut self, now: Moment) {
        self.permissions.remove_expired(now);
        self.channels.remove_expired(now);
    }

    fn of(peers: &[Peer; FEW]) -> Self {
        let mut tables = Self::new();
        for peer in peers {
            if let Some(expires) = peer.permission {
                tables.permissions.install(peer.ip(), expires);
            }
            if let (Some(expires), Some(number)) = (peer.channel, number(peer.number)) {
                let address = PeerAddress(SocketAddr::new(peer.ip(), peer.port));
                tables.channels.bind(number, address, expires);
            }
        }
        tables
    }

    /// The peers for storage in place; `None` if they are too many, or mapped addresses.
    fn few(&self) -> Option<[Peer; FEW]> {
        if self.permissions.len() > FEW || self.channels.len() > FEW {
            return None;
        }
        let (mut few, mut len) = ([VACANT; FEW], 0);
        for (number, channel) in self.channels.iter() {
            let (ip, port) = (octets(&channel.peer.ip())?, channel.peer.port());
            few[len] = Peer {
                ip,
                permission: None,
                channel: Some(channel.expires),
                number: NonZeroU16::new(number.number())?,
                port,
            };
            len += 1;
        }
        for (ip, expires) in self.permissions.iter() {
            let ip = octets(ip)?;
            let at = few[..len].iter().position(|peer| peer.ip == ip).unwrap_or(len);
            let peer = few.get_mut(at)?;
            (peer.ip, peer.permission) = (ip, Some(*expires));
            len = len.max(at + 1);
        }
        Some(few)
    }
}

impl Peer {
    fn ip(&self) -> IpAddr {
        Ipv6Addr::from(self.ip).to_canonical()
    }
}

/// A bound number as a channel. The widest range is used: binding has checked the server's.
#[inline]
fn number(number: NonZeroU16) -> Option<ChannelNumber> {
    ChannelRange::Rfc5766.channel(number.get())
}

#[inline]
fn is_live(expires: Option<Moment>, now: Moment) -> bool {
    expires.is_some_and(|expires| expires.is_after(now))
}

/// An address as it is stored in place; `None` for a mapped one, which would mean the IPv4 address.
#[inline]
fn octets(ip: &IpAddr) -> Option<[u8; 16]> {
    match ip {
        IpAddr::V4(ip) => Some(ip.to_ipv6_mapped().octets()),
        IpAddr::V6(ip) => ip.to_ipv4_mapped().is_none().then(|| ip.octets()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::of(Duration::from_secs(seconds))
    }

    /// Makes the same changes to peers and to tables, with few and with many of them, and compares
    /// their answers.
    fn at_port(ip: IpAddr, port: u16) -> PeerAddress {
        PeerAddress(SocketAddr::new(ip, port))
    }

    #[test]
    fn peers_in_place_are_what_they_would_be_in_tables() {
        assert_eq!(size_of::<Peers>(), 56);
        let ips: [IpAddr; 4] =
            ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"].map(|ip| ip.parse().unwrap());
        let addresses: Vec<PeerAddress> =
            ips.iter().flat_map(|ip| [0, 7].map(|port| at_port(*ip, port))).collect();
        // H1: a mapped address is never bound, and does not mean the IPv4 address.
        let mapped = [0, 7].map(|port| at_port("::ffff:192.0.2.1".parse().unwrap(), port));
        let asked = [&addresses[..], &mapped].concat();
        let number = |index: u32| ChannelRange::Rfc8656.channel(0x4000 + index as u16).unwrap();
        let (mut peers, mut tables, mut random) = (Peers::new(), Tables::new(), 1u32);
        let mut few = 0;
        for step in 0..20_000u64 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (peer, channel, now) =
                (addresses[(random >> 8) as usize % 8], number((random >> 12) % 4), step * 100);
            let change = |tables: &mut Tables| match random >> 28 {
                0..5 => tables.permissions.install(peer.ip(), at(now + 300)),
                5..12 if tables.channels.may_bind(channel, &peer, at(now)) => {
                    tables.channels.bind(channel, peer, at(now + 600));
                }
                12 => tables.permissions.retain(|ip| *ip != peer.ip()),
                13 => tables.channels.retain(|channel| channel.peer != peer),
                _ => tables.remove_expired(at(now)),
            };
            peers.change(change);
            change(&mut tables);
            few += usize::from(matches!(peers, Peers::Few(_)));
            assert_eq!(peers.counts(), (tables.permissions.len(), tables.channels.len()));
            for later in [now, now + 299, now + 599] {
                for address in &asked {
                    assert_eq!(
                        peers.allow(&address.ip(), at(later)),
                        tables.permissions.allow(&address.ip(), at(later))
                    );
                    assert_eq!(
                        peers.number(address, at(later)),
                        tables.channels.number(address, at(later))
                    );
                    let may_bind = |index| {
                        let number = number(index);
                        (
                            peers.may_bind(number, address, at(later)),
                            tables.channels.may_bind(number, address, at(later)),
                        )
                    };
                    assert!((0..4).map(may_bind).all(|(few, many)| few == many));
                }
                (0..4).for_each(|index| {
                    assert_eq!(
                        peers.channel(number(index), at(later)),
                        tables.channels.peer(number(index), at(later))
                    );
                });
            }
        }
        assert!((2000..18_000).contains(&few), "{few} of 20000 steps had few");
    }
}
