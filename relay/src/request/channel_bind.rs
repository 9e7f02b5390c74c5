//! Receiving a ChannelBind request (RFC 8656 §12.2).

use causeway_wire::ErrorCode;
use causeway_wire::attribute::{ChannelNumberAttribute, XorPeerAddress};
use rand::CryptoRng;

use crate::address::PeerAddress;
use crate::ids::AllocationId;
use crate::peers::channel;
use crate::quota::Ledger;
use crate::request::{Achieved, Request};
use crate::server::Server;

impl<L: Ledger, R: CryptoRng> Server<L, R> {
    /// Receives a ChannelBind request (RFC 8656 §12.2).
    pub(crate) fn channel_bind(
        &mut self,
        request: &Request<'_>,
        id: AllocationId,
    ) -> Result<Achieved, ErrorCode> {
        let (now, moment) = (request.now, request.now.moment());
        // "The request contains both a CHANNEL-NUMBER and an XOR-PEER-ADDRESS attribute"
        let (Ok(Some(ChannelNumberAttribute(number))), Ok(Some(XorPeerAddress(peer)))) =
            (request.message.attribute(), request.message.attribute())
        else {
            return Err(ErrorCode::BAD_REQUEST);
        };
        let peer = PeerAddress(peer);
        // "The channel number is in the range 0x4000 through 0x4FFF (inclusive)"
        let number = self.config.channels.channel(number).ok_or(ErrorCode::BAD_REQUEST)?;
        let allocation = self.allocations.get(id).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        // "The channel number is not currently bound to a different transport address", and the
        // reverse.
        if !allocation.peers.may_bind(number, &peer, moment)
            || !self.ignored_may_bind(id, number, &peer, moment)
        {
            return Err(ErrorCode::BAD_REQUEST);
        }
        if !allocation.serves(&peer.ip()) {
            return Err(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH);
        }
        // RFC 8656 §21.4 is about the client's address, the policy about the peer's.
        let policy = &self.config.policy;
        if !policy.accepts_client(request.from.client.ip()) {
            return Err(ErrorCode::FORBIDDEN);
        }
        if policy.check_transport(peer).is_err() {
            if !self.ignores_denied() {
                return Err(ErrorCode::FORBIDDEN);
            }
            self.bind_ignored(now, id, number, peer)?;
            return Ok(Achieved::Done);
        }
        self.tidy_ignored(id, moment);
        self.forget_ignored(id, number);
        let limits = &self.config.limits;
        let (permissions, channels) =
            (limits.permissions_per_allocation, limits.channels_per_allocation);
        let channels = channels.saturating_sub(self.ignored_len(id));
        let bound = self.change(id, |peers| {
            let has_room = channel::has_room(&mut peers.channels, number, channels, moment);
            let is_bound =
                has_room && peers.permissions.install_all(&[peer.ip()], permissions, now);
            if is_bound {
                peers.channels.bind(number, peer, now.after(channel::LIFETIME));
            }
            is_bound
        });
        if bound != Some(true) {
            return Err(ErrorCode::INSUFFICIENT_CAPACITY);
        }
        self.note_change(id);
        Ok(Achieved::Done)
    }
}
