//! Mapping behaviour from servers without another address: by comparing the mapped addresses that
//! they see for one socket.

use std::net::SocketAddr;

use super::behaviour::Behaviour;

/// The mapped address of the socket that one server sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Observation {
    pub(super) server: SocketAddr,
    /// The mapped address in the server's answer.
    pub(super) mapped: SocketAddr,
}

/// The mapping behaviour, as far as the servers' addresses differ enough to show it (RFC 4787
/// §4.1).
#[must_use]
pub(super) fn mapping(observations: &[Observation]) -> Behaviour {
    let pairs = || {
        observations
            .iter()
            .enumerate()
            .flat_map(|(at, one)| observations[at + 1..].iter().map(move |other| (one, other)))
    };
    let by_port = || {
        pairs().filter(|(one, other)| {
            one.server.ip() == other.server.ip() && one.server.port() != other.server.port()
        })
    };
    let by_address = || pairs().filter(|(one, other)| one.server.ip() != other.server.ip());
    let differs = |(one, other): (&Observation, &Observation)| one.mapped != other.mapped;
    if by_port().any(differs) {
        Behaviour::AddressAndPortDependent
    } else if by_address().any(differs) {
        if by_port().next().is_some() {
            Behaviour::AddressDependent
        } else {
            Behaviour::EndpointDependent
        }
    } else if by_address().next().is_some() {
        Behaviour::EndpointIndependent
    } else {
        Behaviour::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observations(seen: &[(&str, u16)]) -> Vec<Observation> {
        let mapped = |port| SocketAddr::new("203.0.113.5".parse().unwrap(), port);
        seen.iter()
            .map(|(server, port)| Observation {
                server: server.parse().unwrap(),
                mapped: mapped(*port),
            })
            .collect()
    }

    #[test]
    fn rfc4787_4_1_as_far_as_the_servers_differ() {
        const A1: &str = "192.0.2.1:3478";
        const A2: &str = "192.0.2.1:3479";
        const B1: &str = "192.0.2.2:3478";
        for (seen, behaviour) in [
            (&[(A1, 1)][..], Behaviour::Unknown),
            (&[(A1, 1), (A2, 1)], Behaviour::Unknown),
            (&[(A1, 1), (A2, 2)], Behaviour::AddressAndPortDependent),
            (&[(A1, 1), (B1, 1)], Behaviour::EndpointIndependent),
            (&[(A1, 1), (B1, 2)], Behaviour::EndpointDependent),
            (&[(A1, 1), (A2, 1), (B1, 2)], Behaviour::AddressDependent),
            (&[(A1, 1), (A2, 2), (B1, 3)], Behaviour::AddressAndPortDependent),
        ] {
            assert_eq!(mapping(&observations(seen)), behaviour, "{seen:?}");
        }
    }
}
