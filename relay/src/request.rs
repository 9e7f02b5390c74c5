use std::sync::Arc;
use std::time::Duration;

use causeway_auth::{Credential, Identity, Known, Refusal};
use causeway_wire::attribute::{AttributeType, Lifetime};
use causeway_wire::{Class, ErrorCode, Header, Message, MessageType, Method};
use rand::CryptoRng;

use crate::allocation::Allocation;
use crate::allocations::AllocationId;
use crate::answer::{self, Answer};
use crate::effect::BindFailure;
use crate::five_tuple::FiveTuple;
use crate::ledger::Ledger;
use crate::now::Now;
use crate::server::Server;
use crate::verdict::{Discard, Respond, Verdict};

/// A request that has been let in.
pub(crate) struct Request<'m> {
    pub(crate) message: Message<'m>,
    pub(crate) from: FiveTuple,
    pub(crate) now: Now,
    pub(crate) credential: Arc<Credential>,
}

/// What a request achieved.
pub(crate) enum Achieved {
    /// An allocation stands, made by this very request now or before.
    Allocated(AllocationId),
    /// The time-to-expiry is this.
    Lifetime(Duration),
    /// Done; there is nothing to say.
    Done,
    /// The answer waits for a completion.
    Later,
}

impl<L: Ledger, R: CryptoRng> Server<L, R> {
    /// RFC 8489 §9.2.4, then RFC 8489 §6.3.1, then RFC 8656 §5, then the method's own checks.
    /// `source_failed` says that the user's key has been asked for and is not to be had.
    pub(crate) fn request(&mut self, now: Now, from: &FiveTuple, message: &Message<'_>, source_failed: bool, out: &mut [u8]) -> Verdict {
        let found = self.live(from, now.monotonic);
        let held = found.and_then(|id| self.allocations.get(id)).map(|allocation| &allocation.cold.credential);
        let known = Known { held, keys: Some(&self.keys), source_failed };
        let credential = match self.authenticator.authenticate(message, from.client.ip(), now.unix_seconds(), &known) {
            Ok(Identity::Proven(credential)) => credential,
            Ok(Identity::KeyWanted(_)) if source_failed => return Verdict::Discard(Discard::KeyUnavailable),
            Ok(Identity::KeyWanted(username)) => return self.park(now, from, message, username),
            Err(refusal) => return self.refuse(now, from, message, refusal, out),
        };
        let request = Request { message: *message, from: *from, now, credential };
        let unknown = message.unknown_required(is_known);
        if !unknown.is_empty() {
            return request.answer(self.config.software.as_deref()).error(ErrorCode::UNKNOWN_ATTRIBUTE, unknown.kinds(), out);
        }
        match self.carry_out(&request, found) {
            Ok(achieved) => self.report(&request, &achieved, out),
            Err(code) => request.answer(self.config.software.as_deref()).error(code, &[], out),
        }
    }

    fn carry_out(&mut self, request: &Request<'_>, found: Option<AllocationId>) -> Result<Achieved, ErrorCode> {
        if request.message.method() == Method::ALLOCATE {
            return self.allocate(request, found);
        }
        // RFC 8656 §5: "if the 5-tuple does not identify an existing allocation … rejected with a 437".
        let id = found.ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        let allocation = self.allocations.get(id).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        // RFC 8656 §5: "the request does not use the same username as used to create the allocation": 441 (H34).
        if allocation.cold.credential.username() != request.credential.username() {
            return Err(ErrorCode::WRONG_CREDENTIALS);
        }
        if !allocation.is_ready() {
            return Ok(Achieved::Later);
        }
        match request.message.method() {
            Method::REFRESH => self.refresh(request, id),
            Method::CREATE_PERMISSION => self.create_permission(request, id),
            Method::CHANNEL_BIND => self.channel_bind(request, id),
            _ => Err(ErrorCode::BAD_REQUEST),
        }
    }

