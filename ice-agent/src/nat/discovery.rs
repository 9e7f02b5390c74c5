//! The tests in their order. Each filtering test has a socket of its own: a mapping that an earlier test has opened towards the server's
//! other address would let its answer in, and an unsolicited answer leaves traces in the connection tables of some NATs.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use causeway_client::{Binding, BindingRequest, Failure};
use causeway_wire::attribute::ChangeRequest;

use super::behaviour::{Behaviour, Classic};
use super::comparison::{self, Sight};
use super::hairpin::{self, Inside};
use super::pace::Pace;
use super::probe::{Probe, timing};
use super::report::{Report, Test};
use crate::check::{StepError, binding};
use crate::net::leg::Leg;
use crate::net::target::{Target, Transport};
use crate::net::{Trust, Usage};

/// So many servers without another address are compared.
pub(super) const MAX_COMPARED: usize = 4;
/// So many addresses are asked in all.
const MAX_ASKED: usize = 8;

/// The tests of one family on their way to its report.
pub(super) struct Discovery {
    report: Report,
    timeout: Duration,
    pace: Pace,
}

impl Discovery {
    /// Nothing is known yet; `server` is named in the report if none answers.
    pub(super) fn new(server: SocketAddr, timeout: Duration, pace: Pace) -> Self {
        Self { report: Report::new(server), timeout, pace }
    }

    /// Runs the tests from `local` against the first server that has another address, else compares what the others see.
    ///
    /// # Errors
    /// No socket.
    pub(super) async fn run(mut self, local: IpAddr, servers: &[Vec<SocketAddr>]) -> anyhow::Result<Report> {
        let mut probe = Probe::open(local, self.timeout).await.context("no socket")?;
        let mut seen: Vec<(SocketAddr, Binding)> = Vec::new();
        for server in asked(servers) {
            // One address of each server is enough, unless there is nobody else to compare with.
            let is_known =
                servers.iter().any(|addresses| addresses.contains(&server) && seen.iter().any(|(known, _)| addresses.contains(known)));
            if seen.len() >= MAX_COMPARED || (is_known && seen.len() > 1) {
                continue;
            }
            let Some(binding) = self.test("connectivity", &mut probe, server, (false, false)).await else { continue };
            let is_enough = binding.other.is_some_and(|other| differs(server, other));
            seen.push((server, binding));
            if is_enough {
                break;
            }
        }
        let full = seen.iter().find(|(server, binding)| binding.other.is_some_and(|other| differs(*server, other)));
        let Some((server, first)) = full.or(seen.first()).cloned() else { return Ok(self.blocked(servers).await) };
        self.report.server = server;
        self.connected(&probe, &first);
        match first.other.filter(|other| differs(server, *other)) {
            Some(other) => {
                if self.report.nat == Some(true) {
                    self.report.mapping = self.mapping(&mut probe, first.mapped, other).await;
                }
                self.report.filtering = self.filtering(probe.local(), other).await?;
            }
            None => self.compared(&seen),
        }
        if self.report.nat == Some(true) {
            self.report.hairpin = self.hairpin(&probe, first.mapped).await?;
        }
        self.report.classic = Classic::of(self.report.nat == Some(true), self.report.mapping, self.report.filtering);
        Ok(self.report)
    }

    /// What the first answer tells.
    fn connected(&mut self, probe: &Probe, first: &Binding) {
        let local = probe.local();
        let nat = first.mapped != local;
        self.report.local = Some(local);
        self.report.mapped = Some(first.mapped);
        self.report.nat = Some(nat);
        self.report.port_preserved = Some(first.mapped.port() == local.port());
        self.report.round_trip_ms = first.round_trip.map(|trip| trip.as_secs_f64() * 1000.0);
        self.report.other_address = first.other;
        // "If this address and port are the same as the local IP address and port of the socket used to send the request, the client knows
        // that it is not NATed and the effective mapping will be Endpoint-Independent." (RFC 5780 §4.3)
        if !nat {
            self.report.mapping = Behaviour::EndpointIndependent;
        }
    }

