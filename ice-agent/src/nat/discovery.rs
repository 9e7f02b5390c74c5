//! The tests in their order. Each filtering test has a socket of its own: a mapping that an earlier test has opened towards the server's
//! other address would let its answer in, and an unsolicited answer leaves traces in the connection tables of some NATs.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use causeway_client::{Binding, BindingRequest, Failure};
use causeway_wire::attribute::ChangeRequest;

use super::behaviour::{Behaviour, Classic};
use super::probe::{Probe, local_address, timing};
use super::report::{Report, Test};
use crate::check::{StepError, binding};
use crate::net::leg::Leg;
use crate::uri::Transport;

/// So many of the addresses that the name resolves to are tried.
const MAX_ADDRESSES: usize = 4;

/// Runs the tests against the first of the server's addresses that answers.
pub(super) async fn discover(addresses: &[SocketAddr], timeout: Duration) -> anyhow::Result<Report> {
    let mut silent = None;
    let mut unreachable = None;
    for server in addresses.iter().take(MAX_ADDRESSES) {
        let local = match local_address(*server).await {
            Ok(local) => local,
            Err(error) => {
                unreachable = Some(anyhow::Error::new(error).context(format!("no way to {server}")));
                continue;
            }
        };
        let mut discovery = Discovery { report: Report::new(*server), timeout };
        let mut probe = Probe::open(local, timeout).await.context("no socket")?;
        match discovery.test("connectivity", &mut probe, *server, (false, false)).await {
            Some(binding) => {
                discovery.connected(&mut probe, &binding).await?;
                return Ok(discovery.report);
            }
            None => silent = silent.or(Some(discovery.report)),
        }
    }
    match (silent, unreachable) {
        (Some(report), _) => Ok(blocked(report, addresses, timeout).await),
        (None, Some(error)) => Err(error),
        (None, None) => anyhow::bail!("the server has no address"),
    }
}

/// What a plain STUN server cannot tell.
const NO_OTHER_ADDRESS: &str =
    "The server has no OTHER-ADDRESS (RFC 5780): it can tell whether there is a NAT, not how it maps and filters.";

struct Discovery {
    report: Report,
    timeout: Duration,
}

impl Discovery {
    async fn connected(&mut self, probe: &mut Probe, first: &Binding) -> anyhow::Result<()> {
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
        let server = self.report.server;
        match first.other {
            None => self.note(NO_OTHER_ADDRESS),
            Some(other) if other.ip() == server.ip() || other.port() == server.port() || other.is_ipv4() != server.is_ipv4() => {
                self.note("The server's OTHER-ADDRESS does not differ in address and port (RFC 5780 §7.4): how a NAT maps and filters cannot be told.");
            }
            Some(other) => {
                if nat {
                    self.report.mapping = self.mapping(probe, first.mapped, other).await;
                }
                self.report.filtering = self.filtering(local, other).await?;
            }
        }
        self.report.classic = Classic::of(nat, self.report.mapping, self.report.filtering);
        Ok(())
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

    fn note(&mut self, note: &str) {
        self.report.notes.push(note.into());
    }
}

/// Nothing over UDP: is it UDP, or the server?
async fn blocked(mut report: Report, addresses: &[SocketAddr], timeout: Duration) -> Report {
    report.classic = Classic::UdpBlocked;
    let mut answers = false;
    for server in addresses.iter().take(MAX_ADDRESSES) {
        answers = tokio::time::timeout(timeout, over_tcp(*server, timeout)).await.is_ok_and(|answered| answered);
        if answers {
            report.server = *server;
            break;
        }
    }
    report.tcp = Some(answers);
    report.notes.push(match answers {
        true => "UDP blocked, TCP works: the server answers over TCP, and not over UDP.".into(),
        false => "No answer over UDP, none over TCP: the server is down, or everything is blocked on the way to it.".into(),
    });
    report
}

async fn over_tcp(server: SocketAddr, timeout: Duration) -> bool {
    match Leg::connect(server, Transport::Tcp).await {
        Ok(mut leg) => binding(&mut leg, server, Transport::Tcp, timing(timeout)).await.is_ok(),
        Err(_) => false,
    }
}
