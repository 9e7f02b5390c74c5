//! The order in which addresses are tried: RFC 6724's rules, then alternating families.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The address families that may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Families {
    #[default]
    Both,
    V4,
    V6,
}

impl Families {
    /// Whether the address is of one of these families.
    #[must_use]
    pub const fn has(self, ip: IpAddr) -> bool {
        match self {
            Self::Both => true,
            Self::V4 => ip.is_ipv4(),
            Self::V6 => ip.is_ipv6(),
        }
    }

    /// Each family separately, IPv6 first.
    #[must_use]
    pub const fn each(self) -> &'static [Self] {
        match self {
            Self::Both => &[Self::V6, Self::V4],
            Self::V4 => &[Self::V4],
            Self::V6 => &[Self::V6],
        }
    }
}

/// Sorts by this host's routes (RFC 6724 §6), then alternates the families (RFC 8305 §4).
pub(super) fn ordered(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    interleaved(sorted(addresses, source))
}

/// Applies the rules of RFC 6724 §6 that need nothing but the addresses: 1, 2, 5, 6, 8, 9, 10.
fn sorted(addresses: Vec<IpAddr>, source: impl Fn(IpAddr) -> Option<IpAddr>) -> Vec<IpAddr> {
    let mut keyed: Vec<_> = addresses.into_iter().map(|ip| (key(ip, source(ip)), ip)).collect();
    keyed.sort_by_key(|(key, _)| *key);
    let mut sorted: Vec<IpAddr> = keyed.into_iter().map(|(_, ip)| ip).collect();
    let mut seen = std::collections::HashSet::new();
    sorted.retain(|ip| seen.insert(*ip));
    sorted
}

/// The sort key of an address, with one part for each rule; smaller is better.
fn key(destination: IpAddr, source: Option<IpAddr>) -> (bool, bool, bool, i16, u8, u32) {
    let to = in_ipv6(destination);
    let (precedence, label) = policy(to);
    let Some(source) = source else {
        // Rule 1: avoid unusable destinations.
        return (true, false, false, -precedence, scope(to), 0);
    };
    let from = in_ipv6(source);
    // Rule 2: prefer matching scope. Rule 5: prefer matching label. Rule 6: prefer higher
    // precedence. Rule 8: prefer smaller scope. Rule 9: use longest matching prefix, within
    // IPv6.
    let shared = if destination.is_ipv6() {
        (u128::from(to) ^ u128::from(from)).leading_zeros().min(64)
    } else {
        0
    };
    (false, scope(to) != scope(from), label != policy(from).1, -precedence, scope(to), 128 - shared)
}

fn in_ipv6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

/// Precedence and label of the default policy table (RFC 6724 §2.1).
fn policy(ip: Ipv6Addr) -> (i16, u8) {
    let first = ip.segments()[0];
    match ip {
        Ipv6Addr::LOCALHOST => (50, 0),
        _ if ip.to_ipv4_mapped().is_some() => (35, 4),
        _ if first == 0x2002 => (30, 2),
        _ if ip.segments()[..2] == [0x2001, 0] => (5, 5),
        _ if first & 0xfe00 == 0xfc00 => (3, 13),
        _ if ip.segments()[..6] == [0; 6] => (1, 3),
        _ if first & 0xffc0 == 0xfec0 => (1, 11),
        _ if first == 0x3ffe => (1, 12),
        _ => (40, 1),
    }
}

/// The scope's number (RFC 6724 §3.1, §3.2).
fn scope(ip: Ipv6Addr) -> u8 {
    const LINK_LOCAL: u8 = 2;
    const SITE_LOCAL: u8 = 5;
    const GLOBAL: u8 = 14;
    if let Some(v4) = ip.to_ipv4_mapped() {
        return if v4.is_loopback() || v4.is_link_local() { LINK_LOCAL } else { GLOBAL };
    }
    match ip.segments()[0] {
        _ if ip.is_loopback() => LINK_LOCAL,
        first if first & 0xffc0 == 0xfe80 => LINK_LOCAL,
        first if first & 0xffc0 == 0xfec0 => SITE_LOCAL,
        first if first & 0xff00 == 0xff00 => (first & 0xf) as u8,
        _ => GLOBAL,
    }
}