    /// What servers tell that cannot answer from elsewhere.
    fn compared(&mut self, seen: &[(SocketAddr, Binding)]) {
        if seen.iter().any(|(_, binding)| binding.other.is_some()) {
            self.note("The server's OTHER-ADDRESS does not differ in address and port (RFC 5780 §7.4): it helps no further.");
        }
        self.note("How it is filtered cannot be told: that takes a server with an OTHER-ADDRESS (RFC 5780), which answers from elsewhere.");
        if self.report.nat != Some(true) {
            return;
        }
        let sights: Vec<Sight> = seen.iter().map(|(server, binding)| Sight { server: *server, mapped: binding.mapped }).collect();
        self.report.mapping = comparison::mapping(&sights);
        let servers: Vec<String> = sights.iter().map(|sight| sight.server.to_string()).collect();
        let servers = servers.join(", ");
        match self.report.mapping {
            Behaviour::Unknown => self.note(
                "How the NAT maps cannot be told by one server without an OTHER-ADDRESS; name a second one, at another address, by another --server.",
            ),
            Behaviour::EndpointDependent => self.note(&format!(
                "{servers} see different mappings; whether that depends on their ports too cannot be told, since no two of them share an address."
            )),
            _ => self.note(&format!("The mapping is told by comparing what {servers} see.")),
        }
    }

    /// From a second socket to the first one's outside, and back (RFC 5780 §3.4).
    async fn hairpin(&mut self, probe: &Probe, mapped: SocketAddr) -> anyhow::Result<Option<bool>> {
        let mut second = Probe::open(probe.local().ip(), self.timeout).await.context("no socket")?;
        let server = self.report.server;
        let Some(binding) = self.test("hairpin", &mut second, server, (false, false)).await else { return Ok(None) };
        let (first, second) = (Inside { probe, mapped }, Inside { probe: &second, mapped: binding.mapped });
        if hairpin::turns_around(&first, &second, self.timeout).await {
            return Ok(Some(true));
        }
        if self.report.mapping == Behaviour::EndpointIndependent {
            return Ok(Some(false));
        }
        // Each socket has another outside towards the other than the one that the server saw.
        self.note("Whether the NAT hairpins cannot be told: nothing came, but its mappings are not the same towards every other end.");
        Ok(None)
    }

    /// RFC 5780 §4.3, tests II and III, from the socket of test I.
    async fn mapping(&mut self, probe: &mut Probe, first: SocketAddr, other: SocketAddr) -> Behaviour {
        let other_address = SocketAddr::new(other.ip(), self.report.server.port());
        let Some(second) = self.test("mapping II", probe, other_address, (false, false)).await else {
            self.note(&format!("The server's other address {other_address} does not answer: how the NAT maps cannot be told."));
            return Behaviour::Unknown;
        };
        if second.mapped == first {
            return Behaviour::EndpointIndependent;
        }
        match self.test("mapping III", probe, other, (false, false)).await {
            Some(third) if third.mapped == second.mapped => Behaviour::AddressDependent,
            Some(_) => Behaviour::AddressAndPortDependent,
            None => {
                self.note(&format!("{other} does not answer: whether the mapping depends on the port too cannot be told."));
                Behaviour::Unknown
            }
        }
    }

    /// RFC 5780 §4.4, tests II and III. Silence means a filter only if the address that should have answered does so when it is asked
    /// itself: that is the fourth test.
    async fn filtering(&mut self, local: SocketAddr, other: SocketAddr) -> anyhow::Result<Behaviour> {
        let server = self.report.server;
        if let Some(answered) = self.filter_test("filtering II", local, other, (true, true)).await? {
            return Ok(if answered { Behaviour::EndpointIndependent } else { Behaviour::Unknown });
        }
        let other_port = SocketAddr::new(server.ip(), other.port());
        Ok(match self.filter_test("filtering III", local, other_port, (false, true)).await? {
            Some(true) => Behaviour::AddressDependent,
            Some(false) => Behaviour::Unknown,
            None => Behaviour::AddressAndPortDependent,
        })
    }

