//! Users whose keys are kept elsewhere: requests wait while the caller asks for the key.

use std::sync::Arc;
use std::time::Duration;

use causeway_auth::Credential;
use causeway_wire::Message;
use rand::CryptoRng;

use crate::effect::Effect;
use crate::five_tuple::FiveTuple;
use crate::now::Now;
use crate::quota::Ledger;
use crate::request::parked::{CAPACITY, Outcome};
use crate::server::Server;
use crate::verdict::{Discard, Reply};

/// How many seconds a key is used without asking again, unless [`crate::Command::ForgetKeys`] comes
/// first.
const KNOWN_FOR: u64 = 30;
/// How many seconds a user name is remembered as unknown.
const UNKNOWN_FOR: u64 = 5;

/// The answer of the source of keys to [`Effect::WantKey`].
#[derive(Clone, Debug)]
pub enum KeyAnswer {
    /// The user exists, with this credential.
    Found(Arc<Credential>),
    /// There is no such user.
    Unknown,
    /// The source did not answer.
    Unavailable,
}

impl<L: Ledger, R: CryptoRng> Server<L, R> {
    /// Takes the answer to an [`Effect::WantKey`]. Drain [`next_parked`](Self::next_parked)
    /// afterwards.
    pub fn handle_key(&mut self, now: Now, username: &str, answer: KeyAnswer) {
        let unix = now.unix_seconds();
        let outcome = match answer {
            KeyAnswer::Found(credential) if credential.username() == username => {
                self.keys.insert(credential, unix + KNOWN_FOR);
                Outcome::Answered
            }
            KeyAnswer::Unknown => {
                self.keys.insert_unknown(username, unix + UNKNOWN_FOR);
                Outcome::Answered
            }
            KeyAnswer::Found(_) | KeyAnswer::Unavailable => Outcome::Failed,
        };
        for request in self.parked.take_user(username) {
            self.ready.push(request, outcome);
        }
    }

    /// The reply to the next request that waited for a key, its response in `out`. `None` when none
    /// is left. Drain it after [`handle_key`](Self::handle_key) and
    /// [`handle_timeout`](Self::handle_timeout), and the effects after each reply.
    #[must_use]
    pub fn next_parked(&mut self, now: Now, out: &mut [u8]) -> Option<Reply> {
        let (request, outcome) = self.ready.pop()?;
        let Ok(message) = Message::decode(&request.bytes) else {
            return Some(Reply::Discard(Discard::Malformed));
        };
        Some(self.request(now, &request.from, &message, outcome == Outcome::Failed, out))
    }

    /// Keeps a request until its user's key arrives, and asks for the key unless it was asked for
    /// already.
    pub(crate) fn park(
        &mut self,
        now: Now,
        from: &FiveTuple,
        message: &Message<'_>,
        username: &str,
    ) -> Reply {
        if self.gauges().parked >= CAPACITY {
            return Reply::Discard(Discard::KeyPending);
        }
        let asked = self.parked.is_wanted(username);
        if !self.parked.insert(now.monotonic, from, message.as_bytes(), username) {
            return Reply::Discard(Discard::KeyPending);
        }
        if !asked {
            self.effects.push_back(Effect::WantKey { username: username.into() });
        }
        Reply::Later
    }

    /// Ends the wait of requests whose key has not come in time.
    pub(crate) fn unpark_expired(&mut self, now: Duration) {
        while let Some(request) = self.parked.take_expired(now) {
            self.ready.push(request, Outcome::Failed);
        }
    }

    /// Forgets the requests of a client that is gone: nothing would end an allocation that they
    /// made.
    pub(crate) fn forget_parked(&mut self, from: &FiveTuple) {
        self.parked.remove(from);
        self.ready.remove(from);
    }
}
