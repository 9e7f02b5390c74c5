//! The state that the tests of one family share, and how they send their requests.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use causeway_client::{Binding, BindingRequest, Failure};
use causeway_wire::attribute::ChangeRequest;
use tokio::time::{Instant, sleep_until};

use super::loss::{self, Evidence, MAX_TOTALS, Path, Silence};
use super::network::Network;
use super::observations::Test;
use super::pacer::Pacer;
use super::probe_socket::ProbeSocket;
use super::repeated_request::RepeatedRequest;

/// Maximum number of requests until an answer comes. If every second request were lost, the chance
/// to lose all of them would be 0.1 %.
pub(super) const REQUESTS: usize = 10;

/// The network, the timing, and the observations so far.
#[derive(Debug)]
pub(super) struct Session<N> {
    pub(super) network: N,
    timeout: Duration,
    pacer: Pacer,
    pub(super) path: RefCell<Path>,
    pub(super) tests: RefCell<Vec<Test>>,
    pub(super) notes: RefCell<Vec<String>>,
    /// Whether a server answered with an error.
    pub(super) was_refused: Cell<bool>,
}

/// A request of a test: its name, its destination, and from which address the answer should come.
#[derive(Debug, Clone, Copy)]
pub(super) struct TestRequest {
    pub(super) name: &'static str,
    pub(super) to: SocketAddr,
    pub(super) change: ChangeRequest,
}

impl TestRequest {
    /// A request that is answered from its destination.
    pub(super) fn plain(name: &'static str, to: SocketAddr) -> Self {
        Self { name, to, change: ChangeRequest::default() }
    }

    fn binding_request(self) -> BindingRequest {
        let changes = self.change.change_ip || self.change.change_port;
        BindingRequest { change: changes.then_some(self.change), ..BindingRequest::default() }
    }

    fn asked(self) -> &'static str {
        match (self.change.change_ip, self.change.change_port) {
            (false, false) => "the same",
            (true, false) => "other address",
            (false, true) => "other port",
            (true, true) => "other address and port",
        }
    }
}

/// The result of a test that is repeated until an answer comes or the silence is conclusive.
#[derive(Debug)]
pub(super) enum Trial {
    Answered(Binding),
    /// An error response came, or an unusable one.
    Refused,
    /// No answer came, and loss does not explain that.
    Silent(Evidence),
    /// No answer came, but the path loses too much for a conclusion.
    Unsettled,
}

impl<N: Network> Session<N> {
    pub(super) fn new(network: N, timeout: Duration, pacer: Pacer) -> Self {
        let (path, tests, notes) = Default::default();
        Self { network, timeout, pacer, path, tests, notes, was_refused: Cell::new(false) }
    }

    /// The schedule of requests.
    pub(super) fn pacer(&self) -> &Pacer {
        &self.pacer
    }

    /// How long to wait for one answer.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How long an unanswered request takes in all.
    pub(super) fn total(&self) -> Duration {
        loss::total(self.timeout)
    }

    /// How long after a request its answer may still come.
    pub(super) fn patience(&self) -> Duration {
        self.path.borrow().patience(self.total() / 12)
    }

    /// Maximum distance in time between a silent request that counts and an answered one.
    pub(super) fn reach(&self) -> Duration {
        self.total() / 5
    }

    /// Opens a fresh socket.
    pub(super) async fn probe(&self, local: IpAddr) -> anyhow::Result<ProbeSocket<N::Socket>> {
        let socket = self.network.open(local).await.context("no socket")?;
        ProbeSocket::over(socket, self.timeout).context("no socket")
    }

    pub(super) fn note(&self, note: impl Into<String>) {
        self.notes.borrow_mut().push(note.into());
    }

    /// Sends a request until an answer comes, at most [`REQUESTS`] times. `None` means no answer,
    /// for whatever reason.
    pub(super) async fn request(
        &self,
        probe: &mut ProbeSocket<N::Socket>,
        request: TestRequest,
    ) -> Option<Binding> {
        let step = self.total() / 12;
        let start = Instant::now();
        let mut requests = RepeatedRequest::new(request.to, request.binding_request(), start);
        let mut sent: Vec<Instant> = Vec::new();
        let outcome = loop {
            // The first wait is RFC 8489's RTO; the last request has two steps of time.
            let next = match sent.len() {
                0 => Some(step * 2),
                many if many + 1 < REQUESTS => Some(step),
                _ => None,
            };
            sent.extend(requests.send_if_due(probe, &self.pacer, next).await);
            let wake = requests.due().unwrap_or(start + self.total());
            tokio::select! {
                reply = probe.reply() => match reply.outcome {
                    Ok(binding) => {
                        self.answered(&sent, reply.asked);
                        break Ok(binding);
                    }
                    Err(Failure::TimedOut) => {}
                    Err(failure) => {
                        self.was_refused.set(true);
                        break Err(failure.to_string());
                    }
                },
                () = sleep_until(wake), if requests.due().is_some() => {}
                () = sleep_until(start + self.total()), if requests.due().is_none() => {
                    let unsent = probe.unsent().map(ToString::to_string);
                    break Err(unsent.unwrap_or_else(|| Failure::TimedOut.to_string()));
                }
            }
        };
        self.record(request, probe.local(), sent.len(), &outcome);
        outcome.ok()
    }

