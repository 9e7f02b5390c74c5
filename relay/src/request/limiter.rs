use causeway_auth::{Limiter, LimiterSettings};
use rand::{CryptoRng, Rng};

use crate::five_tuple::{FiveTuple, Transport};
use crate::now::Now;
use crate::quota::Ledger;
use crate::server::Server;
use crate::verdict::{Discard, Verdict};

/// A limiter whose places nobody outside can aim at.
pub(crate) fn limiter<R: Rng>(settings: Option<LimiterSettings>, rng: &mut R) -> Option<Limiter> {
    settings.map(|settings| Limiter::new(settings, std::array::from_fn(|_| rng.next_u64())))
}

impl<L: Ledger, R: CryptoRng> Server<L, R> {
    /// An answer to `asked` bytes from an address that may be forged, unless its victim has had its
    /// share (H11). Only datagrams in clear can be forged: TCP, TLS and DTLS have proven the
    /// address.
    pub(crate) fn unless_limited(
        &mut self,
        now: Now,
        from: &FiveTuple,
        asked: usize,
        verdict: Verdict,
    ) -> Verdict {
        let (Verdict::Respond(respond), Transport::Udp, Some(limiter)) =
            (&verdict, from.transport, &mut self.limiter)
        else {
            return verdict;
        };
        if limiter.admits(now.monotonic, from.client.ip(), asked, respond.len) {
            verdict
        } else {
            Verdict::Discard(Discard::RateLimited)
        }
    }

    /// A nonce has shown that `asked` bytes come from where they say.
    pub(crate) fn note_proven(&mut self, now: Now, from: &FiveTuple, asked: usize) {
        if let (Transport::Udp, Some(limiter)) = (from.transport, &mut self.limiter) {
            limiter.prove(now.monotonic, from.client.ip(), asked);
        }
    }
}
