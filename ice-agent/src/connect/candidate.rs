//! Candidates with the details that the report shows; the ICE engine keeps fewer.

use std::net::SocketAddr;

use is::{Candidate, CandidateKind};
use serde::Serialize;

use crate::uri::ServerUri;

use causeway_wire::Transport;

/// The type of a candidate (RFC 8445 §5.1.1), named as in the candidate attribute (RFC 8839 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CandidateType {
    /// An address of the host's interfaces.
    Host,
    /// A mapped address that a STUN server reported.
    Srflx,
    /// A mapped address that appeared in a check.
    Prflx,
    /// A relayed address of a TURN server.
    Relay,
}

impl From<CandidateKind> for CandidateType {
    fn from(kind: CandidateKind) -> Self {
        match kind {
            CandidateKind::Host => Self::Host,
            CandidateKind::ServerReflexive => Self::Srflx,
            CandidateKind::PeerReflexive => Self::Prflx,
            CandidateKind::Relayed => Self::Relay,
        }
    }
}

impl std::fmt::Display for CandidateType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::Srflx => "srflx",
            Self::Prflx => "prflx",
            Self::Relay => "relay",
        })
    }
}

/// One of our candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LocalCandidate {
    pub kind: CandidateType,
    /// The address that the peer is to use.
    pub address: SocketAddr,
    /// The address at which its datagrams arrive: that of the host candidate; for a relayed
    /// candidate, its own.
    pub base: SocketAddr,
    /// The STUN or TURN server that it was learned from.
    pub server: Option<String>,
    /// The transport to the TURN server of a relayed candidate.
    pub relayed_over: Option<Transport>,
    /// Part of the priority (RFC 8445 §5.1.2.1); [`LocalPreferences`] assigns it.
    pub local_preference: u16,
}

impl LocalCandidate {
    /// A candidate on an address of this host.
    pub(super) fn host(address: SocketAddr) -> Self {
        Self {
            kind: CandidateType::Host,
            address,
            base: address,
            server: None,
            relayed_over: None,
            local_preference: 0,
        }
    }

    /// A candidate whose mapped address a STUN server reported.
    pub(super) fn reflexive(mapped: SocketAddr, base: SocketAddr, server: &ServerUri) -> Self {
        let (kind, server) = (CandidateType::Srflx, Some(server.to_string()));
        Self { kind, address: mapped, base, server, ..Self::host(base) }
    }

    /// A candidate at a TURN server.
    pub(super) fn relayed(address: SocketAddr, server: &ServerUri, over: Transport) -> Self {
        let (kind, server) = (CandidateType::Relay, Some(server.to_string()));
        Self { kind, server, relayed_over: Some(over), ..Self::host(address) }
    }

    /// Converts it for the engine; `None` for an address that cannot be a candidate (unspecified,
    /// multicast, IPv4 link-local).
    #[must_use]
    pub(super) fn to_engine(&self) -> Option<Candidate> {
        match self.kind {
            CandidateType::Host => Candidate::host(self.address, "udp"),
            CandidateType::Srflx => Candidate::server_reflexive(self.address, self.base, "udp"),
            // The engine needs only the relayed address; the connection to the server is ours.
            CandidateType::Relay => Candidate::relayed(self.address, self.base, "udp"),
            CandidateType::Prflx => return None,
        }
        .ok()
    }
}

/// A candidate of the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemoteCandidate {
    pub kind: CandidateType,
    /// The address to send to.
    pub address: SocketAddr,
    /// The peer's transport to its TURN server, as the peer says.
    pub relayed_over: Option<Transport>,
    /// The priority that the peer computed.
    pub priority: u32,
}

/// Assigns local preferences: unique within a type and family (RFC 8445 §5.1.2.1), IPv6 and IPv4
/// interleaved (RFC 8421 §4), and a relay over UDP or DTLS above every relay over TCP or TLS.
#[derive(Debug, Default)]
pub(super) struct LocalPreferences {
    given: Vec<u16>,
}

impl LocalPreferences {
    /// Assigns the next preference of its kind to a candidate.
    pub(super) fn assign(&mut self, candidate: &mut LocalCandidate) {
        candidate.local_preference =
            self.next(candidate.kind, candidate.address, candidate.relayed_over);
    }

    fn next(
        &mut self,
        kind: CandidateType,
        address: SocketAddr,
        relayed_over: Option<Transport>,
    ) -> u16 {
        // Each type has a band of its own. That is not necessary, but makes candidate lists
        // readable.
        let band: u16 = match (kind, relayed_over) {
            (CandidateType::Host, _) => 65_535,
            (CandidateType::Srflx | CandidateType::Prflx, _) => 49_151,
            (CandidateType::Relay, Some(Transport::Udp) | None) => 32_767,
            (CandidateType::Relay, Some(Transport::Dtls)) => 24_575,
            (CandidateType::Relay, Some(Transport::Tcp)) => 16_383,
            (CandidateType::Relay, Some(Transport::Tls)) => 8_191,
        };
        let mut preference = if address.is_ipv6() { band } else { band - 1 };
        while self.given.contains(&preference) {
            preference -= 2;
        }
        self.given.push(preference);
        preference
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8445_5_1_2_1_local_preferences_are_unique_and_order_families_and_transports() {
        let mut preferences = LocalPreferences::default();
        let v4: SocketAddr = "192.0.2.1:1".parse().unwrap();
        let v6: SocketAddr = "[2001:db8::1]:1".parse().unwrap();
        let mut host = |address| preferences.next(CandidateType::Host, address, None);
        assert_eq!([host(v4), host(v6), host(v4), host(v6)], [65_534, 65_535, 65_532, 65_533]);
        let by_worth = [Transport::Tls, Transport::Tcp, Transport::Dtls, Transport::Udp];
        let given =
            by_worth.map(|transport| preferences.next(CandidateType::Relay, v4, Some(transport)));
        assert!(given.is_sorted(), "{given:?}");
        assert!(preferences.next(CandidateType::Relay, v6, Some(Transport::Tcp)) > given[1]);
    }

    #[test]
    fn what_cannot_be_a_candidate_has_no_engine_form() {
        let candidate = |address: &str| LocalCandidate::host(address.parse().unwrap());
        assert!(candidate("192.0.2.1:5000").to_engine().is_some());
        for bad in ["0.0.0.0:5000", "224.0.0.1:5000", "[::]:5000", "169.254.1.1:5000"] {
            assert!(candidate(bad).to_engine().is_none(), "{bad}");
        }
    }
}
