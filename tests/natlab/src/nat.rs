//! The kinds of NAT, and what each promises in the terms of RFC 4787.

use std::fmt;

/// How an endpoint is connected to the lab's internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NatKind {
    /// No NAT: the host has a public address of its own.
    None,
    /// Endpoint-independent mapping and filtering.
    FullCone,
    /// Endpoint-independent mapping, address-dependent filtering.
    AddressRestricted,
    /// Endpoint-independent mapping, address and port-dependent filtering: most home routers.
    PortRestricted,
    /// Address and port-dependent mapping with random ports, and the same filtering.
    Symmetric,
    /// A NAT behind a firewall that lets only TCP out.
    TcpOnly,
}

impl NatKind {
    /// Every kind, from the most open to the most closed.
    pub const ALL: [Self; 6] = [
        Self::None,
        Self::FullCone,
        Self::AddressRestricted,
        Self::PortRestricted,
        Self::Symmetric,
        Self::TcpOnly,
    ];

    /// All pairs of kinds where order does not matter, a kind with itself included.
    pub fn unordered_pairs() -> impl Iterator<Item = (Self, Self)> {
        Self::ALL
            .into_iter()
            .enumerate()
            .flat_map(|(index, a)| Self::ALL[index..].iter().map(move |&b| (a, b)))
    }

    /// The behaviour that must be observed behind a NAT of this kind.
    #[must_use]
    pub fn promise(self) -> Behaviour {
        let udp = |mapping, filtering, port_preserved| {
            Some(UdpBehaviour { mapping, filtering, port_preserved })
        };
        let udp = match self {
            Self::None | Self::FullCone => {
                udp(Mapping::EndpointIndependent, Filtering::EndpointIndependent, true)
            }
            Self::AddressRestricted => {
                udp(Mapping::EndpointIndependent, Filtering::AddressDependent, true)
            }
            Self::PortRestricted => {
                udp(Mapping::EndpointIndependent, Filtering::AddressAndPortDependent, true)
            }
            Self::Symmetric => {
                udp(Mapping::AddressAndPortDependent, Filtering::AddressAndPortDependent, false)
            }
            Self::TcpOnly => None,
        };
        Behaviour { translated: self != Self::None, udp, tcp: true }
    }
}

impl fmt::Display for NatKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "no NAT",
            Self::FullCone => "full cone",
            Self::AddressRestricted => "address-restricted",
            Self::PortRestricted => "port-restricted",
            Self::Symmetric => "symmetric",
            Self::TcpOnly => "TCP only",
        })
    }
}

/// The behaviour of an endpoint's connection to the internet, observed from both of its sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behaviour {
    /// Servers see another address than the host's own.
    pub translated: bool,
    /// How UDP fares; `None` when no datagram gets out.
    pub udp: Option<UdpBehaviour>,
    /// A TCP connection to a server succeeds.
    pub tcp: bool,
}

/// Mapping and filtering of UDP (RFC 4787).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpBehaviour {
    /// When two destinations see the same external port.
    pub mapping: Mapping,
    /// The remote endpoints whose datagrams are admitted.
    pub filtering: Filtering,
    /// The external port is the internal one.
    pub port_preserved: bool,
}

/// Mapping behaviour, RFC 4787 §4.1, from the most open to the most closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mapping {
    /// One external port for all destinations.
    EndpointIndependent,
    /// One for each destination address.
    AddressDependent,
    /// One for each destination address and port.
    AddressAndPortDependent,
}

/// Filtering behaviour, RFC 4787 §5, from the most open to the most closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Filtering {
    /// Each remote endpoint may send to a mapped port.
    EndpointIndependent,
    /// Any port of an address that was sent to.
    AddressDependent,
    /// Only an address and port that was sent to.
    AddressAndPortDependent,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_twenty_one_pairs() {
        let pairs: Vec<_> = NatKind::unordered_pairs().collect();
        assert_eq!(pairs.len(), 21);
        assert!(pairs.iter().all(|(a, b)| a <= b));
    }

    #[test]
    fn no_two_kinds_promise_the_same() {
        for (a, b) in NatKind::unordered_pairs().filter(|(a, b)| a != b) {
            assert_ne!(a.promise(), b.promise(), "{a} and {b}");
        }
    }
}
