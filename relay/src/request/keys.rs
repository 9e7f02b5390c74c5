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

/// For so many seconds a user's key is used without asking again, unless
/// [`crate::Command::ForgetKeys`] comes before.
const KNOWN_FOR: u64 = 30;
/// For so many seconds a name is known to be nobody's.
const UNKNOWN_FOR: u64 = 5;

/// What the source of keys said to [`Effect::WantKey`].
#[derive(Clone, Debug)]
pub enum KeyAnswer {
    /// This is the user.
    Found(Arc<Credential>),
    /// There is no such user.
    Unknown,
    /// The source did not answer.
    Unavailable,
}

impl<L: Ledger, R: CryptoRng> Server<L, R> {
    /// The answer to an [`Effect::WantKey`]. Take what it leads to from
    /// [`next_parked`](Self::next_parked).
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

    /// What became of a request that waited for a key: its answer in `out`, or silence. `None` when
    /// none is left. To be drained after [`handle_key`](Self::handle_key) and
    /// [`handle_timeout`](Self::handle_timeout), with the effects that each verdict leads to.
    #[must_use]
    pub fn next_parked(&mut self, now: Now, out: &mut [u8]) -> Option<Reply> {
        let (request, outcome) = self.ready.pop()?;
        let Ok(message) = Message::decode(&request.bytes) else {
            return Some(Reply::Discard(Discard::Malformed));
        };
        Some(self.request(now, &request.from, &message, outcome == Outcome::Failed, out))
    }

    /// Keeps a request until its user's key is there, and asks for the key unless that was done.
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

    /// Gives up on keys that have not come in time.
    pub(crate) fn unpark_expired(&mut self, now: Duration) {
        while let Some(request) = self.parked.take_expired(now) {
            self.ready.push(request, Outcome::Failed);
        }
    }

    /// The client is gone: nobody would end what its request might make.
    pub(crate) fn forget_parked(&mut self, from: &FiveTuple) {
        self.parked.remove(from);
        self.ready.remove(from);
    }
}
