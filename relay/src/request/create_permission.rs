//! Receiving a CreatePermission request (RFC 8656 §10.2).

use std::net::IpAddr;

use causeway_wire::ErrorCode;
use causeway_wire::attribute::XorPeerAddress;
use rand::CryptoRng;
use smallvec::SmallVec;

use crate::ids::AllocationId;
use crate::now::Now;
use crate::quota::Ledger;
use crate::request::{Achieved, Request};
use crate::server::Server;

impl<L: Ledger, R: CryptoRng> Server<L, R> {
    /// Receives a CreatePermission request (RFC 8656 §10.2). It is atomic: one refused peer refuses
    /// the whole request (H6).
    pub(crate) fn create_permission(
        &mut self,
        request: &Request<'_>,
        id: AllocationId,
    ) -> Result<Achieved, ErrorCode> {
        let (now, limit) = (request.now, self.config.limits.permissions_per_allocation);
        // "If no such attribute exists, or if any of these attributes are invalid, then a 400 (Bad
        // Request) error is returned."
        let mut peers: SmallVec<[IpAddr; 8]> = SmallVec::new();
        for peer in request.message.all::<XorPeerAddress>() {
            let XorPeerAddress(peer) = peer.map_err(|_| ErrorCode::BAD_REQUEST)?;
            if peers.len() == limit {
                return Err(ErrorCode::INSUFFICIENT_CAPACITY);
            }
            peers.push(peer.ip());
        }
        if peers.is_empty() {
            return Err(ErrorCode::BAD_REQUEST);
        }
        let allocation = self.allocations.get(id).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        if !peers.iter().all(|peer| allocation.serves(peer)) {
            return Err(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH);
        }
        // A permission for a denied peer is never installed, whatever the response is.
        let asked = peers.len();
        peers.retain(|peer| self.config.policy.check_address(*peer).is_ok());
        if peers.len() < asked && !self.ignores_denied() {
            return Err(ErrorCode::FORBIDDEN);
        }
        if peers.is_empty() {
            return Ok(Achieved::Done);
        }
        self.install_permissions(id, &peers, now)?;
        Ok(Achieved::Done)
    }

    /// Installs or refreshes permissions: all, or none.
    pub(crate) fn install_permissions(
        &mut self,
        id: AllocationId,
        peers: &[IpAddr],
        now: Now,
    ) -> Result<(), ErrorCode> {
        let limit = self.config.limits.permissions_per_allocation;
        let installed = self.change(id, |tables| tables.permissions.install_all(peers, limit, now));
        if installed != Some(true) {
            return Err(ErrorCode::INSUFFICIENT_CAPACITY);
        }
        self.note_change(id);
        Ok(())
    }
}