    /// Records that the request of this time was answered. Those before it count as lost if their
    /// answers would have come by now.
    fn answered(&self, sent: &[Instant], answered: Instant) {
        let took = answered.elapsed();
        let mut path = self.path.borrow_mut();
        for before in sent.iter().filter(|at| **at < answered && at.elapsed() > took * 2) {
            path.asked(*before);
        }
        path.answered(answered, took);
    }

    /// Repeats a request until an answer comes, or until the silence is conclusive and has at least
    /// `least` requests, while `control` sends plain requests to the server. `silence` has the
    /// earlier requests if this continues a test.
    pub(super) async fn trial(
        &self,
        probe: &mut ProbeSocket<N::Socket>,
        control: &mut ProbeSocket<N::Socket>,
        request: TestRequest,
        silence: &mut Silence,
        least: u32,
    ) -> Trial {
        let interval = self.total() / 8;
        let start = Instant::now();
        let mut requests = RepeatedRequest::new(request.to, request.binding_request(), start);
        let mut plain =
            RepeatedRequest::new(request.to, BindingRequest::default(), start + interval / 2);
        loop {
            if let Some(at) = requests.send_if_due(probe, &self.pacer, Some(interval)).await {
                silence.sent(at);
            }
            if let Some(at) = plain.send_if_due(control, &self.pacer, Some(interval * 2)).await {
                self.path.borrow_mut().asked(at);
            }
            let (now, patience) = (Instant::now(), self.patience());
            let evidence = silence.evidence(&self.path.borrow(), now, patience, self.reach());
            if evidence.is_enough() && evidence.requests >= least {
                return Trial::Silent(evidence);
            }
            if now > start + self.total() * MAX_TOTALS {
                return Trial::Unsettled;
            }
            let wake = [requests.due(), plain.due(), silence.ripens(now, patience)]
                .into_iter()
                .flatten()
                .min();
            tokio::select! {
                reply = probe.reply() => match reply.outcome {
                    Ok(binding) => return Trial::Answered(binding),
                    Err(Failure::TimedOut) => {}
                    Err(_) => return Trial::Refused,
                },
                reply = control.reply() => if reply.outcome.is_ok() {
                    self.path.borrow_mut().answered(reply.asked, reply.asked.elapsed());
                },
                () = sleep_until(wake.unwrap_or(now + interval)) => {}
            }
        }
    }

    /// Sends three requests as fast as the pacer allows, and more if none is answered. Returns how
    /// many were answered and how many lost.
    pub(super) async fn sample(
        &self,
        probe: &mut ProbeSocket<N::Socket>,
        request: TestRequest,
    ) -> (u32, u32) {
        const AT_ONCE: usize = 3;
        let start = Instant::now();
        let mut requests = RepeatedRequest::new(request.to, request.binding_request(), start);
        let (mut sent, mut answered) = (0, 0);
        let mut last = start;
        let mut seen = Err(Failure::TimedOut.to_string());
        loop {
            let next = match sent {
                _ if sent + 1 < AT_ONCE => Some(Duration::ZERO),
                _ if sent + 1 < REQUESTS => Some(self.total() / 12),
                _ => None,
            };
            if let Some(at) = requests
                .send_if_due(
                    probe,
                    &self.pacer,
                    next.filter(|_| answered == 0 || sent + 1 < AT_ONCE),
                )
                .await
            {
                (sent, last) = (sent + 1, at);
            }
            let is_over = answered > 0 && sent >= AT_ONCE;
            let until = if is_over { last + self.patience() } else { start + self.total() };
            let all = answered as usize == sent && is_over;
            if all || Instant::now() >= until {
                break;
            }
            let wake = requests.due().filter(|_| !is_over).unwrap_or(until).min(until);
            tokio::select! {
                reply = probe.reply() => match reply.outcome {
                    Ok(binding) => {
                        answered += 1;
                        seen = Ok(binding);
                    }
                    Err(Failure::TimedOut) => {}
                    Err(failure) => {
                        seen = Err(failure.to_string());
                        break;
                    }
                },
                () = sleep_until(wake) => {}
            }
        }
        self.record(request, probe.local(), sent, &seen);
        (answered, (sent as u32).saturating_sub(answered))
    }

    /// Adds a test to the report.
    pub(super) fn record(
        &self,
        request: TestRequest,
        local: SocketAddr,
        requests: usize,
        outcome: &Result<Binding, String>,
    ) {
        self.tests.borrow_mut().push(Test {
            name: request.name,
            local,
            sent_to: request.to,
            asked: request.asked(),
            requests: requests as u32,
            mapped: outcome.as_ref().ok().map(|binding| binding.mapped),
            answered_from: outcome.as_ref().ok().map(|binding| binding.source),
            failure: outcome.as_ref().err().cloned(),
        });
    }
}
