//! The ways that a site is connected to the internet, beyond one NAT and IPv4.

use std::fmt;

use crate::{Filtering, Mapping, NatKind, UdpBehaviour};

/// How one site is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// IPv4 through one NAT, or none.
    Ipv4(NatKind),
    /// IPv6 alone: no NAT, but a firewall that lets only answers in.
    Ipv6,
    /// IPv4 through this NAT, and IPv6 as above.
    DualStack(NatKind),
    /// IPv4 through a NAT at home, behind a NAT of the provider.
    DoubleNat {
        /// The router at home, next to the client.
        home: NatKind,
        /// The provider's NAT, next to the internet.
        provider: NatKind,
    },
    /// IPv4 through a NAT whose firewall lets nothing out but TCP to port 443.
    TlsOnly,
    /// IPv4 without a way out but the HTTP proxy of the site, which opens tunnels to port 443
    /// alone.
    HttpProxy,
}

impl Access {
    /// How UDP over IPv4 passes between this site and the internet; `None` if there is no such
    /// path.
    #[must_use]
    pub fn udp4(self) -> Option<UdpBehaviour> {
        match self {
            Self::Ipv4(nat) | Self::DualStack(nat) => nat.promise().udp,
            Self::DoubleNat { home, provider } => {
                Some(through_both(home.promise().udp?, provider.promise().udp?))
            }
            Self::Ipv6 | Self::TlsOnly | Self::HttpProxy => None,
        }
    }

    /// How UDP over IPv6 passes; `None` if the site has no IPv6.
    #[must_use]
    pub fn udp6(self) -> Option<UdpBehaviour> {
        self.has_ipv6().then_some(UdpBehaviour {
            mapping: Mapping::EndpointIndependent,
            filtering: Filtering::AddressAndPortDependent,
            port_preserved: true,
        })
    }

    /// Whether the client has an IPv6 address.
    #[must_use]
    pub fn has_ipv6(self) -> bool {
        matches!(self, Self::Ipv6 | Self::DualStack(_))
    }

    /// Whether the client has an IPv4 address.
    #[must_use]
    pub fn has_ipv4(self) -> bool {
        self != Self::Ipv6
    }

    /// The boxes of IPv4, the outermost first.
    pub(crate) fn nats(self) -> Vec<NatKind> {
        match self {
            Self::Ipv4(NatKind::None) | Self::Ipv6 => Vec::new(),
            Self::Ipv4(nat) | Self::DualStack(nat) => vec![nat],
            Self::DoubleNat { home, provider } => vec![provider, home],
            // What their firewalls pass is in rules of their own.
            Self::TlsOnly | Self::HttpProxy => vec![NatKind::TcpOnly],
        }
    }
}

/// One NAT behind another is as closed as the more closed of the two, in mapping and in filtering.
fn through_both(a: UdpBehaviour, b: UdpBehaviour) -> UdpBehaviour {
    UdpBehaviour {
        mapping: a.mapping.max(b.mapping),
        filtering: a.filtering.max(b.filtering),
        port_preserved: a.port_preserved && b.port_preserved,
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4(nat) => nat.fmt(f),
            Self::Ipv6 => f.pad("IPv6, firewall"),
            Self::DualStack(nat) => write!(f, "{nat} + IPv6"),
            Self::DoubleNat { home, provider } => write!(f, "{home} in {provider}"),
            Self::TlsOnly => f.pad("TCP 443 only"),
            Self::HttpProxy => f.pad("HTTP proxy only"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_nats_are_as_closed_as_the_more_closed() {
        let both = |home, provider| Access::DoubleNat { home, provider }.udp4();
        assert_eq!(
            both(NatKind::PortRestricted, NatKind::FullCone),
            NatKind::PortRestricted.promise().udp
        );
        assert_eq!(
            both(NatKind::PortRestricted, NatKind::Symmetric),
            NatKind::Symmetric.promise().udp
        );
        assert_eq!(both(NatKind::FullCone, NatKind::TcpOnly), None);
    }
}
