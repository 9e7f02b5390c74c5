//! A request from its first transmission to its end: repeated, challenged and redirected by the
//! server's errors (RFC 8489 §6.3, §9.2).

mod challenge;
mod evaluate;
mod features;
mod open;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use causeway_wire::{Class, Message, TransactionId, Transport};
use rand::Rng;
use rand::rngs::StdRng;

pub(crate) use evaluate::is_known;
pub(crate) use open::Request;

use crate::credentials::{Credentials, Security};
use crate::failure::Failure;
use crate::messages::{Discard, Transmit};
use crate::round_trip::RoundTrips;
use crate::timing::Timing;
use crate::transaction::{Due, Transaction};
use challenge::Challenge;
use evaluate::{Evaluation, evaluate};
use open::Open;

/// "Unless a specific error code specifies a different value, the number of retransmissions SHOULD
/// be limited to 4" (RFC 8489 §6.3.4).
const MAX_SERVER_ERRORS: u32 = 4;
/// Maximum number of 401 and 438 answered for one request, which stops a forger or a confused
/// server.
const MAX_CHALLENGES: u32 = 4;

/// "a client SHOULD limit itself to ten outstanding transactions to the same server" (RFC 8489
/// §6.2).
const MAX_OUTSTANDING: usize = 10;

/// The settings that all requests of a client share.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) transport: Transport,
    pub(crate) timing: Timing,
    pub(crate) software: Option<String>,
    pub(crate) fingerprint: bool,
    pub(crate) credentials: Option<Credentials>,
}

/// The open requests of a client.
#[derive(Debug)]
pub(crate) struct Exchange<A> {
    settings: Settings,
    rng: StdRng,
    challenge: Option<Arc<Challenge>>,
    open: Vec<Open<A>>,
    round_trips: RoundTrips,
    transmits: VecDeque<Transmit>,
}

/// A request that was answered, or failed.
#[derive(Debug)]
pub(crate) struct Finished<'m, A> {
    pub(crate) request: A,
    pub(crate) answer: Result<Message<'m>, Failure>,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) sent: u32,
}

impl<A: Request> Exchange<A> {
    pub(crate) fn new(settings: Settings, rng: StdRng) -> Self {
        Self {
            settings,
            rng,
            challenge: None,
            open: Vec::new(),
            round_trips: RoundTrips::default(),
            transmits: VecDeque::new(),
        }
    }

    /// How the next request will be authenticated; `None` without a challenge.
    pub(crate) fn security(&self) -> Option<Security> {
        self.challenge.as_deref().map(Challenge::security)
    }

    pub(crate) fn transport(&self) -> Transport {
        self.settings.transport
    }

    /// Sends a request, authenticated if the server has sent a challenge before (RFC 8489
    /// §9.2.3.2).
    pub(crate) fn request(
        &mut self,
        now: Duration,
        destination: SocketAddr,
        request: A,
    ) -> Result<(), Failure> {
        let rto = self.round_trips.rto(destination.ip(), self.settings.timing.rto, now);
        let timing = Timing { rto, ..self.settings.timing };
        let id = self.transaction_id();
        let transaction = Transaction::new(id, self.settings.transport, timing, now);
        let open =
            Open::new(request, destination, transaction, self.challenge.clone(), &self.settings)?;
        self.open.push(open);
        self.send_due(now);
        Ok(())
    }

