use std::time::Duration;

use rand::CryptoRng;

use crate::five_tuple::{FiveTuple, Transport};
use crate::ids::AllocationId;
use crate::now::Now;
use crate::quota::Ledger;
use crate::server::Server;
use crate::verdict::{Discard, Reply};

impl<L: Ledger, R: CryptoRng> Server<L, R> {
    /// An answer to `asked` bytes from an address that may be forged, unless its victim has had its
    /// share (H11). Only datagrams in clear can be forged: TCP, TLS and DTLS have proven the
    /// address.
    pub(crate) fn unless_limited(
        &mut self,
        now: Now,
        from: &FiveTuple,
        asked: usize,
        verdict: Reply,
    ) -> Reply {
        let (Reply::Respond(respond), Transport::Udp, Some(limiter)) =
            (&verdict, from.transport, &mut self.limiter)
        else {
            return verdict;
        };
        if limiter.admits(now.monotonic, from.client.ip(), asked, respond.len) {
            verdict
        } else {
            Reply::Discard(Discard::RateLimited)
        }
    }

    /// A nonce has shown that `asked` bytes come from where they say.
    pub(crate) fn note_proven(&mut self, now: Now, from: &FiveTuple, asked: usize) {
        if let (Transport::Udp, Some(limiter)) = (from.transport, &mut self.limiter) {
            limiter.prove(now.monotonic, from.client.ip(), asked);
        }
    }

    /// Whether one more refusal may be answered to an authenticated client: out of the budget of
    /// its own allocation, or of its 5-tuple's.
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