    fn report(&self, request: &Request<'_>, achieved: &Achieved, out: &mut [u8]) -> Verdict {
        let answer = request.answer(self.config.software.as_deref());
        match *achieved {
            Achieved::Done => answer.success(out, |_| Ok(())),
            Achieved::Lifetime(lifetime) => answer.success(out, |writer| writer.put(&Lifetime(seconds(lifetime))).map(drop)),
            Achieved::Allocated(id) => match self.allocations.get(id) {
                Some(allocation) => answer.success(out, |writer| {
                    let lifetime = allocation.time_to_expiry(request.now.monotonic);
                    answer::allocated(allocation, seconds(lifetime), writer)
                }),
                None => Verdict::Discard(Discard::NotReady),
            },
            Achieved::Later => Verdict::Later,
        }
    }

    /// The only answers to a client that has shown nothing; the limiter of H11 belongs in front of this.
    fn refuse(&mut self, now: Now, from: &FiveTuple, message: &Message<'_>, refusal: Refusal, out: &mut [u8]) -> Verdict {
        let answer =
            Answer { to: *from, header: *message.header(), key: None, fingerprint: message.fingerprint().is_some(), software: None };
        let verdict = match refusal {
            // "This response SHOULD NOT include a USERNAME, USERHASH, NONCE, or REALM attribute."
            Refusal::BadRequest => answer.error(refusal.code(), &[], out),
            _ => {
                let realm = self.authenticator.realm();
                let nonce = self.authenticator.nonces().mint(from.client.ip(), realm, now.unix_seconds(), self.rng.next_u32());
                answer.challenge(message.as_bytes().len(), refusal.code(), realm, nonce.as_str(), out)
            }
        };
        match verdict {
            Verdict::Respond(respond) => Verdict::Respond(Respond { refusal: Some(refusal), ..respond }),
            other => other,
        }
    }
}

impl Request<'_> {
    fn answer<'a>(&'a self, software: Option<&'a str>) -> Answer<'a> {
        Answer {
            to: self.from,
            header: *self.message.header(),
            key: Some(self.credential.integrity()),
            fingerprint: self.message.fingerprint().is_some(),
            software,
        }
    }
}

/// Who waits for the answer to an Allocate.
pub(crate) struct Requester {
    five_tuple: FiveTuple,
    credential: Arc<Credential>,
    header: Header,
    fingerprint: bool,
}

impl Requester {
    pub(crate) fn of<G>(allocation: &Allocation<G>) -> Self {
        let message_type = MessageType { class: Class::Request, method: Method::ALLOCATE };
        let header = Header::new(message_type, allocation.cold.transaction);
        let (credential, fingerprint) = (Arc::clone(&allocation.cold.credential), allocation.cold.fingerprint);
        Self { five_tuple: allocation.five_tuple, credential, header, fingerprint }
    }

    pub(crate) fn answer<'a>(&'a self, software: Option<&'a str>) -> Answer<'a> {
        let (to, header, fingerprint) = (self.five_tuple, self.header, self.fingerprint);
        Answer { to, header, key: Some(self.credential.integrity()), fingerprint, software }
    }
}

impl From<BindFailure> for ErrorCode {
    fn from(failure: BindFailure) -> Self {
        match failure {
            BindFailure::Capacity => Self::INSUFFICIENT_CAPACITY,
            BindFailure::Family => Self::ADDRESS_FAMILY_NOT_SUPPORTED,
        }
    }
}

/// What LIFETIME says: the seconds left, rounded up so that a lifetime just granted is told whole.
pub(crate) fn seconds(lifetime: Duration) -> u32 {
    u32::try_from(lifetime.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}

/// What a request or a Send indication may carry. DONT-FRAGMENT is not built yet: RFC 8656 §7.2 (step 4) and RFC 8656 §11.2 have a server
/// that cannot set the DF bit treat it as unknown.
pub(crate) fn is_known(kind: AttributeType) -> bool {
    use AttributeType as T;
    let of_the_usage = matches!(
        kind,
        T::CHANNEL_NUMBER
            | T::LIFETIME
            | T::XOR_PEER_ADDRESS
            | T::DATA
            | T::XOR_RELAYED_ADDRESS
            | T::REQUESTED_ADDRESS_FAMILY
            | T::REQUESTED_TRANSPORT
            | T::EVEN_PORT
            | T::RESERVATION_TOKEN
    );
    of_the_usage || kind.is_known_to_every_agent()
}
