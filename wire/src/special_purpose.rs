//! The address ranges that the IANA special-purpose registries list (RFC 6890), and the metadata
//! address of clouds: one table for the relay, which denies them as peers, and for the servers,
//! which warn when such an address is advertised.

/// The kind of use that a range is registered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Has no meaning on the public Internet: hosts outside cannot reach it.
    NotPublic,
    /// For documentation. Examples and labs use it in place of public addresses.
    Documentation,
    /// Reached from the Internet, but not a single host's: anycast services and the metadata of a
    /// cloud.
    Service,
    /// Not the address of one host: unspecified, multicast, broadcast.
    NoHost,
}

/// A range of an IANA special-purpose registry, or a single address.
#[derive(Clone, Copy, Debug)]
pub struct SpecialPurpose {
    /// The network in CIDR notation.
    pub network: &'static str,
    /// The name for it in a message.
    pub name: &'static str,
    /// The kind of its use.
    pub purpose: Purpose,
}

const fn range(network: &'static str, name: &'static str, purpose: Purpose) -> SpecialPurpose {
    SpecialPurpose { network, name, purpose }
}

use Purpose::{Documentation, NoHost, NotPublic, Service};

/// All ranges, those of IPv4 first. Of two that overlap, the narrower comes first.
pub const SPECIAL_PURPOSE: &[SpecialPurpose] = &[
    range("0.0.0.0/8", "this network", NotPublic),
    range("10.0.0.0/8", "private", NotPublic),
    range("100.64.0.0/10", "carrier-grade NAT", NotPublic),
    range("127.0.0.0/8", "loopback", NotPublic),
    range("168.63.129.16/32", "cloud metadata", Service),
    range("169.254.0.0/16", "link-local", NotPublic),
    range("172.16.0.0/12", "private", NotPublic),
    range("192.0.0.0/24", "protocol assignments", NotPublic),
    range("192.0.2.0/24", "documentation", Documentation),
    range("192.31.196.0/24", "AS112", Service),
    range("192.52.193.0/24", "automatic multicast tunneling", Service),
    range("192.88.99.0/24", "6to4 relay anycast", Service),
    range("192.168.0.0/16", "private", NotPublic),
    range("192.175.48.0/24", "AS112", Service),
    range("198.18.0.0/15", "benchmarking", NotPublic),
    range("198.51.100.0/24", "documentation", Documentation),
    range("203.0.113.0/24", "documentation", Documentation),
    range("224.0.0.0/4", "multicast", NoHost),
    range("255.255.255.255/32", "broadcast", NoHost),
    range("240.0.0.0/4", "reserved", NotPublic),
    range("::/128", "unspecified", NoHost),
    range("::1/128", "loopback", NotPublic),
    range("64:ff9b:1::/48", "local translation", NotPublic),
    range("100::/64", "discard", NotPublic),
    range("100:0:0:1::/64", "dummy prefix", NoHost),
    range("2001::/32", "Teredo", NotPublic),
    range("2001::/23", "protocol assignments", Service),
    range("2001:db8::/32", "documentation", Documentation),
    range("2002::/16", "6to4", NotPublic),
    range("2620:4f:8000::/48", "AS112", Service),
    range("3fff::/20", "documentation", Documentation),
    range("5f00::/16", "segment routing", NotPublic),
    range("fc00::/7", "unique local", NotPublic),
    range("fe80::/10", "link-local", NotPublic),
    range("fec0::/10", "site-local", NotPublic),
    range("ff00::/8", "multicast", NoHost),
];
