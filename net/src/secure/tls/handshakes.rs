//! The TLS handshakes under way, on the handshaker's thread.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use rustls::{Error, HandshakeKind, ServerConnection};

use super::{Answer, Letter, Outcome};
use crate::event_loop::StreamKey;
use crate::secure::thread::{Outgoing, Protocol};
use crate::secure::{Answer as AnyAnswer, Failure};

/// The most that a client may send until its handshake is done.
const MOST: usize = 64 << 10;
/// How much longer than a worker this thread waits: a worker tells when it gives up, unless its letter found no room.
const SLACK: Duration = Duration::from_secs(1);

/// A stream of a worker.
type Leg = (usize, StreamKey);

/// The connections whose handshakes are not done.
#[derive(Default)]
pub(crate) struct Handshakes {
    legs: HashMap<Leg, Handshake>,
    /// All handshakes are given the same time: the eldest is in front. Those that ended are still listed.
    deadlines: VecDeque<(Instant, Leg)>,
}

struct Handshake {
    connection: Box<ServerConnection>,
    received: usize,
    deadline: Instant,
}

impl Protocol for Handshakes {
    type Letter = Letter;

    fn letter(&mut self, now: Instant, worker: usize, letter: Letter, out: &mut Outgoing<'_>) {
        let (stream, bytes) = match letter {
            Letter::Bytes(stream, bytes) => (stream, bytes),
            Letter::Farewell(stream) => {
                self.legs.remove(&(worker, stream));
                return;
            }
        };
        let leg = (worker, stream);
        let deadline = now + out.shared.limits.time + SLACK;
        let handshake = match self.legs.remove(&leg) {
            Some(handshake) => Ok(handshake),
            None => begin(deadline, out),
        };
        let (bytes, outcome) = match handshake {
            Ok(mut handshake) => {
                let step = handshake.take(&bytes);
                let flight = handshake.flight();
                match step {
                    Ok(true) => {
                        let resumed = handshake.connection.handshake_kind() == Some(HandshakeKind::Resumed);
                        out.shared.readings.completed(resumed);
                        (flight, Outcome::Done(handshake.connection))
                    }
                    Ok(false) => {
                        if handshake.deadline == deadline {
                            self.deadlines.push_back((deadline, leg));
                        }
                        self.legs.insert(leg, handshake);
                        (flight, Outcome::More)
                    }
                    Err(failure) => (flight, Outcome::Failed(failure)),
                }
            }
            Err(failure) => (Vec::new(), Outcome::Failed(failure)),
        };
        out.send(worker, AnyAnswer::Tls(Answer { stream, bytes, outcome }));
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.front().map(|(at, _)| *at)
    }

    fn timeout(&mut self, now: Instant, _: &mut Outgoing<'_>) {
        while let Some((at, leg)) = self.deadlines.front().copied().filter(|(at, _)| *at <= now) {
            self.deadlines.pop_front();
            // A newer handshake cannot have the same key so soon, but for its deadline's sake it is compared.
            if self.legs.get(&leg).is_some_and(|handshake| handshake.deadline == at) {
                self.legs.remove(&leg);
            }
        }
    }
}

fn begin(deadline: Instant, out: &Outgoing<'_>) -> Result<Handshake, Failure> {
    let config = out.shared.offered().tls.config.clone();
    let connection = ServerConnection::new(config).map_err(|_| Failure::Refused)?;
    Ok(Handshake { connection: Box::new(connection), received: 0, deadline })
}

impl Handshake {
    /// Takes what the client sent; whether the handshake is done.
    fn take(&mut self, mut bytes: &[u8]) -> Result<bool, Failure> {
        self.received += bytes.len();
        if self.received > MOST {
            return Err(Failure::Refused);
        }
        while !bytes.is_empty() {
            // The buffer refuses bytes only when it is full of what nobody reads: data before its time.
            self.connection.read_tls(&mut bytes).map_err(|_| Failure::Refused)?;
            self.connection.process_new_packets().map_err(|error| match error {
                Error::AlertReceived(_) => Failure::Alert,
                _ => Failure::Refused,
            })?;
        }
        Ok(!self.connection.is_handshaking())
    }

    /// What is to be sent: the next flight, tickets, or an alert.
    fn flight(&mut self) -> Vec<u8> {
        let mut flight = Vec::new();
        while self.connection.wants_write() && self.connection.write_tls(&mut flight).is_ok() {}
        flight
    }
}
