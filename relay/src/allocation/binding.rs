//! From the report on a relayed socket to the response to the Allocate request.

use std::sync::Arc;

use causeway_auth::{Credential, Protection};
use causeway_wire::{Class, ErrorCode, Header, MessageType, Method};
use rand::CryptoRng;

use crate::allocation::Cold;
use crate::allocation::relays::{BindFailure, RelayedTransportAddress, Relays};
use crate::allocation::table::Allocations;
use crate::effect::{Effect, EndReason};
use crate::five_tuple::FiveTuple;
use crate::ids::{AllocationId, RelayId};
use crate::now::Now;
use crate::quota::Ledger;
use crate::request::answer::{self, Answer, seconds};
use crate::server::Server;
use crate::verdict::{Discard, Reply};

impl<L: Ledger, R: CryptoRng> Server<L, R> {
    /// Takes a relayed socket that was bound.
    pub(crate) fn relay_bound(
        &mut self,
        now: Now,
        id: RelayId,
        address: RelayedTransportAddress,
        reservation: Option<[u8; 8]>,
        out: &mut [u8],
    ) -> Reply {
        let allocation = self.allocations.get_mut(id.allocation);
        if let Some(allocation) =
            allocation.filter(|allocation| allocation.relays.is_binding(id.index))
        {
            allocation.relays.bind(id.index, address.family());
            self.allocations.set_relayed(id.allocation, id.index, &address);
            if let Some(cold) = self.allocations.cold_mut(id.allocation) {
                cold.reservation = reservation.or(cold.reservation);
            }
            return self.when_ready(now, id.allocation, out);
        }
        // The allocation ended while the socket was being bound, or this was reported before.
        let allocation = self.allocations.get(id.allocation);
        let is_its = |index| {
            self.allocations
                .relayed(id.allocation, index)
                .is_some_and(|relay| relay.bound == address.bound)
        };
        if !allocation.is_some_and(|allocation| allocation.relays.bound().any(is_its)) {
            self.effects.push_back(Effect::Release { relay: id, bound: address.bound });
        }
        Reply::Discard(Discard::NotReady)
    }

    /// Notes that a relayed socket could not be bound. A dual allocation continues with the other
    /// one (RFC 8656 §7.2, check 9).
    pub(crate) fn relay_failed(
        &mut self,
        now: Now,
        id: RelayId,
        failure: BindFailure,
        out: &mut [u8],
    ) -> Reply {
        let refused = self
            .allocations
            .get_mut(id.allocation)
            .is_some_and(|allocation| allocation.relays.refuse(id.index, failure));
        if refused {
            self.when_ready(now, id.allocation, out)
        } else {
            Reply::Discard(Discard::NotReady)
        }
    }

    /// The reply to the Allocate request once the last relayed address is bound or has failed. A
    /// restored allocation has no request to reply to.
    fn when_ready(&mut self, now: Now, id: AllocationId, out: &mut [u8]) -> Reply {
        let Some(relays) =
            self.allocations.get(id).map(|allocation| allocation.relays).filter(Relays::is_ready)
        else {
            return Reply::Later;
        };
        let answer_pending = self
            .allocations
            .cold_mut(id)
            .is_some_and(|cold| std::mem::take(&mut cold.answer_pending));
        let Some(requester) = Requester::of(&self.allocations, id) else {
            return Reply::Discard(Discard::NotReady);
        };
        if relays.bound().next().is_none() {
            let code = failure(relays.refused().map(|(_, failure)| failure));
            self.end(id, now.monotonic, EndReason::BindFailed);
            return match answer_pending {
                true if !self.may_refuse(now.monotonic, requester.five_tuple(), None) => {
                    Reply::Discard(Discard::RefusalsSpent)
                }
                true => requester.answer(self.config.software.as_deref()).error(code, &[], out),
                false => Reply::Later,
            };
        }
        if !answer_pending {
            self.resume(now, id);
            return Reply::Later;
        }
        let lifetime = self.allocations.cold(id).map(Cold::lifetime).unwrap_or_default();
        if let Some(allocation) = self.allocations.get_mut(id) {
            allocation.relays.refresh(None, now.after(lifetime));
        }
        self.note_change(id);
        let answer = requester.answer(self.config.software.as_deref());
        answer.success(out, |writer| {
            answer::allocated(&self.allocations, id, seconds(lifetime), writer)
        })
    }

    /// Resumes a restored allocation, with the relayed addresses that could be bound.
    fn resume(&mut self, now: Now, id: AllocationId) {
        let lost = self
            .allocations
            .get(id)
            .is_some_and(|allocation| allocation.relays.refused().next().is_some());
        if lost {
            self.change_allocation(id, |allocation| {
                allocation.relays.forget_refused();
                allocation.drop_unserved();
            });
            self.schedule(id, now.monotonic);
        }
        self.note_change(id);
    }
}

/// The client that waits for the response to an Allocate.
pub(crate) struct Requester {
    five_tuple: FiveTuple,
    credential: Arc<Credential>,
    protection: Protection,
    header: Header,
    fingerprint: bool,
}

impl Requester {
    pub(crate) fn of<G>(allocations: &Allocations<G>, id: AllocationId) -> Option<Self> {
        let (cold, five_tuple) = (allocations.cold(id)?, allocations.five_tuple(id)?);
        let message_type = MessageType { class: Class::Request, method: Method::ALLOCATE };
        let header = Header::new(message_type, cold.transaction);
        let (credential, protection) = (Arc::clone(&cold.credential), cold.protection);
        Some(Self { five_tuple, credential, protection, header, fingerprint: cold.fingerprint })
    }

    pub(crate) fn five_tuple(&self) -> &FiveTuple {
        &self.five_tuple
    }

    pub(crate) fn answer<'a>(&'a self, software: Option<&'a str>) -> Answer<'a> {
        let (to, header, fingerprint) = (self.five_tuple, self.header, self.fingerprint);
        Answer {
            to,
            header,
            proven: Some((&self.credential, self.protection)),
            fingerprint,
            software,
        }
    }
}

/// The error code when no relayed address could be bound: 440 if only for the family.
fn failure(mut failures: impl Iterator<Item = BindFailure>) -> ErrorCode {
    let of_family = failures.all(|failure| failure == BindFailure::Family);
    if of_family {
        ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED
    } else {
        ErrorCode::INSUFFICIENT_CAPACITY
    }
}