    /// Asks for an answer from `origin` at a fresh socket. `Some(true)`: it came. `None`: it was filtered. `Some(false)`: the server cannot
    /// answer from there.
    async fn filter_test(
        &mut self,
        name: &'static str,
        local: SocketAddr,
        origin: SocketAddr,
        change: (bool, bool),
    ) -> anyhow::Result<Option<bool>> {
        let mut probe = Probe::open(local.ip(), self.timeout).await.context("no socket")?;
        if let Some(binding) = self.test(name, &mut probe, self.report.server, change).await {
            if binding.source != origin {
                self.note(&format!(
                    "Asked to answer from {origin}, the server answered from {}: filtering cannot be told.",
                    binding.source
                ));
            }
            return Ok(Some(binding.source == origin));
        }
        if self.report.tests.last().is_some_and(|test| test.failure.as_deref() != Some(&Failure::TimedOut.to_string())) {
            self.note("The server refuses CHANGE-REQUEST: filtering cannot be told.");
            return Ok(Some(false));
        }
        if self.test("filtering IV", &mut probe, origin, (false, false)).await.is_none() {
            self.note(&format!("{origin} does not answer even when it is asked itself: filtering cannot be told."));
            return Ok(Some(false));
        }
        Ok(None)
    }

    /// One request, noted in the report.
    async fn test(&mut self, name: &'static str, probe: &mut Probe, to: SocketAddr, change: (bool, bool)) -> Option<Binding> {
        let (change_ip, change_port) = change;
        let asked = match change {
            (false, false) => "the same",
            (true, false) => "other address",
            (false, true) => "other port",
            (true, true) => "other address and port",
        };
        let changes = change_ip || change_port;
        let request = BindingRequest { change: changes.then_some(ChangeRequest { change_ip, change_port }), ..BindingRequest::default() };
        self.pace.next().await;
        let answer: Result<Binding, StepError> = probe.ask(to, request).await;
        let mut test = Test { name, local: probe.local(), sent_to: to, asked, mapped: None, answered_from: None, failure: None };
        match &answer {
            Ok(binding) => {
                test.mapped = Some(binding.mapped);
                test.answered_from = Some(binding.source);
            }
            Err(error) => test.failure = Some(error.to_string()),
        }
        self.report.tests.push(test);
        answer.ok()
    }

    /// Nothing over UDP: is it UDP, or the servers?
    async fn blocked(mut self, servers: &[Vec<SocketAddr>]) -> Report {
        self.report.classic = Classic::UdpBlocked;
        let mut answers = false;
        for server in asked(servers) {
            answers = tokio::time::timeout(self.timeout, over_tcp(server, self.timeout)).await.is_ok_and(|answered| answered);
            if answers {
                self.report.server = server;
                break;
            }
        }
        self.report.tcp = Some(answers);
        self.note(match answers {
            true => "UDP blocked, TCP works: the server answers over TCP, and not over UDP.",
            false => "No answer over UDP, none over TCP: the server is down, or everything is blocked on the way to it.",
        });
        self.report
    }

    fn note(&mut self, note: &str) {
        self.report.notes.push(note.into());
    }
}

/// The first address of each server, then the second ones, and so on.
pub(super) fn asked(servers: &[Vec<SocketAddr>]) -> Vec<SocketAddr> {
    let longest = servers.iter().map(Vec::len).max().unwrap_or_default();
    let in_turn = (0..longest).flat_map(|at| servers.iter().filter_map(move |addresses| addresses.get(at).copied()));
    in_turn.take(MAX_ASKED).collect()
}

/// Whether the other address is one that tells something (RFC 5780 §7.4).
pub(super) fn differs(server: SocketAddr, other: SocketAddr) -> bool {
    other.ip() != server.ip() && other.port() != server.port() && other.is_ipv4() == server.is_ipv4()
}

async fn over_tcp(server: SocketAddr, timeout: Duration) -> bool {
    match Leg::open(&Target::direct(Transport::Tcp, server), Usage::NatDiscovery, &Trust::default()).await {
        Ok(mut leg) => binding(&mut leg, server, Transport::Tcp, timing(timeout)).await.is_ok(),
        Err(_) => false,
    }
}
