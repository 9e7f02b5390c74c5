//! Receiving an Allocate request (RFC 8656 §7.2).

use std::sync::Arc;
use std::time::Duration;

use causeway_auth::Credential;
use causeway_wire::ErrorCode;
use causeway_wire::attribute::{AddressFamily, Lifetime, RequestedTransport};
use rand::CryptoRng;
use smallvec::SmallVec;

use crate::allocation::relays::{BindFailure, Relays};
use crate::allocation::table::Parts;
use crate::allocation::{Birth, Cold, Traffic, millis};
use crate::config::Limits;
use crate::effect::{Effect, WantedPort};
use crate::ids::{AllocationId, RelayId};
use crate::memory::moment::HORIZON;
use crate::peers::Peers;
use crate::quota::Ledger;
use crate::request::refusals::Budget;
use crate::request::requested::Wanted;
use crate::request::{Achieved, Request};
use crate::server::Server;

impl<L: Ledger, R: CryptoRng> Server<L, R> {
    /// Receives an Allocate request: the checks of RFC 8656 §7.2 with their numbers. Authentication
    /// (1) has been checked before, and DONT-FRAGMENT (4) with the unknown attributes.
    pub(crate) fn allocate(
        &mut self,
        request: &Request<'_>,
        found: Option<AllocationId>,
    ) -> Result<Achieved, ErrorCode> {
        // 2. "The server checks if the 5-tuple is currently in use by an existing allocation."
        if let Some(id) = found {
            return self.retransmitted(request, id);
        }
        // 3. "… REQUESTED-TRANSPORT attribute …"
        match request.message.attribute() {
            Ok(Some(RequestedTransport::UDP)) => {}
            Ok(Some(RequestedTransport(_))) => {
                return Err(ErrorCode::UNSUPPORTED_TRANSPORT_PROTOCOL);
            }
            Ok(None) | Err(_) => return Err(ErrorCode::BAD_REQUEST),
        }
        let wanted = Wanted::read(&request.message, self.config.families)?;
        let lifetime = self.config.limits.lifetime(request)?;
        // RFC 8656 §21.4: "a TURN server MUST NOT accept Teredo or 6to4 addresses in these
        // requests."
        if !self.config.policy.accepts_client(request.from.client.ip()) {
            return Err(ErrorCode::FORBIDDEN);
        }
        // 10. "At any point, the server MAY choose to reject the request with a 486 …"
        if self.allocations.len() >= self.config.limits.allocations {
            return Err(ErrorCode::INSUFFICIENT_CAPACITY);
        }
        if self.prefixes.count(request.from.client.ip())
            >= self.config.limits.allocations_per_prefix
        {
            return Err(ErrorCode::ALLOCATION_QUOTA_REACHED);
        }
        let quota = self.quota(&request.credential).ok_or(ErrorCode::ALLOCATION_QUOTA_REACHED)?;
        self.make(request, &wanted, lifetime, quota);
        Ok(Achieved::Later)
    }

    /// Takes a place in the user's quota; `None` if all are taken. A credential without a user name
    /// has no quota.
    pub(crate) fn quota(&self, credential: &Credential) -> Option<Option<L::Guard>> {
        match credential.quota_name() {
            Some(name) => self.ledger.try_acquire(name).map(Some),
            None => Some(None),
        }
    }

    /// "If all the checks pass, the server creates the allocation."
    fn make(
        &mut self,
        request: &Request<'_>,
        wanted: &Wanted,
        lifetime: Duration,
        quota: Option<L::Guard>,
    ) {
        let (now, record) = (request.now, self.rng.next_u64());
        let families = [Some(wanted.family), wanted.dual.then_some(AddressFamily::Ipv6)];
        let mut relays = Relays::binding(
            families.into_iter().flatten().map(|family| (family, now.after(lifetime))),
        );
        // 9. "If the server can partially meet the request …"
        if wanted.dual && !self.config.families.has(AddressFamily::Ipv6) {
            relays.refuse(1, BindFailure::Family);
        }
        let allocation = Parts {
            five_tuple: request.from,
            relays,
            peers: Peers::new(),
            traffic: Traffic::default(),
            cold: Cold {
                credential: Arc::clone(&request.credential),
                _quota: quota,
                transaction: request.message.transaction_id(),
                fingerprint: request.message.fingerprint().is_some(),
                protection: request.protection,
                reservation: None,
                deletion: None,
                relayed: [None; 2],
                birth: Birth::new(now.monotonic, Duration::ZERO),
                lifetime: millis(lifetime),
                visit: 0,
                record,
                shown_under: Some(self.realm),
                refusals: Budget::default(),
                ignored: None,
                unwritten: false,
                answer_pending: true,
            },
        };
        self.bind(allocation, wanted.port, now.monotonic);
    }

    /// Admits an allocation, and asks the caller for its sockets.
    fn bind(&mut self, allocation: Parts<L::Guard>, port: WantedPort, now: Duration) {
        let credential = Arc::clone(&allocation.cold.credential);
        let missing: SmallVec<[(u8, AddressFamily); 2]> = allocation.relays.missing().collect();
        let id = self.admit(allocation, now);
        for (index, family) in missing {
            let relay = RelayId { allocation: id, index };
            self.effects.push_back(Effect::Bind {
                relay,
                family,
                port,
                credential: Arc::clone(&credential),
            });
        }
    }

    /// "To detect retransmissions … the server can store the transaction id that created the
    /// request" (RFC 8656 §7.2; H36). Any other request on a 5-tuple that is in use is a
    /// mismatch.
    fn retransmitted(
        &self,
        request: &Request<'_>,
        id: AllocationId,
    ) -> Result<Achieved, ErrorCode> {
        let (Some(allocation), Some(cold)) = (self.allocations.get(id), self.allocations.cold(id))
        else {
            return Err(ErrorCode::ALLOCATION_MISMATCH);
        };
        let same = cold.transaction == request.message.transaction_id()
            && cold.credential.username() == request.credential.username();
        match (same, allocation.relays.is_ready()) {
            (true, true) => Ok(Achieved::Allocated(id)),
            (true, false) => Ok(Achieved::Later),
            (false, _) => Err(ErrorCode::ALLOCATION_MISMATCH),
        }
    }
}

impl Limits {
    /// "the server computes the minimum of the client's proposed lifetime and the server's maximum
    /// allowed lifetime. If this computed value is greater than the default lifetime, then the
    /// server uses the computed lifetime … Otherwise, the server uses the default lifetime"
    /// (RFC 8656 §7.2; H35).
    pub(crate) fn lifetime(&self, request: &Request<'_>) -> Result<Duration, ErrorCode> {
        match request.message.attribute::<Lifetime>() {
            Ok(Some(Lifetime(proposed))) => Ok(Duration::from_secs(proposed.into())
                .min(self.max_lifetime)
                .max(self.default_lifetime)
                .min(HORIZON)),
            Ok(None) => Ok(self.default_lifetime.min(HORIZON)),
            Err(_) => Err(ErrorCode::BAD_REQUEST),
        }
    }
}
