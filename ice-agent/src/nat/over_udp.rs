//! The tests in their order. Each filtering test has a socket of its own: a mapping that an earlier
//! test has opened towards the server's other address would let its answer in, and an unsolicited
//! answer leaves traces in the connection tables of some NATs.

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

/// The tests of one family on their way to its report.
#[derive(Debug)]
pub(super) struct OverUdp<N> {
    session: Session<N>,
    report: Report,
}

impl<N: Network> OverUdp<N> {
    /// Nothing is known yet; `server` is named in the report if none answers.
    pub(super) fn new(network: N, server: SocketAddr, timeout: Duration, pacer: Pacer) -> Self {
        Self { session: Session::new(network, timeout, pacer), report: Report::new(server) }
    }

    /// Runs the tests from `local` against the first server that has another address, else compares
    /// what the others see.
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
        // What a NAT does with two sockets of its inside is of no consequence for the others.
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

    /// Asks the servers, until one has another address. While they are silent, they are asked over
    /// TCP as well.
    ///
    /// # Errors
    /// None answers over UDP; the first one that does over TCP.
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
                // One address of each server is enough, unless there is no other server to compare
                // with.
                let is_known = servers.iter().any(|addresses| {
                    addresses.contains(&server)
                        && seen.iter().any(|(known, _)| addresses.contains(known))
                });
                if seen.len() >= MAX_COMPARED || (is_known && seen.len() > 1) {
                    continue;
                }
                let Some(binding) =
                    session.question(probe, TestRequest::plain("connectivity", server)).await
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

    /// Nothing over UDP: is it UDP, or the servers?
    fn blocked(&mut self, over_tcp: Option<SocketAddr>, start: Instant) {
        if self.session.was_refused.get() {
            self.session
                .note("The server answers over UDP with an error: nothing can be told of the NAT.");
            return;
        }
        self.report.classic = Classic::UdpBlocked;
        self.report.tcp = Some(over_tcp.is_some());
        self.report.server = over_tcp.unwrap_or(self.report.server);
        self.session.note(match over_tcp {
            Some(_) => "UDP blocked, TCP works: the server answers over TCP, and not over UDP.",
            None => "No answer over UDP, none over TCP: the server is down, or everything is blocked on the way to it.",
        });
        let requests: u32 = self.session.tests.borrow().iter().map(|test| test.requests).sum();
        // A path that loses more than that is of no use to UDP either.
        let doubt = 0.5_f64.powi(requests.cast_signed());
        self.report.doubt = Some(doubt);
        self.session.note(format!(
            "None of {requests} requests over UDP in {:.1} s was answered; if every second one were lost, the chance of that would be {}.",
            start.elapsed().as_secs_f64(),
            percent(doubt)
        ));
    }

    /// What the first answer tells.
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

    /// What servers tell that cannot answer from elsewhere.
    fn compared(&mut self, seen: &[(SocketAddr, Binding)]) {
        let session = &self.session;
        if seen.iter().any(|(_, binding)| binding.other.is_some()) {
            session.note("The server's OTHER-ADDRESS does not differ in address and port (RFC 5780 §7.4): it helps no further.");
        }
        session
            .note("How it is filtered cannot be told: that takes a server with an OTHER-ADDRESS (RFC 5780), which answers from elsewhere.");
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
                "How the NAT maps cannot be told by one server without an OTHER-ADDRESS; name a second one, at another address, by another --server.",
            ),
            Behaviour::EndpointDependent => session.note(format!(
                "{servers} see different mappings; whether that depends on their ports too cannot be told, since no two of them share an address."
            )),
            _ => session.note(format!("The mapping is told by comparing what {servers} see.")),
        }
    }

    /// Takes in what two sockets saw of each other; the chance that it is wrong.
    fn hairpin(&mut self, hairpin: Hairpin) -> f64 {
        match hairpin {
            Hairpin::TurnedAround => self.report.hairpin = Some(true),
            Hairpin::Silent(evidence) if self.report.mapping == Behaviour::EndpointIndependent => {
                self.report.hairpin = Some(false);
                return evidence.chance;
            }
            // Each socket has another outside towards the other than the one that the server saw.
            Hairpin::Silent(_) => self
                .session
                .note("Whether the NAT hairpins cannot be told: nothing came, but its mappings are not the same towards every other end."),
            Hairpin::Unsettled => {
                self.session
                    .note("Whether the NAT hairpins cannot be told: nothing came, but the path loses so much that this may be loss.");
            }
        }
        0.0
    }

    /// Adds what all tests together tell.
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

/// RFC 5780 §4.3, tests II and III, from the socket of test I.
async fn mapping<N: Network>(
    session: &Session<N>,
    probe: &mut ProbeSocket<N::Socket>,
    server: SocketAddr,
    first: SocketAddr,
    other: SocketAddr,
) -> Behaviour {
    let other_address = SocketAddr::new(other.ip(), server.port());
    let Some(second) =
        session.question(probe, TestRequest::plain("mapping II", other_address)).await
    else {
        session.note(format!("The server's other address {other_address} does not answer: how the NAT maps cannot be told."));
        return Behaviour::Unknown;
    };
    if second.mapped == first {
        return Behaviour::EndpointIndependent;
    }
    match session.question(probe, TestRequest::plain("mapping III", other)).await {
        Some(third) if third.mapped == second.mapped => Behaviour::AddressDependent,
        Some(_) => Behaviour::AddressAndPortDependent,
        None => {
            session.note(format!("{other} does not answer: whether the mapping depends on the port too cannot be told."));
            Behaviour::Unknown
        }
    }
}