    /// Processes a response. `Ok(None)` means that the request is tried again.
    pub(crate) fn handle<'m>(
        &mut self,
        now: Duration,
        source: SocketAddr,
        message: Message<'m>,
    ) -> Result<Option<Finished<'m, A>>, Discard> {
        if !matches!(message.class(), Class::SuccessResponse | Class::ErrorResponse)
            || message.is_rfc3489()
        {
            return Err(Discard::Unexpected);
        }
        if message.fingerprint() == Some(false) {
            return Err(Discard::Fingerprint);
        }
        let at = self
            .open
            .iter()
            .position(|open| open.awaits(source, &message))
            .ok_or(Discard::Unmatched)?;
        let evaluation = evaluate(&self.open[at], &message, self.settings.credentials.as_ref());
        match evaluation {
            Evaluation::Ignore => Err(Discard::Unauthentic),
            Evaluation::Unauthentic if self.settings.transport.is_stream() => {
                Ok(Some(self.finish(at, now, Err(Failure::IntegrityViolated))))
            }
            Evaluation::Unauthentic => {
                self.open[at].violated = true;
                Err(Discard::Unauthentic)
            }
            Evaluation::Accept => Ok(Some(self.finish(at, now, Ok(message)))),
            Evaluation::Fail(failure) => Ok(Some(self.finish(at, now, Err(failure)))),
            Evaluation::Challenged(challenge, _) if self.open[at].challenges < MAX_CHALLENGES => {
                self.challenge = Some(challenge);
                self.open[at].challenges += 1;
                Ok(self.again(at, now, Duration::ZERO))
            }
            Evaluation::ServerError(_) if self.open[at].server_errors < MAX_SERVER_ERRORS => {
                let wait = self.settings.timing.rto * (1 << self.open[at].server_errors);
                self.open[at].server_errors += 1;
                Ok(self.again(at, now, wait))
            }
            Evaluation::Challenged(_, refusal) | Evaluation::ServerError(refusal) => {
                Ok(Some(self.finish(at, now, Err(Failure::Refused(refusal)))))
            }
        }
    }

    /// Sends what is due. Returns the requests that timed out, one for each call, then `None`.
    pub(crate) fn handle_timeout(&mut self, now: Duration) -> Option<(A, Failure)> {
        let at = self.send_due(now)?;
        let open = self.open.swap_remove(at);
        let failure = if open.violated { Failure::IntegrityViolated } else { Failure::TimedOut };
        Some((open.request, failure))
    }

    /// Ends all requests, because the transport failed.
    pub(crate) fn abandon(&mut self) -> Vec<A> {
        self.transmits.clear();
        self.open.drain(..).map(|open| open.request).collect()
    }

    /// Removes the requests for which `keep` is false.
    pub(crate) fn retain(&mut self, keep: impl Fn(&A) -> bool) {
        self.open.retain(|open| keep(&open.request));
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        self.open
            .iter()
            .filter(|open| !self.must_wait(open))
            .map(|open| open.transaction.poll_timeout())
            .min()
    }

    /// Draws 96 bits from the caller's CSPRNG (H26).
    pub(crate) fn transaction_id(&mut self) -> TransactionId {
        let mut id = [0; 12];
        self.rng.fill_bytes(&mut id);
        TransactionId(id)
    }

    /// Queues the requests that are due. Returns the index of one that timed out, if there is one.
    fn send_due(&mut self, now: Duration) -> Option<usize> {
        let mut failed = None;
        for at in 0..self.open.len() {
            if self.must_wait(&self.open[at]) {
                continue;
            }
            let open = &mut self.open[at];
            match open.transaction.handle_timeout(now) {
                Due::Wait => {}
                Due::Send => {
                    open.begun = true;
                    self.transmits.push_back(Transmit {
                        destination: open.destination,
                        payload: open.bytes.clone(),
                    });
                }
                Due::Failed => failed = Some(at),
            }
        }
        failed
    }

    /// Whether a request has not started yet, and cannot before another one to the same server
    /// ends.
    fn must_wait(&self, open: &Open<A>) -> bool {
        let begun = |other: &&Open<A>| other.begun && other.destination == open.destination;
        !open.begun
            && self.open.len() > MAX_OUTSTANDING
            && self.open.iter().filter(begun).count() >= MAX_OUTSTANDING
    }

    /// Starts a new transaction for the same request.
    fn again(&mut self, at: usize, now: Duration, wait: Duration) -> Option<Finished<'static, A>> {
        let id = self.transaction_id();
        match self.open[at].again(id, now + wait, self.challenge.clone(), &self.settings) {
            Ok(()) => {
                self.send_due(now);
                None
            }
            Err(failure) => Some(self.finish(at, now, Err(failure))),
        }
    }

    fn finish<'m>(
        &mut self,
        at: usize,
        now: Duration,
        answer: Result<Message<'m>, Failure>,
    ) -> Finished<'m, A> {
        let open = self.open.swap_remove(at);
        let round_trip = open.transaction.round_trip(now);
        if let (Some(round_trip), Ok(_)) = (round_trip, &answer) {
            self.round_trips.measured(open.destination.ip(), round_trip, now);
        }
        // Start a request that waited for the end of this one.
        self.send_due(now);
        Finished { request: open.request, answer, round_trip, sent: open.transaction.sent() }
    }
}
