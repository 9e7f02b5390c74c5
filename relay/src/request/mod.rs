//! Requests (RFC 8656 §5): authentication, the checks that are common to all methods, and the
//! response. Each method has a file of its own, with its checks in the order of the RFC.

pub(crate) mod allocate;
pub(crate) mod answer;
pub(crate) mod attributes;
pub(crate) mod channel_bind;
pub(crate) mod create_permission;
pub(crate) mod keys;
pub(crate) mod limiter;
pub(crate) mod parked;
pub(crate) mod refresh;
pub(crate) mod refusals;
pub(crate) mod requested;

use std::sync::Arc;
use std::time::Duration;

use causeway_auth::{Credential, Identity, Known, Protection, Refusal, is_signed_by};
use causeway_wire::attribute::Lifetime;
use causeway_wire::{ErrorCode, Message, Method};
use rand::CryptoRng;

use crate::five_tuple::{FiveTuple, Transport};
use crate::ids::AllocationId;
use crate::now::Now;
use crate::quota::Ledger;
use crate::request::answer::{Answer, seconds};
use crate::server::Server;
use crate::verdict::{Discard, Reply, Respond};

/// A request that has been authenticated.
pub(crate) struct Request<'m> {
    pub(crate) message: Message<'m>,
    pub(crate) from: FiveTuple,
    pub(crate) now: Now,
    pub(crate) credential: Arc<Credential>,
    pub(crate) protection: Protection,
}

/// The result of a successful request.
pub(crate) enum Achieved {
    /// The allocation that this request, or its first transmission, has made.
    Allocated(AllocationId),
    /// The new time-to-expiry.
    Lifetime(Duration),
    /// Success, without attributes.
    Done,
    /// The response follows a completion.
    Later,
}

impl<L: Ledger, R: CryptoRng> Server<L, R> {
    /// Checks RFC 8489 §9.2.4, then RFC 8489 §6.3.1, then RFC 8656 §5, then those of the method.
    /// `source_failed`: whether the user's key was asked for, and did not come.
    pub(crate) fn request(
        &mut self,
        now: Now,
        from: &FiveTuple,
        message: &Message<'_>,
        source_failed: bool,
        out: &mut [u8],
    ) -> Reply {
        let found = self.live(from, now.monotonic);
        let held = found.and_then(|id| self.allocations.cold(id)).map(|cold| &cold.credential);
        let is_current = found
            .and_then(|id| self.allocations.cold(id))
            .is_some_and(|cold| cold.shown_under == Some(self.realm));
        let known = Known { held, is_current, keys: Some(&self.keys), source_failed };
        let (credential, protection) = match self.authenticator.authenticate(
            message,
            from.client.ip(),
            now.unix_seconds(),
            &known,
        ) {
            Ok(Identity::Proven { credential, protection }) => (credential, protection),
            Ok(Identity::KeyWanted(_)) if source_failed => {
                return Reply::Discard(Discard::KeyUnavailable);
            }
            Ok(Identity::KeyWanted(username)) => return self.park(now, from, message, username),
            Err(refusal) => return self.refuse(now, from, message, found, refusal, out),
        };
        self.note_proven(now, from, message.as_bytes().len());
        let own = self.note_shown(found, &credential);
        let request = Request { message: *message, from: *from, now, credential, protection };
        let unknown = attributes::unknown(message, from);
        let achieved = if unknown.is_empty() {
            self.carry_out(&request, found)
        } else {
            Err(ErrorCode::UNKNOWN_ATTRIBUTE)
        };
        match achieved {
            Ok(achieved) => self.report(&request, &achieved, out),
            Err(_) if !self.may_refuse(now.monotonic, from, own) => {
                Reply::Discard(Discard::RefusalsSpent)
            }
            Err(code) => {
                request.answer(self.config.software.as_deref()).error(code, unknown.kinds(), out)
            }
        }
    }

    /// Notes that this credential is valid under the current authenticator, and keeps it in place
    /// of one that was restored from a record. Returns the allocation of the 5-tuple, if it is this
    /// user's.
    fn note_shown(
        &mut self,
        found: Option<AllocationId>,
        shown: &Arc<Credential>,
    ) -> Option<AllocationId> {
        let realm = self.realm;
        let own = found.filter(|id| {
            self.allocations
                .cold(*id)
                .is_some_and(|cold| cold.credential.username() == shown.username())
        })?;
        let cold = self.allocations.cold_mut(own)?;
        let is_made_again = !Arc::ptr_eq(&cold.credential, shown)
            && shown.key(cold.protection.algorithm()).is_some();
        if cold.shown_under != Some(realm) && is_made_again {
            (cold.credential, cold.shown_under) = (Arc::clone(shown), Some(realm));
        }
        Some(own)
    }

