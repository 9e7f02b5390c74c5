//! Prefixes of client addresses, by which the limits count clients.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network that an address belongs to, in one of two widths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Prefix(IpAddr);

/// [`Prefix::narrow`] or [`Prefix::wide`].
pub(super) type Width = fn(IpAddr) -> Prefix;

/// The maximum for a prefix of either width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PrefixLimit {
    /// Maximum for one IPv4 address or one IPv6 /64, which one subscriber usually has.
    pub(super) narrow: usize,
}

impl PrefixLimit {
    /// Maximum for an IPv4 /24 or an IPv6 /48.
    pub(super) const fn wide(self) -> usize {
        self.narrow.saturating_mul(4)
    }

    /// The width at which one more entry from `address` exceeds the limit, given the addresses of
    /// the existing entries; the narrow one if it exceeds both.
    pub(super) fn reached(
        self,
        address: IpAddr,
        others: impl Iterator<Item = IpAddr>,
    ) -> Option<Width> {
        let (narrow, wide) = (Prefix::narrow(address), Prefix::wide(address));
        let (mut near, mut far) = (0, 0);
        for other in others {
            near += usize::from(Prefix::narrow(other) == narrow);
            far += usize::from(Prefix::wide(other) == wide);
        }
        match (near >= self.narrow, far >= self.wide()) {
            (true, _) => Some(Prefix::narrow),
            (false, true) => Some(Prefix::wide),
            (false, false) => None,
        }
    }
}

impl Prefix {
    /// An IPv4 address, or the /64 of an IPv6 address.
    pub(super) fn narrow(address: IpAddr) -> Self {
        Self::cut(address, 32, 64)
    }

    /// The /24 of an IPv4 address, or the /48 of an IPv6 address.
    pub(super) fn wide(address: IpAddr) -> Self {
        Self::cut(address, 24, 48)
    }

    fn cut(address: IpAddr, v4: u32, v6: u32) -> Self {
        // A socket for both families shows IPv4 clients with mapped addresses.
        Self(match address.to_canonical() {
            IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() & (u32::MAX << (32 - v4))).into(),
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << (128 - v6))).into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn prefixes_are_what_one_subscriber_and_one_site_have() {
        assert_ne!(Prefix::narrow(ip("192.0.2.1")), Prefix::narrow(ip("192.0.2.2")));
        assert_eq!(Prefix::wide(ip("192.0.2.1")), Prefix::wide(ip("192.0.2.254")));
        assert_eq!(Prefix::narrow(ip("2001:db8::1")), Prefix::narrow(ip("2001:db8::ffff:0:0:1")));
        assert_ne!(Prefix::narrow(ip("2001:db8::1")), Prefix::narrow(ip("2001:db8:0:1::1")));
        assert_eq!(Prefix::wide(ip("2001:db8::1")), Prefix::wide(ip("2001:db8:0:1::1")));
    }

    #[test]
    fn h54_an_ipv4_client_is_one_client_in_both_forms() {
        assert_eq!(Prefix::narrow(ip("::ffff:192.0.2.1")), Prefix::narrow(ip("192.0.2.1")));
        assert_ne!(Prefix::wide(ip("::ffff:192.0.2.1")), Prefix::wide(ip("::ffff:198.51.100.1")));
    }

    #[test]
    fn both_widths_have_their_limit() {
        let limit = PrefixLimit { narrow: 2 };
        let same = [ip("192.0.2.1"), ip("192.0.2.1")];
        let reached = |address: &str, others: &[IpAddr]| {
            let address = ip(address);
            limit.reached(address, others.iter().copied()).map(|width| width(address))
        };
        assert_eq!(reached("192.0.2.1", &same), Some(Prefix::narrow(ip("192.0.2.1"))));
        assert_eq!(reached("192.0.2.2", &same), None);
        let site: Vec<_> = (1..=8).map(|last| ip(&format!("192.0.2.{last}"))).collect();
        assert_eq!(reached("192.0.2.99", &site), Some(Prefix::wide(ip("192.0.2.99"))));
        assert_eq!(reached("192.0.3.1", &site), None);
        let both: Vec<_> = same.into_iter().chain(site).collect();
        assert_eq!(reached("192.0.2.1", &both), Some(Prefix::narrow(ip("192.0.2.1"))));
    }
}
