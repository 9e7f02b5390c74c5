//! The proxies whose PROXY headers are trusted.

use std::net::IpAddr;

/// The prefixes of proxies whose headers are trusted, and required.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    prefixes: Vec<Prefix>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Prefix {
    address: IpAddr,
    len: u8,
}

impl TrustedProxies {
    /// Proxies of these prefixes, each an address and the number of its leading bits that count (a
    /// larger number than it has: all).
    pub fn new(prefixes: impl IntoIterator<Item = (IpAddr, u8)>) -> Self {
        Self {
            prefixes: prefixes.into_iter().map(|(address, len)| Prefix { address, len }).collect(),
        }
    }

    /// Whether `peer` is a trusted proxy.
    pub fn contains(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.prefixes.iter().any(|prefix| prefix.contains(peer))
    }
}

impl Prefix {
    fn contains(self, peer: IpAddr) -> bool {
        match (self.address, peer) {
            (IpAddr::V4(own), IpAddr::V4(peer)) => {
                let differing = own.to_bits() ^ peer.to_bits();
                differing.checked_shr(32 - u32::from(self.len.min(32))).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(peer)) => {
                let differing = own.to_bits() ^ peer.to_bits();
                differing.checked_shr(128 - u32::from(self.len.min(128))).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_trusted_by_its_prefix() {
        for (prefix, len, inside, outside) in [
            ("192.0.2.0", 24, "192.0.2.255", "192.0.3.0"),
            ("192.0.2.7", 32, "192.0.2.7", "192.0.2.6"),
            ("192.0.2.0", 24, "::ffff:192.0.2.9", "2001:db8::1"),
            ("2001:db8::", 33, "2001:db8:7fff::", "2001:db8:8000::"),
            ("2001:db8::1", 128, "2001:db8::1", "2001:db8::2"),
            ("2001:db8::1", 255, "2001:db8::1", "2001:db8::2"),
            ("0.0.0.0", 0, "203.0.113.9", "::1"),
            ("::", 0, "::1", "127.0.0.1"),
        ] {
            let trusted = TrustedProxies::new([(prefix.parse().unwrap(), len)]);
            assert!(trusted.contains(inside.parse().unwrap()), "{inside} in {prefix}");
            assert!(!trusted.contains(outside.parse().unwrap()), "{outside} not in {prefix}");
        }
        assert!(!TrustedProxies::default().contains([127, 0, 0, 1].into()));
    }
}
