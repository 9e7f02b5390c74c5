//! Server-reflexive candidates: Binding requests from the sockets of the host candidates (RFC 8445
//! §5.1.1.2).

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use causeway_client::{BindingId, BindingRequest, Received, StunClient, StunConfig};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::gathering::{Problem, TIMING};
use crate::uri::ServerUri;

/// The requests from one socket. After each input, drain [`poll_transmit`](Self::poll_transmit) and
/// [`poll_found`](Self::poll_found).
#[derive(Debug)]
pub(super) struct Reflexive {
    base: SocketAddr,
    client: StunClient,
    /// Where the time of `client` starts.
    start: Instant,
    pending: HashMap<BindingId, PendingRequest>,
}

/// A request to a server, and the server's addresses that were not tried yet.
#[derive(Debug)]
struct PendingRequest {
    server: ServerUri,
    others: VecDeque<SocketAddr>,
}

/// A mapped address that a server reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub server: ServerUri,
    pub mapped: SocketAddr,
}

impl Reflexive {
    /// Creates the requests for the socket that is bound to `base`.
    #[must_use]
    pub(super) fn new(base: SocketAddr, start: Instant) -> Self {
        let config = StunConfig { timing: TIMING, ..StunConfig::default() };
        Self {
            base,
            client: StunClient::new(config, StdRng::from_rng(&mut rand::rng())),
            start,
            pending: HashMap::new(),
        }
    }

    #[must_use]
    pub(super) fn base(&self) -> SocketAddr {
        self.base
    }

    /// Sends a request to the first of the server's addresses that this socket can reach, and
    /// returns whether there is one. "If the STUN transaction times out without receipt of a
    /// response, the client SHOULD retry the request to the next server" (RFC 8489 §8.1).
    pub(super) fn request(
        &mut self,
        now: Instant,
        server: &ServerUri,
        addresses: &[SocketAddr],
    ) -> bool {
        let reachable = |address: &SocketAddr| {
            let leaves_the_host = !self.base.ip().is_loopback();
            address.is_ipv4() == self.base.is_ipv4()
                && (leaves_the_host || address.ip().is_loopback())
        };
        let mut others: VecDeque<SocketAddr> =
            addresses.iter().copied().filter(reachable).collect();
        let Some(address) = others.pop_front() else { return false };
        self.request_from(now, address, PendingRequest { server: server.clone(), others });
        true
    }

    fn request_from(&mut self, now: Instant, address: SocketAddr, pending: PendingRequest) {
        let id = self.client.bind(now - self.start, address, BindingRequest::default());
        self.pending.insert(id, pending);
    }

    /// Processes a datagram of the socket, and returns whether it answered one of the requests.
    pub(super) fn handle_input(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> bool {
        !self.pending.is_empty()
            && matches!(
                self.client.handle_input(now - self.start, from, datagram),
                Received::Consumed
            )
    }

    /// Retransmits requests that are due.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.client.handle_timeout(now - self.start);
    }

    /// The next request to send.
    pub(super) fn poll_transmit(&mut self) -> Option<causeway_client::Transmit> {
        self.client.poll_transmit()
    }

    /// The next mapped address or failed request.
    pub(super) fn poll_found(&mut self, now: Instant) -> Option<Result<Found, Problem>> {
        let event = self.client.poll_event()?;
        let PendingRequest { server, mut others } = self.pending.remove(&event.id)?;
        Some(match event.outcome {
            Ok(binding) => Ok(Found { server, mapped: binding.mapped }),
            Err(failure) => {
                let problem = Problem::at_server(&server, "Binding", None, &failure);
                if let Some(next) = others.pop_front() {
                    self.request_from(now, next, PendingRequest { server, others });
                }
                Err(problem)
            }
        })
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    #[must_use]
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.client.poll_timeout().map(|due| self.start + due)
    }

    /// Whether every request was answered or has failed.
    #[must_use]
    pub(super) fn is_over(&self) -> bool {
        self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8489_8_1_the_next_server_is_asked_where_one_is_silent() {
        let (silent, other, of_other_family) =
            ("192.0.2.1:3478", "192.0.2.2:3478", "[2001:db8::1]:3478");
        let server: ServerUri = "stun:example.org".parse().unwrap();
        let mut now = Instant::now();
        let mut reflexive = Reflexive::new("198.51.100.1:5000".parse().unwrap(), now);
        assert!(!reflexive.request(now, &server, &[of_other_family.parse().unwrap()]));
        assert!(reflexive.request(
            now,
            &server,
            &[of_other_family, silent, other].map(|address| address.parse().unwrap())
        ));
        let mut pending = Vec::new();
        let mut problems = 0;
        while let Some(due) = reflexive.poll_timeout() {
            pending.extend(
                std::iter::from_fn(|| reflexive.poll_transmit())
                    .map(|transmit| transmit.destination.to_string()),
            );
            now = due;
            reflexive.handle_timeout(now);
            problems += std::iter::from_fn(|| reflexive.poll_found(now)).count();
        }
        pending.dedup();
        assert_eq!(
            (pending, problems, reflexive.is_over()),
            (vec![silent.to_owned(), other.to_owned()], 2, true)
        );
    }
}
