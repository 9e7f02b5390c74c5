//! The DTLS handshakes under way, on the handshaker's thread.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::handshake::{Handshake, Step};
use super::rate::Rate;
use super::record::{self, LEAST_WITH_NONCE};
use super::{Answer, HandshakeKey, Letter, Outcome, Pipe};
use crate::client_limit::LimitGuard;
use crate::secure::thread::{Outgoing, Protocol};
use crate::secure::{Answer as AnyAnswer, Failure};

/// Datagrams that a client may send until its handshake is done: several times what a lossy path
/// takes.
const MOST: u32 = 64;
/// How often the handshakes are looked at for what is to be sent again or has taken too long.
const ROUND: Duration = Duration::from_millis(100);

/// A handshake of a worker.
type Leg = (usize, HandshakeKey);

/// The handshakes that are not done.
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
    place: LimitGuard,
    /// Datagrams that it has taken.
    taken: u32,
    /// When it has taken too long.
    deadline: Instant,
    /// When the flight is to be sent again.
    resend: Option<Instant>,
}

impl Protocol for Handshakes {
    type Letter = Letter;

    fn letter(&mut self, now: Instant, worker: usize, letter: Letter, out: &mut Outgoing<'_>) {
        match letter {
            Letter::Begin(key, place, hello) => self.begin(now, (worker, key), place, &hello, out),
            Letter::Datagram(key, datagram) => self.advance(now, (worker, key), &datagram, out),
            Letter::Farewell(key) => _ = self.legs.remove(&(worker, key)),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.next_round
    }

    fn timeout(&mut self, now: Instant, out: &mut Outgoing<'_>) {
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
        place: LimitGuard,
        hello: &[u8],
        out: &mut Outgoing<'_>,
    ) {
        if !self.rate.take(now, out.shared.limits.dtls_per_second) {
            self.pipe.clear();
            return self.answer(leg, Outcome::Failed(Failure::Rate), out);
        }
        self.pipe.put(hello);
        match Handshake::begin(&out.shared.offered().dtls.context, &mut self.pipe) {
            Ok((handshake, step)) => {
                let deadline = now + out.shared.limits.time;
                self.conclude(
                    now,
                    leg,
                    UnderWay { handshake, place, taken: 1, deadline, resend: None },
                    step,
                    out,
                );
            }
            Err(failure) => self.answer(leg, Outcome::Failed(failure), out),
        }
        self.next_round.get_or_insert(now + ROUND);
    }

    fn advance(&mut self, now: Instant, leg: Leg, datagram: &[u8], out: &mut Outgoing<'_>) {
        let Some(mut under_way) = self.legs.remove(&leg) else {
            return; // it ended while the letter was on its way
        };
        under_way.taken += 1;
        // What is too short for any cipher harms no handshake.
        self.pipe.put(if record::are_long_enough(datagram, LEAST_WITH_NONCE) {
            datagram
        } else {
            &[]
        });
        let step = if under_way.taken > MOST {
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
        out: &mut Outgoing<'_>,
    ) {
        match step {
            Step::Pending => {
                under_way.resend = under_way.handshake.patience().map(|left| now + left);
                self.legs.insert(leg, under_way);
                if !self.pipe.is_quiet() {
                    self.answer(leg, Outcome::More, out);
                }
            }
            // Whoever hears that it is over may count the places: this one is free by then.
            Step::Done => {
                let UnderWay { handshake, place, .. } = under_way;
                drop(place);
                out.shared.readings.completed(false);
                self.answer(leg, Outcome::Done(Box::new(handshake.into_records())), out);
            }
            Step::Failed(failure) => {
                drop(under_way);
                self.answer(leg, Outcome::Failed(failure), out);
            }
        }
    }

    /// Sends what the pipe holds.
    fn answer(&mut self, (worker, handshake): Leg, outcome: Outcome, out: &mut Outgoing<'_>) {
        let datagrams = std::mem::take(&mut self.pipe);
        out.send(worker, AnyAnswer::Dtls(Answer { handshake, datagrams, outcome }));
    }
}

impl UnderWay {
    fn is_due(&self, now: Instant) -> bool {
        now >= self.deadline || self.resend.is_some_and(|at| at <= now)
    }
}
