//! The tests over UDP in their order. Each filtering test has a socket of its own: a mapping that
//! an earlier test opened towards the server's other address would let the answer in, and an
//! unsolicited answer leaves entries in the connection tables of some NATs.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use causeway_client::Binding;
use tokio::time::{Instant, sleep};

use super::behaviour::{Behaviour, Classic};
use super::comparison::{self, Observation};
use super::filtering::{self, Filtering};
use super::hairpin::{self, Hairpin};
use super::network::Network;
use super::observations::{LossReport, Ports, percent};
use super::pacer::Pacer;
use super::probe_socket::ProbeSocket;
use super::report::Report;
use super::servers::{MAX_COMPARED, differs, in_turns};
use super::session::{Session, TestRequest};

/// The tests of one family, and the report that they fill in.
#[derive(Debug)]
pub(super) struct OverUdp<N> {
    session: Session<N>,
    report: Report,
}

impl<N: Network> OverUdp<N> {
    /// Starts with an empty report, which names `server` if none answers.
    pub(super) fn new(network: N, server: SocketAddr, timeout: Duration, pacer: Pacer) -> Self {
        Self { session: Session::new(network, timeout, pacer), report: Report::new(server) }
    }

    /// Runs the tests from `local` with the first server that has another address; if there is
    /// none, compares the mapped addresses that the servers see.
    ///
    /// # Errors
    /// No socket.
    pub(super) async fn run(
        mut self,
        local: IpAddr,
        servers: &[Vec<SocketAddr>],
    ) -> anyhow::Result<Report> {
        let mut probe = self.session.probe(local).await?;
        let start = Instant::now();
        let seen = match self.connectivity(&mut probe, servers).await {
            Ok(seen) => seen,
            Err(over_tcp) => {
                self.blocked(over_tcp, start);
                return Ok(self.finish());
            }
        };
        let full = seen
            .iter()
            .find(|(server, binding)| binding.other.is_some_and(|other| differs(*server, other)));
        let (server, first) = full.unwrap_or(&seen[0]).clone();
        self.report.server = server;
        self.connected(&probe, &first);
        let is_nat = self.report.nat == Some(true);
        let other = first.other.filter(|other| differs(server, *other));
        let session = &self.session;
        let hairpin = async {
            if is_nat { hairpin::measure(session, local, server).await.map(Some) } else { Ok(None) }
        };
        let behind = async {
            let Some(other) = other else { return Ok((None, Filtering::sure(Behaviour::Unknown))) };
            let mapping = if is_nat {
                Some(mapping(session, &mut probe, server, first.mapped, other).await)
            } else {
                None
            };
            filtering::measure(session, local, server, other)
                .await
                .map(|filtering| (mapping, filtering))
        };
        // Hairpinning between two sockets does not affect the mappings of the others.
        let (behind, hairpin) = tokio::join!(behind, hairpin);
        let (mapping, filtering): (Option<Behaviour>, Filtering) = behind?;
        self.report.mapping = mapping.unwrap_or(self.report.mapping);
        self.report.filtering = filtering.behaviour;
        let mut doubt = filtering.doubt;
        if other.is_none() {
            self.compared(&seen);
        }
        if let Some(hairpin) = hairpin? {
            doubt += self.hairpin(hairpin);
        }
        self.report.classic = Classic::of(is_nat, self.report.mapping, self.report.filtering);
        self.report.doubt = (doubt > 0.0).then_some(doubt);
        Ok(self.finish())
    }

    /// Sends requests to the servers until one has another address. While they are silent, requests
    /// go over TCP too.
    ///
    /// # Errors
    /// None answers over UDP; the value is the first server that answers over TCP.
    async fn connectivity(
        &self,
        probe: &mut ProbeSocket<N::Socket>,
        servers: &[Vec<SocketAddr>],
    ) -> Result<Vec<(SocketAddr, Binding)>, Option<SocketAddr>> {
        let session = &self.session;
        let over_tcp = async {
            sleep(session.timeout() / 2).await;
            for server in in_turns(servers) {
                if session.network.answers_over_tcp(server, session.timeout()).await {
                    return Some(server);
                }
            }
            None
        };
        let over_udp = async {
            let mut seen: Vec<(SocketAddr, Binding)> = Vec::new();
            for server in in_turns(servers) {
                // One address of each server is enough, unless there is no other server to compare.
                let is_known = servers.iter().any(|addresses| {
                    addresses.contains(&server)
                        && seen.iter().any(|(known, _)| addresses.contains(known))
                });
                if seen.len() >= MAX_COMPARED || (is_known && seen.len() > 1) {
                    continue;
                }
                let Some(binding) =
                    session.request(probe, TestRequest::plain("connectivity", server)).await
                else {
                    continue;
                };
                let is_enough = binding.other.is_some_and(|other| differs(server, other));
                seen.push((server, binding));
                if is_enough {
                    break;
                }
            }
            seen
        };
        let mut over_tcp = pin!(over_tcp);
        let mut over_udp = pin!(over_udp);
        let mut tcp = None;
        let seen = tokio::select! {
            seen = &mut over_udp => seen,
            answered = &mut over_tcp => {
                tcp = Some(answered);
                over_udp.await
            }
        };
        if !seen.is_empty() {
            return Ok(seen);
        }
        let answered = match tcp {
            Some(answered) => answered,
            None => over_tcp.await,
        };
        Err(answered)
    }