/// This host's source address for the destination; `None` without a route. Sends nothing:
/// connecting a UDP socket only selects a route.
pub(crate) fn source(destination: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if destination.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    // Any port will do.
    socket.connect(SocketAddr::new(destination, 3478)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

/// "Whichever address family is first in the list should be followed by an address of the other
/// address family" (RFC 8305 §4), and so on.
fn interleaved(sorted: Vec<IpAddr>) -> Vec<IpAddr> {
    let Some(first) = sorted.first().map(IpAddr::is_ipv6) else { return sorted };
    let (leading, other): (Vec<IpAddr>, Vec<IpAddr>) =
        sorted.into_iter().partition(|ip| ip.is_ipv6() == first);
    let mut other = other.into_iter();
    let mut all: Vec<IpAddr> =
        leading.into_iter().flat_map(|ip| [Some(ip), other.next()]).flatten().collect();
    all.extend(other);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// A host with these addresses.
    fn host(own: &'static [&'static str]) -> impl Fn(IpAddr) -> Option<IpAddr> {
        move |to| ips(own).into_iter().find(|ip| ip.is_ipv4() == to.is_ipv4())
    }

    #[test]
    fn rfc6724_6_rule_1_what_cannot_be_reached_is_last() {
        let only_v4 = host(&["192.0.2.9"]);
        assert_eq!(
            sorted(ips(&["2001:db8::1", "198.51.100.1"]), only_v4),
            ips(&["198.51.100.1", "2001:db8::1"])
        );
    }

    #[test]
    fn rfc6724_6_rule_6_ipv6_before_ipv4() {
        let both = host(&["2001:db8:1::9", "192.0.2.9"]);
        assert_eq!(
            sorted(ips(&["198.51.100.1", "2001:db8::1"]), both),
            ips(&["2001:db8::1", "198.51.100.1"])
        );
    }

    #[test]
    fn rfc6724_6_rule_5_a_unique_local_source_does_not_suit_a_global_destination() {
        let both = host(&["fd00::9", "192.0.2.9"]);
        assert_eq!(
            sorted(ips(&["2001:db8::1", "198.51.100.1"]), both),
            ips(&["198.51.100.1", "2001:db8::1"])
        );
    }

    #[test]
    fn rfc6724_6_rule_2_scopes_match() {
        let link_local = host(&["fe80::9", "192.0.2.9"]);
        assert_eq!(
            sorted(ips(&["2001:db8::1", "198.51.100.1"]), link_local),
            ips(&["198.51.100.1", "2001:db8::1"])
        );
    }

    #[test]
    fn rfc6724_6_rule_9_the_nearer_prefix() {
        let own = host(&["2001:db8:1::9"]);
        assert_eq!(
            sorted(ips(&["2001:db8:ff::1", "2001:db8:1::1"]), own),
            ips(&["2001:db8:1::1", "2001:db8:ff::1"])
        );
    }

    #[test]
    fn rfc6724_6_rule_10_otherwise_as_they_came_and_each_once() {
        let own = host(&["192.0.2.9"]);
        let came = ips(&["203.0.113.5", "198.51.100.1", "203.0.113.5", "192.0.2.1"]);
        assert_eq!(sorted(came, own), ips(&["203.0.113.5", "198.51.100.1", "192.0.2.1"]));
    }

    #[test]
    fn rfc8305_4_the_families_take_turns() {
        assert_eq!(
            interleaved(ips(&[
                "2001:db8::1",
                "2001:db8::2",
                "2001:db8::3",
                "192.0.2.1",
                "192.0.2.2"
            ])),
            ips(&["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "2001:db8::3"])
        );
        assert_eq!(
            interleaved(ips(&["192.0.2.1", "::1", "::2"])),
            ips(&["192.0.2.1", "::1", "::2"])
        );
        assert_eq!(interleaved(Vec::new()), ips(&[]));
    }
}
