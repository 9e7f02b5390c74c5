//! What theory says about each pair of kinds: can two endpoints behind them talk directly over UDP?

use std::fmt;

use crate::{Access, Filtering, Mapping, NatKind, UdpBehaviour};

/// How the media of a call travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// From NAT to NAT.
    Direct,
    /// Through the TURN server.
    Relayed,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Direct => "direct",
            Self::Relayed => "relayed",
        })
    }
}

/// The best path that two endpoints of these kinds can have. The order does not matter.
#[must_use]
pub fn best_path(a: NatKind, b: NatKind) -> Path {
    use NatKind::{AddressRestricted, FullCone, None, PortRestricted, Symmetric, TcpOnly};
    match if a <= b { (a, b) } else { (b, a) } {
        // No datagram leaves this side, and there is no TCP path between two clients: ICE here is
        // UDP.
        (_, TcpOnly) => Path::Relayed,
        // Each host can send to one of them, which answers to the source address it sees.
        (None | FullCone, _) => Path::Direct,
        // The restricted side's mapping is known, and it admits the other's address whatever port
        // the other's mapping turns out to have: that port is learnt from the check that
        // arrives.
        (AddressRestricted, _) => Path::Direct,
        // Both mappings are known beforehand; each opens its own filter by sending to the other's.
        (PortRestricted, PortRestricted) => Path::Direct,
        // The symmetric side sends from a port that the other could not know and so never sent to:
        // its filter drops what comes from there. The other way, the symmetric side's known
        // port is open to the STUN server only.
        (PortRestricted, Symmetric) => Path::Relayed,
        // Neither knows the port that the other will use towards it.
        (Symmetric, Symmetric) => Path::Relayed,
        (lesser, greater) => unreachable!("{lesser} <= {greater} is covered above"),
    }
}

/// The best path between two sites: direct, if there is a family in which one of them can be
/// reached.
#[must_use]
pub fn best_path_between(a: Access, b: Access) -> Path {
    let direct = [(a.udp4(), b.udp4()), (a.udp6(), b.udp6())].into_iter().any(|pair| match pair {
        (Some(a), Some(b)) => can_be_reached(a, b) || can_be_reached(b, a),
        _ => false,
    });
    if direct { Path::Direct } else { Path::Relayed }
}

/// The rule behind the table, from RFC 4787's terms alone: one side must have a mapping that is
/// known beforehand, and a filter that it can open for packets from the other side without knowing
/// more than the other knows.
fn can_be_reached(receiver: UdpBehaviour, sender: UdpBehaviour) -> bool {
    receiver.mapping == Mapping::EndpointIndependent
        && match receiver.filtering {
            Filtering::EndpointIndependent | Filtering::AddressDependent => true,
            Filtering::AddressAndPortDependent => sender.mapping == Mapping::EndpointIndependent,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_follows_from_mapping_and_filtering() {
        for a in NatKind::ALL {
            for b in NatKind::ALL {
                assert_eq!(
                    best_path(a, b),
                    best_path_between(Access::Ipv4(a), Access::Ipv4(b)),
                    "{a} with {b}"
                );
            }
        }
    }

    #[test]
    fn eight_pairs_of_twenty_one_need_the_relay() {
        let relayed =
            NatKind::unordered_pairs().filter(|&(a, b)| best_path(a, b) == Path::Relayed).count();
        assert_eq!(relayed, 8);
    }
}