    /// Reports that no answer came over UDP, and whether TCP works.
    fn blocked(&mut self, over_tcp: Option<SocketAddr>, start: Instant) {
        if self.session.was_refused.get() {
            self.session.note(
                "The server answers over UDP with an error, so nothing is known about the NAT.",
            );
            return;
        }
        self.report.classic = Classic::UdpBlocked;
        self.report.tcp = Some(over_tcp.is_some());
        self.report.server = over_tcp.unwrap_or(self.report.server);
        self.session.note(match over_tcp {
            Some(_) => "UDP is blocked, TCP works: the server answers over TCP but not over UDP.",
            None => "No answer over UDP or TCP: the server is down, or the path to it is blocked.",
        });
        let requests: u32 = self.session.tests.borrow().iter().map(|test| test.requests).sum();
        // A path that loses more than every second packet is of no use for UDP anyway.
        let doubt = 0.5_f64.powi(requests.cast_signed());
        self.report.doubt = Some(doubt);
        self.session.note(format!(
            "None of {requests} requests over UDP in {:.1} s was answered; if every second one \
            were lost, the chance of that would be {}.",
            start.elapsed().as_secs_f64(),
            percent(doubt)
        ));
    }

    /// Adds the findings of the first answer to the report.
    fn connected(&mut self, probe: &ProbeSocket<N::Socket>, first: &Binding) {
        let local = probe.local();
        let nat = first.mapped != local;
        self.report.local = Some(local);
        self.report.mapped = Some(first.mapped);
        self.report.nat = Some(nat);
        self.report.round_trip_ms = first.round_trip.map(|trip| trip.as_secs_f64() * 1000.0);
        self.report.other_address = first.other;
        // "If this address and port are the same as the local IP address and port of the socket
        // used to send the request, the client knows that it is not NATed and the effective
        // mapping will be Endpoint-Independent." (RFC 5780 §4.3)
        if !nat {
            self.report.mapping = Behaviour::EndpointIndependent;
        }
    }

    /// Adds the findings from servers that cannot answer from another address.
    fn compared(&mut self, seen: &[(SocketAddr, Binding)]) {
        let session = &self.session;
        if seen.iter().any(|(_, binding)| binding.other.is_some()) {
            session.note(
                "The server's OTHER-ADDRESS does not differ in both address and port \
                (RFC 5780 §7.4), so it cannot be used.",
            );
        }
        session.note(
            "The filtering behaviour is unknown: testing it requires a server with an \
                OTHER-ADDRESS (RFC 5780), which can answer from another address.",
        );
        if self.report.nat != Some(true) {
            return;
        }
        let observations: Vec<Observation> = seen
            .iter()
            .map(|(server, binding)| Observation { server: *server, mapped: binding.mapped })
            .collect();
        self.report.mapping = comparison::mapping(&observations);
        let servers: Vec<String> =
            observations.iter().map(|observation| observation.server.to_string()).collect();
        let servers = servers.join(", ");
        match self.report.mapping {
            Behaviour::Unknown => session.note(
                "The mapping behaviour is unknown: one server without an OTHER-ADDRESS is not \
                enough; give a second server with another address (--server).",
            ),
            Behaviour::EndpointDependent => session.note(format!(
                "{servers} see different mappings; whether these depend on ports too is unknown, \
                since no two servers share an address."
            )),
            _ => session.note(format!(
                "The mapping behaviour was found by comparing the mapped \
                addresses that {servers} see."
            )),
        }
    }

    /// Adds the result of the hairpinning test, and returns the chance that it is wrong.
    fn hairpin(&mut self, hairpin: Hairpin) -> f64 {
        match hairpin {
            Hairpin::Works => self.report.hairpin = Some(true),
            Hairpin::Silent(evidence) if self.report.mapping == Behaviour::EndpointIndependent => {
                self.report.hairpin = Some(false);
                return evidence.chance;
            }
            // The sockets' mapped addresses for each other differ from those that the server saw.
            Hairpin::Silent(_) => self.session.note(
                "Whether the NAT supports hairpinning is unknown: no datagram arrived, but \
                    its mappings differ between destinations.",
            ),
            Hairpin::Unsettled => {
                self.session.note(
                    "Whether the NAT supports hairpinning is unknown: no datagram arrived, \
                        but the path is so lossy that they may all be lost.",
                );
            }
        }
        0.0
    }

    /// Adds the findings of all tests together.
    fn finish(mut self) -> Report {
        let session = self.session;
        let loss = session.path.borrow().loss(Instant::now(), session.patience());
        self.report.notes = session.notes.into_inner();
        self.report.tests = session.tests.into_inner();
        self.report.ports = Ports::of(&self.report.tests);
        self.report.loss = LossReport::of(loss);
        self.report.explain();
        self.report
    }
}

/// Runs tests II and III of RFC 5780 §4.3 from the socket of test I.
async fn mapping<N: Network>(
    session: &Session<N>,
    probe: &mut ProbeSocket<N::Socket>,
    server: SocketAddr,
    first: SocketAddr,
    other: SocketAddr,
) -> Behaviour {
    let other_address = SocketAddr::new(other.ip(), server.port());
    let Some(second) =
        session.request(probe, TestRequest::plain("mapping II", other_address)).await
    else {
        session.note(format!(
            "The server's other address {other_address} does not answer, so the \
            mapping behaviour is unknown."
        ));
        return Behaviour::Unknown;
    };
    if second.mapped == first {
        return Behaviour::EndpointIndependent;
    }
    match session.request(probe, TestRequest::plain("mapping III", other)).await {
        Some(third) if third.mapped == second.mapped => Behaviour::AddressDependent,
        Some(_) => Behaviour::AddressAndPortDependent,
        None => {
            session.note(format!(
                "{other} does not answer, so it is unknown whether the mapping \
                depends on the port too."
            ));
            Behaviour::Unknown
        }
    }
}
