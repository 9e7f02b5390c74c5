//! Addresses that mean more for a peer than that their range is denied.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

/// Whether an address is "this network" or loopback, which only a rule within them can allow (H2).
pub(crate) fn is_never_a_peer(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.octets()[0] == 0 || ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_unspecified() || ip.is_loopback(),
    }
}

/// Whether a range lies within them. Checking its two ends is not enough: `0.0.0.0/1` begins with
/// "this network" and ends with loopback.
pub(crate) fn is_within_never_a_peer(net: &IpNet) -> bool {
    let shortest = if net.addr().is_ipv4() { 8 } else { 127 };
    net.prefix_len() >= shortest && is_never_a_peer(net.network())
}

/// Whether an address is 6to4 (`2002::/16`) or Teredo (`2001::/32`): "a TURN server MUST NOT accept
/// Teredo or 6to4 addresses" (RFC 8656 §21.4).
pub(crate) fn is_tunnel(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => false,
        IpAddr::V6(ip) => matches!(ip.segments(), [0x2002, ..] | [0x2001, 0, ..]),
    }
}

/// The IPv4 address that an IPv6 address carries: mapped, compatible, or with NAT64's well-known
/// prefix (H1). `::` and `::1` are in the range of IPv4-compatible addresses, but carry none.
#[must_use]
pub fn carried_ipv4(ip: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(v6) = ip else { return None };
    let [a, b, c, d, e, f, high, low] = v6.segments();
    let carries =
        matches!((a, b, c, d, e, f), (0, 0, 0, 0, 0, 0 | 0xFFFF) | (0x64, 0xFF9B, 0, 0, 0, 0))
            && !is_never_a_peer(ip);
    carries.then(|| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)).into())
}
