use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use causeway_wire::ErrorCode;
use causeway_wire::attribute::{
    AddressFamily, AttributeError, AttributeType, EvenPort, Lifetime, RequestedAddressFamily, RequestedTransport, ReservationToken,
};
use rand::CryptoRng;

use crate::allocation::{Allocation, Cold, Relay, RelayedTransportAddress, Traffic};
use crate::allocations::AllocationId;
use crate::answer;
use crate::channel::Channels;
use crate::config::Limits;
use crate::effect::{Effect, RelayId, WantedPort};
use crate::ledger::Ledger;
use crate::now::Now;
use crate::permission::Permissions;
use crate::request::{Achieved, Request, Requester, seconds};
use crate::server::Server;
use crate::verdict::{Discard, Verdict};

impl<L: Ledger, R: CryptoRng> Server<L, R> {
    /// Receiving an Allocate request: the checks of RFC 8656 §7.2 with their numbers. The first, authentication, has been made; that of
    /// DONT-FRAGMENT (4) ends in 420 before this, for no DF bit is set yet; and the rest of those of ADDITIONAL-ADDRESS-FAMILY (9) is not
    /// made: comprehension-optional, it is ignored until it is built.
    pub(crate) fn allocate(&mut self, request: &Request<'_>, found: Option<AllocationId>) -> Result<Achieved, ErrorCode> {
        // 2. "The server checks if the 5-tuple is currently in use by an existing allocation."
        if let Some(allocation) = found.and_then(|id| self.allocations.get(id).map(|allocation| (id, allocation))) {
            return retransmitted(request, allocation.0, allocation.1);
        }
        // 3. "… REQUESTED-TRANSPORT attribute …"
        match request.message.attribute() {
            Ok(Some(RequestedTransport::UDP)) => {}
            Ok(Some(RequestedTransport(_))) => return Err(ErrorCode::UNSUPPORTED_TRANSPORT_PROTOCOL),
            Ok(None) | Err(_) => return Err(ErrorCode::BAD_REQUEST),
        }
        // 5. "… RESERVATION-TOKEN …": no port is reserved yet, so no token is valid.
        let has = |kind| request.message.has(kind);
        if has(AttributeType::RESERVATION_TOKEN) {
            let excluded = [AttributeType::EVEN_PORT, AttributeType::REQUESTED_ADDRESS_FAMILY, AttributeType::ADDITIONAL_ADDRESS_FAMILY];
            let contradicts = excluded.into_iter().any(has) || request.message.attribute::<ReservationToken>().is_err();
            return Err(if contradicts { ErrorCode::BAD_REQUEST } else { ErrorCode::INSUFFICIENT_CAPACITY });
        }
        // 6. "… both REQUESTED-ADDRESS-FAMILY and ADDITIONAL-ADDRESS-FAMILY attributes."
        if has(AttributeType::REQUESTED_ADDRESS_FAMILY) && has(AttributeType::ADDITIONAL_ADDRESS_FAMILY) {
            return Err(ErrorCode::BAD_REQUEST);
        }
        // 7. "If the server does not support the address family requested by the client …"
        let family = match request.message.attribute() {
            Ok(requested) => requested.map_or(AddressFamily::Ipv4, |RequestedAddressFamily(family)| family),
            Err(AttributeError::Family) => return Err(ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED),
            Err(_) => return Err(ErrorCode::BAD_REQUEST),
        };
        if !self.config.families.has(family) {
            return Err(ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED);
        }
        // 8. "… an EVEN-PORT attribute with the R bit set to 1 …": no port is reserved yet, so that "the server cannot satisfy the request".
        let port = match request.message.attribute() {
            Ok(None) => WantedPort::Any,
            Ok(Some(EvenPort { reserve: false })) => WantedPort::Even,
            Ok(Some(EvenPort { reserve: true })) if has(AttributeType::ADDITIONAL_ADDRESS_FAMILY) => return Err(ErrorCode::BAD_REQUEST),
            Ok(Some(EvenPort { reserve: true })) => return Err(ErrorCode::INSUFFICIENT_CAPACITY),
            Err(_) => return Err(ErrorCode::BAD_REQUEST),
        };
        let lifetime = self.config.limits.lifetime(request)?;
        // RFC 8656 §21.4: "a TURN server MUST NOT accept Teredo or 6to4 addresses in these requests."
        if !self.config.policy.accepts_client(request.from.client.ip()) {
            return Err(ErrorCode::FORBIDDEN);
        }
        // 10. "At any point, the server MAY choose to reject the request with a 486 …"
        if self.allocations.len() >= self.config.limits.allocations {
            return Err(ErrorCode::INSUFFICIENT_CAPACITY);
        }
        if self.prefixes.count(request.from.client.ip()) >= self.config.limits.allocations_per_prefix {
            return Err(ErrorCode::ALLOCATION_QUOTA_REACHED);
        }
        let quota = self.ledger.try_acquire(request.credential.quota_name()).ok_or(ErrorCode::ALLOCATION_QUOTA_REACHED)?;
        self.make(request, (family, port), lifetime, quota);
        Ok(Achieved::Later)
    }

