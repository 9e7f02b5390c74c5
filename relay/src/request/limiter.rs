//! Limits on responses: to addresses that may be forged (row H11), and to clients that repeat
//! refused requests (row H33).

use std::time::Duration;

use rand::CryptoRng;

use crate::five_tuple::{FiveTuple, Transport};
use crate::ids::AllocationId;
use crate::now::Now;
use crate::quota::Ledger;
use crate::server::Server;
use crate::verdict::{Discard, Reply};

impl<L: Ledger, R: CryptoRng> Server<L, R> {
    /// The reply to `asked` bytes, unless their source address may be forged and has been sent its
    /// share (H11). Only the source of plain UDP can be forged: TCP, TLS and DTLS have proven the
    /// address.
    pub(crate) fn unless_limited(
        &mut self,
        now: Now,
        from: &FiveTuple,
        asked: usize,
        reply: Reply,
    ) -> Reply {
        let (Reply::Respond(respond), Transport::Udp, Some(limiter)) =
            (&reply, from.transport, &mut self.limiter)
        else {
            return reply;
        };
        if limiter.admits(now.monotonic, from.client.ip(), asked, respond.len) {
            reply
        } else {
            Reply::Discard(Discard::RateLimited)
        }
    }

    /// Notes that a nonce has proven the source address of `asked` bytes.
    pub(crate) fn note_proven(&mut self, now: Now, from: &FiveTuple, asked: usize) {
        if let (Transport::Udp, Some(limiter)) = (from.transport, &mut self.limiter) {
            limiter.prove(now.monotonic, from.client.ip(), asked);
        }
    }

    /// Whether an authenticated client may be sent one more refusal, from the budget of its own
    /// allocation, or of its 5-tuple.
    pub(crate) fn may_refuse(
        &mut self,
        now: Duration,
        from: &FiveTuple,
        own: Option<AllocationId>,
    ) -> bool {
        let budget = match own.and_then(|id| self.allocations.cold_mut(id)) {
            Some(cold) => &mut cold.refusals,
            None => self.refusals.of(from),
        };
        budget.spend(now)
    }
}
