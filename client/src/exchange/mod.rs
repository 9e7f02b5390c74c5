//! A request from its first transmission until it is settled: repeated, challenged, redirected by
//! the server's errors (RFC 8489 §6.3, §9.2).

mod ask;
mod challenge;
mod features;
mod judge;
mod open;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use causeway_wire::{Class, Message, TransactionId, Transport};
use rand::Rng;
use rand::rngs::StdRng;

pub(crate) use ask::Ask;
pub(crate) use judge::is_known;

use crate::credentials::Credentials;
use crate::failure::Failure;
use crate::received::Discard;
use crate::round_trip::RoundTrips;
use crate::security::Security;
use crate::timing::Timing;
use crate::transaction::{Due, Transaction};
use crate::transmit::Transmit;
use challenge::Challenge;
use judge::{Judgement, judge};
use open::Open;

/// "Unless a specific error code specifies a different value, the number of retransmissions SHOULD
/// be limited to 4" (RFC 8489 §6.3.4).
const MAX_SERVER_ERRORS: u32 = 4;
/// So many 401 and 438 are answered for one request; a forger or a confused server gets no further.
const MAX_CHALLENGES: u32 = 4;

/// "a client SHOULD limit itself to ten outstanding transactions to the same server" (RFC 8489
/// §6.2).
const MAX_OUTSTANDING: usize = 10;

/// What holds for all requests of a client.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    pub(crate) transport: Transport,
    pub(crate) timing: Timing,
    pub(crate) software: Option<String>,
    pub(crate) fingerprint: bool,
    pub(crate) credentials: Option<Credentials>,
}

/// The open requests of a client.
#[derive(Debug)]
pub(crate) struct Exchange<A> {
    manner: Manner,
    rng: StdRng,
    challenge: Option<Arc<Challenge>>,
    open: Vec<Open<A>>,
    round_trips: RoundTrips,
    transmits: VecDeque<Transmit>,
}

/// A request that has its answer, or will not get one.
#[derive(Debug)]
pub(crate) struct Settled<'m, A> {
    pub(crate) ask: A,
    pub(crate) answer: Result<Message<'m>, Failure>,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) sent: u32,
}

impl<A: Ask> Exchange<A> {
    pub(crate) fn new(manner: Manner, rng: StdRng) -> Self {
        Self {
            manner,
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
        self.manner.transport
    }

    /// Sends a request, authenticated if the server has challenged before (RFC 8489 §9.2.3.2).
    pub(crate) fn request(
        &mut self,
        now: Duration,
        destination: SocketAddr,
        ask: A,
    ) -> Result<(), Failure> {
        let rto = self.round_trips.rto(destination.ip(), self.manner.timing.rto, now);
        let timing = Timing { rto, ..self.manner.timing };
        let id = self.transaction_id();
        let transaction = Transaction::new(id, self.manner.transport, timing, now);
        let open = Open::new(ask, destination, transaction, self.challenge.clone(), &self.manner)?;
        self.open.push(open);
        self.send_due(now);
        Ok(())
    }

    /// Takes an answer. `Ok(None)` is one that led to another try.
    pub(crate) fn handle<'m>(
        &mut self,
        now: Duration,
        source: SocketAddr,
        message: Message<'m>,
    ) -> Result<Option<Settled<'m, A>>, Discard> {
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
        let judgement = judge(&self.open[at], &message, self.manner.credentials.as_ref());
        match judgement {
            Judgement::Ignore => Err(Discard::Unauthentic),
            Judgement::Unauthentic if self.manner.transport.is_stream() => {
                Ok(Some(self.settle(at, now, Err(Failure::IntegrityViolated))))
            }
            Judgement::Unauthentic => {
                self.open[at].violated = true;
                Err(Discard::Unauthentic)
            }
            Judgement::Accept => Ok(Some(self.settle(at, now, Ok(message)))),
            Judgement::Fail(failure) => Ok(Some(self.settle(at, now, Err(failure)))),
            Judgement::Challenged(challenge, _) if self.open[at].challenges < MAX_CHALLENGES => {
                self.challenge = Some(challenge);
                self.open[at].challenges += 1;
                Ok(self.again(at, now, Duration::ZERO))
            }
            Judgement::ServerError(_) if self.open[at].server_errors < MAX_SERVER_ERRORS => {
                let wait = self.manner.timing.rto * (1 << self.open[at].server_errors);
                self.open[at].server_errors += 1;
                Ok(self.again(at, now, wait))
            }
            Judgement::Challenged(_, refusal) | Judgement::ServerError(refusal) => {
                Ok(Some(self.settle(at, now, Err(Failure::Refused(refusal)))))
            }
        }
    }

    /// Sends what is due; the requests that nobody answered, one at a call, until `None`.
    pub(crate) fn handle_timeout(&mut self, now: Duration) -> Option<(A, Failure)> {
        let at = self.send_due(now)?;
        let open = self.open.swap_remove(at);
        let failure = if open.violated { Failure::IntegrityViolated } else { Failure::TimedOut };
        Some((open.ask, failure))
    }

    /// Ends all requests: the transport is gone.
    pub(crate) fn abandon(&mut self) -> Vec<A> {
        self.transmits.clear();
        self.open.drain(..).map(|open| open.ask).collect()
    }

    /// Forgets the requests that are not to be kept.
    pub(crate) fn retain(&mut self, keep: impl Fn(&A) -> bool) {
        self.open.retain(|open| keep(&open.ask));
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

    /// 96 bits from the caller's CSPRNG (H26).
    pub(crate) fn transaction_id(&mut self) -> TransactionId {
        let mut id = [0; 12];
        self.rng.fill_bytes(&mut id);
        TransactionId(id)
    }

    /// Queues the requests that are due; where one stands that nobody answered, if there is one.
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

    /// Whether a request has not begun, and cannot before another one to the same server has ended.
    fn must_wait(&self, open: &Open<A>) -> bool {
        let begun = |other: &&Open<A>| other.begun && other.destination == open.destination;
        !open.begun
            && self.open.len() > MAX_OUTSTANDING
            && self.open.iter().filter(begun).count() >= MAX_OUTSTANDING
    }

    /// Begins a new transaction for the same request.
    fn again(&mut self, at: usize, now: Duration, wait: Duration) -> Option<Settled<'static, A>> {
        let id = self.transaction_id();
        match self.open[at].again(id, now + wait, self.challenge.clone(), &self.manner) {
            Ok(()) => {
                self.send_due(now);
                None
            }
            Err(failure) => Some(self.settle(at, now, Err(failure))),
        }
    }

    fn settle<'m>(
        &mut self,
        at: usize,
        now: Duration,
        answer: Result<Message<'m>, Failure>,
    ) -> Settled<'m, A> {
        let open = self.open.swap_remove(at);
        let round_trip = open.transaction.round_trip(now);
        if let (Some(round_trip), Ok(_)) = (round_trip, &answer) {
            self.round_trips.measured(open.destination.ip(), round_trip, now);
        }
        // Who has waited for its turn begins now.
        self.send_due(now);
        Settled { ask: open.ask, answer, round_trip, sent: open.transaction.sent() }
    }
}
