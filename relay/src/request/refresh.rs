//! Receiving a Refresh request (RFC 8656 §8.2).

use std::time::Duration;

use causeway_wire::ErrorCode;
use causeway_wire::attribute::{AddressFamily, AttributeError, Lifetime, RequestedAddressFamily};
use rand::CryptoRng;

use crate::allocation::millis;
use crate::effect::EndReason;
use crate::ids::AllocationId;
use crate::memory::wheel;
use crate::quota::Ledger;
use crate::request::{Achieved, Request};
use crate::server::Server;

impl<L: Ledger, R: CryptoRng> Server<L, R> {
    /// Receives a Refresh request (RFC 8656 §8.2).
    pub(crate) fn refresh(
        &mut self,
        request: &Request<'_>,
        id: AllocationId,
    ) -> Result<Achieved, ErrorCode> {
        let now = request.now;
        let allocation = self.allocations.get(id).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        if self
            .allocations
            .cold(id)
            .is_some_and(|cold| cold.deletion == Some(request.message.transaction_id()))
        {
            return Ok(Achieved::Lifetime(Duration::ZERO));
        }
        // "If no REQUESTED-ADDRESS-FAMILY attribute is included, then the request should be treated
        // as applying to all current allocations" (RFC 8656 §8.1). "… the attribute value
        // does not match the address family of the allocation": 443.
        let family = match request.message.attribute() {
            Ok(None) => None,
            Ok(Some(RequestedAddressFamily(family)))
                if allocation.relays.of_family(family).is_some() =>
            {
                Some(family)
            }
            Ok(Some(_)) | Err(AttributeError::Family) => {
                return Err(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH);
            }
            Err(_) => return Err(ErrorCode::BAD_REQUEST),
        };
        // "If the "desired lifetime" is zero, then the request succeeds and the allocation is
        // deleted", at once (H39).
        if request.message.attribute() == Ok(Some(Lifetime(0))) {
            self.delete(request, id, family);
            return Ok(Achieved::Lifetime(Duration::ZERO));
        }
        let lifetime = self.config.limits.lifetime(request)?;
        let allocation = self.allocations.get_mut(id).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        allocation.relays.refresh(family, now.after(lifetime));
        let next_expiry = allocation.relays.next_expiry(now.monotonic);
        let cold = self.allocations.cold_mut(id).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        cold.lifetime = millis(lifetime);
        // An allocation enters the wheel again only if it would be visited too late; otherwise each
        // Refresh could leave an entry there.
        if wheel::second(next_expiry) < u64::from(cold.visit) {
            self.schedule(id, now.monotonic);
        }
        self.note_change(id);
        Ok(Achieved::Lifetime(lifetime))
    }

    /// Deletes the allocation, or its relayed address of `family`.
    fn delete(&mut self, request: &Request<'_>, id: AllocationId, family: Option<AddressFamily>) {
        let Some(allocation) = self.allocations.get(id) else { return };
        let one = family
            .filter(|_| allocation.relays.bound().count() > 1)
            .and_then(|family| allocation.relays.of_family(family));
        match one {
            Some(index) => {
                if let Some(cold) = self.allocations.cold_mut(id) {
                    cold.deletion = Some(request.message.transaction_id());
                }
                self.release(id, index, request.now.moment());
            }
            None => self.end(id, request.now.monotonic, EndReason::Released),
        }
    }
}