    fn carry_out(
        &mut self,
        request: &Request<'_>,
        found: Option<AllocationId>,
    ) -> Result<Achieved, ErrorCode> {
        if request.message.method() == Method::ALLOCATE {
            return self.allocate(request, found);
        }
        // RFC 8656 §5: "if the 5-tuple does not identify an existing allocation … rejected with a
        // 437".
        let id = found.ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        let allocation = self.allocations.get(id).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        // RFC 8656 §5: "the request does not use the same username as used to create the
        // allocation": 441 (H34).
        let cold = self.allocations.cold(id).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        if cold.credential.username() != request.credential.username() {
            return Err(ErrorCode::WRONG_CREDENTIALS);
        }
        if !allocation.relays.is_ready() {
            return Ok(Achieved::Later);
        }
        match request.message.method() {
            Method::REFRESH => self.refresh(request, id),
            Method::CREATE_PERMISSION => self.create_permission(request, id),
            Method::CHANNEL_BIND => self.channel_bind(request, id),
            _ => Err(ErrorCode::BAD_REQUEST),
        }
    }

    fn report(&self, request: &Request<'_>, achieved: &Achieved, out: &mut [u8]) -> Reply {
        let answer = request.answer(self.config.software.as_deref());
        match *achieved {
            Achieved::Done => answer.success(out, |_| Ok(())),
            Achieved::Lifetime(lifetime) => {
                answer.success(out, |writer| writer.put(&Lifetime(seconds(lifetime))).map(drop))
            }
            Achieved::Allocated(id) => match self.allocations.get(id) {
                Some(allocation) => answer.success(out, |writer| {
                    let lifetime = allocation.relays.left(request.now.monotonic);
                    answer::allocated(&self.allocations, id, seconds(lifetime), writer)
                }),
                None => Reply::Discard(Discard::NotReady),
            },
            Achieved::Later => Reply::Later,
        }
    }

    /// The response to a request that failed authentication. The limiter of H11 decides as well,
    /// unless the request has proven its source address.
    fn refuse(
        &mut self,
        now: Now,
        from: &FiveTuple,
        message: &Message<'_>,
        found: Option<AllocationId>,
        refusal: Refusal,
        out: &mut [u8],
    ) -> Reply {
        // A connection belongs to its client; the source of a datagram may be forged, and only the
        // allocation's own key proves it.
        let is_own = |id: &AllocationId| {
            let held = self.allocations.cold(*id).map(|cold| &cold.credential);
            from.transport != Transport::Udp || held.is_some_and(|held| is_signed_by(message, held))
        };
        let own = found.filter(is_own);
        if own.is_some() && !self.may_refuse(now.monotonic, from, own) {
            return Reply::Discard(Discard::RefusalsSpent);
        }
        let answer = Answer {
            to: *from,
            header: *message.header(),
            proven: None,
            fingerprint: message.fingerprint().is_some(),
            software: None,
        };
        let asked = message.as_bytes().len();
        let reply = match refusal {
            // "This response SHOULD NOT include a USERNAME, USERHASH, NONCE, or REALM attribute."
            Refusal::BadRequest | Refusal::AlgorithmMismatch => {
                answer.error(refusal.code(), &[], out)
            }
            _ => answer.challenge(
                asked,
                refusal.code(),
                &self.authenticator,
                now.unix_seconds(),
                out,
            ),
        };
        let reply = match reply {
            Reply::Respond(respond) => {
                Reply::Respond(Respond { refusal: Some(refusal), ..respond })
            }
            other => other,
        };
        if refusal.has_proven_address() {
            self.note_proven(now, from, asked);
            return reply;
        }
        self.unless_limited(now, from, asked, reply)
    }
}

impl Request<'_> {
    fn answer<'a>(&'a self, software: Option<&'a str>) -> Answer<'a> {
        Answer {
            to: self.from,
            header: *self.message.header(),
            proven: Some((&self.credential, self.protection)),
            fingerprint: self.message.fingerprint().is_some(),
            software,
        }
    }
}