    /// "If all the checks pass, the server creates the allocation."
    fn make(&mut self, request: &Request<'_>, (family, port): (AddressFamily, WantedPort), lifetime: Duration, quota: L::Guard) {
        let now = request.now;
        let record = self.rng.next_u64();
        let allocation = Allocation {
            five_tuple: request.from,
            expires: now.after(lifetime),
            relays: [Relay::Binding(family), Relay::Absent],
            permissions: Permissions::new(),
            channels: Channels::new(),
            traffic: Traffic::default(),
            cold: Box::new(Cold {
                credential: Arc::clone(&request.credential),
                _quota: quota,
                transaction: request.message.transaction_id(),
                fingerprint: request.message.fingerprint().is_some(),
                created: now.monotonic,
                age_before: Duration::ZERO,
                lifetime,
                visit: 0,
                record,
                unwritten: false,
                answer_pending: true,
            }),
        };
        let id = self.admit(allocation, now.monotonic);
        self.effects.push_back(Effect::Bind { relay: RelayId { allocation: id, index: 0 }, family, port });
    }

    /// The relayed socket stands: the allocation's first answer, or a restored one's silence.
    pub(crate) fn relay_bound(&mut self, now: Now, id: RelayId, bound: SocketAddr, advertised: SocketAddr, out: &mut [u8]) -> Verdict {
        let live = self.allocations.len();
        let wanted = self.allocations.get_mut(id.allocation).and_then(|allocation| {
            let relay = allocation.relays.get_mut(usize::from(id.index)).filter(|relay| matches!(relay, Relay::Binding(_)))?;
            *relay = Relay::Bound(RelayedTransportAddress { bound, advertised });
            Some(allocation)
        });
        let Some(allocation) = wanted else {
            // It ended while the socket was being bound; or this was said before.
            let allocation = self.allocations.get(id.allocation);
            if !allocation.is_some_and(|allocation| allocation.bound().any(|(_, relay)| relay.bound == bound)) {
                self.effects.push_back(Effect::Release { relay: id, bound });
            }
            return Verdict::Discard(Discard::NotReady);
        };
        if !allocation.is_ready() || !allocation.cold.answer_pending {
            return Verdict::Later;
        }
        self.changes.changed(id.allocation, &mut allocation.cold.unwritten, live);
        allocation.cold.answer_pending = false;
        allocation.expires = now.after(allocation.cold.lifetime);
        let lifetime = seconds(allocation.cold.lifetime);
        let requester = Requester::of(allocation);
        requester.answer(self.config.software.as_deref()).success(out, |writer| answer::allocated(allocation, lifetime, writer))
    }
}

/// "To detect retransmissions … the server can store the transaction id that created the request" (RFC 8656 §7.2; H36). Any other request on
/// a 5-tuple that is in use is a mismatch.
fn retransmitted<G>(request: &Request<'_>, id: AllocationId, allocation: &Allocation<G>) -> Result<Achieved, ErrorCode> {
    let same = allocation.cold.transaction == request.message.transaction_id()
        && allocation.cold.credential.username() == request.credential.username();
    match (same, allocation.is_ready()) {
        (true, true) => Ok(Achieved::Allocated(id)),
        (true, false) => Ok(Achieved::Later),
        (false, _) => Err(ErrorCode::ALLOCATION_MISMATCH),
    }
}

impl Limits {
    /// "the server computes the minimum of the client's proposed lifetime and the server's maximum allowed lifetime. If this computed value is
    /// greater than the default lifetime, then the server uses the computed lifetime … Otherwise, the server uses the default lifetime"
    /// (RFC 8656 §7.2; H35).
    pub(crate) fn lifetime(&self, request: &Request<'_>) -> Result<Duration, ErrorCode> {
        match request.message.attribute::<Lifetime>() {
            Ok(Some(Lifetime(proposed))) => Ok(Duration::from_secs(proposed.into()).min(self.max_lifetime).max(self.default_lifetime)),
            Ok(None) => Ok(self.default_lifetime),
            Err(_) => Err(ErrorCode::BAD_REQUEST),
        }
    }
}
