use std::time::Duration;

use causeway_wire::ErrorCode;
use causeway_wire::attribute::{AddressFamily, AttributeError, Lifetime, RequestedAddressFamily};
use rand::CryptoRng;

use crate::allocations::AllocationId;
use crate::effect::EndReason;
use crate::ledger::Ledger;
use crate::request::{Achieved, Request};
use crate::server::Server;
use crate::wheel;

impl<L: Ledger, R: CryptoRng> Server<L, R> {
    /// Receiving a Refresh request (RFC 8656 §8.2).
    pub(crate) fn refresh(&mut self, request: &Request<'_>, id: AllocationId) -> Result<Achieved, ErrorCode> {
        // "… the attribute value does not match the address family of the allocation": 443.
        match request.message.attribute() {
            Ok(None) => {}
            Ok(Some(RequestedAddressFamily(family))) if self.has_family(id, family) => {}
            Ok(Some(_)) | Err(AttributeError::Family) => return Err(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH),
            Err(_) => return Err(ErrorCode::BAD_REQUEST),
        }
        let now = request.now;
        // "If the "desired lifetime" is zero, then the request succeeds and the allocation is deleted", at once (H39).
        if request.message.attribute() == Ok(Some(Lifetime(0))) {
            self.end(id, now.monotonic, EndReason::Released);
            return Ok(Achieved::Lifetime(Duration::ZERO));
        }
        let lifetime = self.config.limits.lifetime(request)?;
        let allocation = self.allocations.get_mut(id).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        allocation.cold.lifetime = lifetime;
        allocation.expires = now.after(lifetime);
        // Only what would be visited too late is put into the wheel again, or each Refresh could leave an entry there.
        if wheel::second(allocation.expires) < allocation.cold.visit {
            self.schedule(id, now.monotonic);
        }
        self.note_change(id);
        Ok(Achieved::Lifetime(lifetime))
    }

    fn has_family(&self, id: AllocationId, family: AddressFamily) -> bool {
        let allocation = self.allocations.get(id);
        allocation.is_some_and(|allocation| allocation.bound().any(|(_, relay)| AddressFamily::of(&relay.bound.ip()) == family))
    }
}
