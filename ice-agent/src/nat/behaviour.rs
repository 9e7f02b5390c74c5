//! The behaviour of a NAT, and its classic name.

use std::fmt;

use serde::Serialize;

/// How a NAT's mapping or filtering depends on the remote endpoint (RFC 4787 §4.1, §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Behaviour {
    /// The same for every remote endpoint.
    EndpointIndependent,
    /// Depends on the remote IP address.
    AddressDependent,
    /// Depends on the remote IP address and port.
    AddressAndPortDependent,
    /// Depends on the remote IP address; unknown whether on the port too.
    EndpointDependent,
    /// The tests could not determine it.
    Unknown,
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EndpointIndependent => "endpoint-independent",
            Self::AddressDependent => "address-dependent",
            Self::AddressAndPortDependent => "address and port-dependent",
            Self::EndpointDependent => "address-dependent, perhaps port-dependent",
            Self::Unknown => "unknown",
        })
    }
}

/// The names of RFC 3489 §5 and §10.1, which are still in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Classic {
    /// No NAT, no filter.
    OpenInternet,
    /// One mapping, no filter.
    FullCone,
    /// One mapping, which accepts packets from addresses that the host has sent to.
    AddressRestrictedCone,
    /// One mapping, which accepts packets from addresses and ports that the host has sent to.
    PortRestrictedCone,
    /// A mapping for each remote endpoint.
    Symmetric,
    /// No NAT, but a filter.
    SymmetricUdpFirewall,
    /// UDP does not pass.
    UdpBlocked,
    /// The tests could not determine it.
    Unknown,
}

impl Classic {
    /// The name for these findings, by the flow chart of RFC 3489 §10.1.
    #[must_use]
    pub fn of(nat: bool, mapping: Behaviour, filtering: Behaviour) -> Self {
        use Behaviour as B;
        match (nat, mapping, filtering) {
            (false, _, B::EndpointIndependent) => Self::OpenInternet,
            (false, _, B::AddressDependent | B::AddressAndPortDependent | B::EndpointDependent) => {
                Self::SymmetricUdpFirewall
            }
            (true, B::AddressDependent | B::AddressAndPortDependent | B::EndpointDependent, _) => {
                Self::Symmetric
            }
            (true, B::EndpointIndependent, B::EndpointIndependent) => Self::FullCone,
            (true, B::EndpointIndependent, B::AddressDependent) => Self::AddressRestrictedCone,
            (true, B::EndpointIndependent, B::AddressAndPortDependent) => Self::PortRestrictedCone,
            (_, _, B::Unknown | B::EndpointDependent) | (true, B::Unknown, _) => Self::Unknown,
        }
    }
}

impl fmt::Display for Classic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenInternet => "open internet",
            Self::FullCone => "full cone",
            Self::AddressRestrictedCone => "address-restricted cone",
            Self::PortRestrictedCone => "port-restricted cone",
            Self::Symmetric => "symmetric",
            Self::SymmetricUdpFirewall => "symmetric UDP firewall",
            Self::UdpBlocked => "UDP blocked",
            Self::Unknown => "unknown",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3489_10_1_the_names() {
        use Behaviour as B;
        for (nat, mapping, filtering, name) in [
            (false, B::EndpointIndependent, B::EndpointIndependent, "open internet"),
            (false, B::EndpointIndependent, B::AddressAndPortDependent, "symmetric UDP firewall"),
            (false, B::EndpointIndependent, B::Unknown, "unknown"),
            (true, B::EndpointIndependent, B::EndpointIndependent, "full cone"),
            (true, B::EndpointIndependent, B::AddressDependent, "address-restricted cone"),
            (true, B::EndpointIndependent, B::AddressAndPortDependent, "port-restricted cone"),
            (true, B::AddressDependent, B::Unknown, "symmetric"),
            (true, B::AddressAndPortDependent, B::EndpointIndependent, "symmetric"),
            (true, B::Unknown, B::EndpointIndependent, "unknown"),
            (true, B::EndpointDependent, B::Unknown, "symmetric"),
        ] {
            assert_eq!(Classic::of(nat, mapping, filtering).to_string(), name);
        }
    }
}
