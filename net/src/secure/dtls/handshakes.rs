//! The DTLS handshakes under way, on the handshaker's thread.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::handshake::{Handshake, Step};
use super::rate::Rate;
use super::record::{self, LEAST_WITH_NONCE};
use super::{Outcome, Pipe, Reply, Request};
use crate::client_limit::LimitGuard;
use crate::keys::HandshakeKey;
use crate::secure::protocol::{Protocol, Replies};
use crate::secure::{Failure, Reply as AnyReply};

/// Maximum number of datagrams that a client may send until its handshake is done: several times
/// what a lossy path takes.
const MAX_DATAGRAMS: u32 = 64;
/// How often handshakes are checked for a flight to be sent again and for their time limit.
const ROUND: Duration = Duration::from_millis(100);

/// A handshake of a worker.
type Leg = (usize, HandshakeKey);

/// The DTLS handshakes under way.
#[derive(Default)]
pub(crate) struct Handshakes {
    legs: HashMap<Leg, UnderWay>,
    /// When the next round is due, while there are any.
    next_round: Option<Instant>,
    rate: Rate,
    pipe: Pipe,
}

struct UnderWay {
    handshake: Handshake,
    /// Given back when the handshake ends.
    guard: LimitGuard,
    /// Datagrams that it has taken.
    taken: u32,
    /// When it will have taken too long.
    deadline: Instant,
    /// When the flight is to be sent again.
    resend: Option<Instant>,
}

impl Protocol for Handshakes {
    type Request = Request;

    fn request(&mut self, now: Instant, worker: usize, request: Request, out: &mut Replies<'_>) {
        match request {
            Request::Begin(key, guard, hello) => self.begin(now, (worker, key), guard, &hello, out),
            Request::Datagram(key, datagram) => self.advance(now, (worker, key), &datagram, out),
            Request::Cancel(key) => _ = self.legs.remove(&(worker, key)),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.next_round
    }

    fn timeout(&mut self, now: Instant, out: &mut Replies<'_>) {
        let due: Vec<Leg> = self
            .legs
            .iter()
            .filter(|(_, under_way)| under_way.is_due(now))
            .map(|(leg, _)| *leg)
            .collect();
        for leg in due {
            let Some(mut under_way) = self.legs.remove(&leg) else { continue };
            let step = if now >= under_way.deadline {
                self.pipe.clear();
                Step::Failed(Failure::Slow)
            } else {
                under_way.handshake.resend(&mut self.pipe)
            };
            self.conclude(now, leg, under_way, step, out);
        }
        self.next_round = (!self.legs.is_empty()).then(|| now + ROUND);
    }
}

impl Handshakes {
    fn begin(
        &mut self,
        now: Instant,
        leg: Leg,
        guard: LimitGuard,
        hello: &[u8],
        out: &mut Replies<'_>,
    ) {
        if !self.rate.take(now, out.shared.limits.dtls_per_second) {
            self.pipe.clear();
            return self.reply(leg, Outcome::Failed(Failure::Rate), out);
        }
        self.pipe.put(hello);
        match Handshake::begin(&out.shared.offered().dtls.context, &mut self.pipe) {
            Ok((handshake, step)) => {
                let deadline = now + out.shared.limits.time;
                self.conclude(
                    now,
                    leg,
                    UnderWay { handshake, guard, taken: 1, deadline, resend: None },
                    step,
                    out,
                );
            }
            Err(failure) => self.reply(leg, Outcome::Failed(failure), out),
        }
        self.next_round.get_or_insert(now + ROUND);
    }

    fn advance(&mut self, now: Instant, leg: Leg, datagram: &[u8], out: &mut Replies<'_>) {
        let Some(mut under_way) = self.legs.remove(&leg) else {
            return; // it ended while the request was on its way
        };
        under_way.taken += 1;
        // A record that is too short for any cipher must not end the handshake.
        self.pipe.put(if record::are_long_enough(datagram, LEAST_WITH_NONCE) {
            datagram
        } else {
            &[]
        });
        let step = if under_way.taken > MAX_DATAGRAMS {
            Step::Failed(Failure::Refused("too many datagrams"))
        } else {
            under_way.handshake.advance(&mut self.pipe)
        };
        self.conclude(now, leg, under_way, step, out);
    }

    fn conclude(
        &mut self,
        now: Instant,
        leg: Leg,
        mut under_way: UnderWay,
        step: Step,
        out: &mut Replies<'_>,
    ) {
        match step {
            Step::Pending => {
                under_way.resend = under_way.handshake.patience().map(|left| now + left);
                self.legs.insert(leg, under_way);
                if !self.pipe.is_quiet() {
                    self.reply(leg, Outcome::More, out);
                }
            }
            // The worker may count the handshakes under way when it gets the reply: this one has
            // ended by then.
            Step::Done => {
                let UnderWay { handshake, guard, .. } = under_way;
                drop(guard);
                out.shared.readings.completed(false);
                self.reply(leg, Outcome::Done(Box::new(handshake.into_records())), out);
            }
            Step::Failed(failure) => {
                drop(under_way);
                self.reply(leg, Outcome::Failed(failure), out);
            }
        }
    }

    /// Sends a reply with what the pipe holds.
    fn reply(&mut self, (worker, handshake): Leg, outcome: Outcome, out: &mut Replies<'_>) {
        let datagrams = std::mem::take(&mut self.pipe);
        out.send(worker, AnyReply::Dtls(Reply { handshake, datagrams, outcome }));
    }
}

impl UnderWay {
    fn is_due(&self, now: Instant) -> bool {
        now >= self.deadline || self.resend.is_some_and(|at| at <= now)
    }
}
