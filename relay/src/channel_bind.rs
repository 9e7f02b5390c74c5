use causeway_wire::attribute::{ChannelNumberAttribute, XorPeerAddress};
use causeway_wire::{ChannelNumber, ErrorCode};
use rand::CryptoRng;

use crate::allocations::AllocationId;
use crate::channel::{self, Channels};
use crate::create_permission::is_of_family;
use crate::ledger::Ledger;
use crate::moment::Moment;
use crate::request::{Achieved, Request};
use crate::server::Server;

impl<L: Ledger, R: CryptoRng> Server<L, R> {
    /// Receiving a ChannelBind request (RFC 8656 §12.2).
    pub(crate) fn channel_bind(&mut self, request: &Request<'_>, id: AllocationId) -> Result<Achieved, ErrorCode> {
        let (now, moment) = (request.now, request.now.moment());
        // "The request contains both a CHANNEL-NUMBER and an XOR-PEER-ADDRESS attribute"
        let (Ok(Some(ChannelNumberAttribute(number))), Ok(Some(XorPeerAddress(peer)))) =
            (request.message.attribute(), request.message.attribute())
        else {
            return Err(ErrorCode::BAD_REQUEST);
        };
        // "The channel number is in the range 0x4000 through 0x4FFF (inclusive)"
        let number = self.config.channels.channel(number).ok_or(ErrorCode::BAD_REQUEST)?;
        let allocation = self.allocations.get(id).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        // "The channel number is not currently bound to a different transport address", and the reverse.
        if !allocation.peers.may_bind(number, &peer, moment) {
            return Err(ErrorCode::BAD_REQUEST);
        }
        if !is_of_family(allocation, &peer.ip()) {
            return Err(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH);
        }
        // RFC 8656 §21.4 speaks of the client's address, the policy of the peer's.
        let policy = &self.config.policy;
        if !policy.accepts_client(request.from.client.ip()) || policy.check_transport(peer).is_err() {
            return Err(ErrorCode::FORBIDDEN);
        }
        let limits = &self.config.limits;
        let (permissions, channels) = (limits.permissions_per_allocation, limits.channels_per_allocation);
        let bound = self.change(id, |peers| {
            let has_room = has_room(&mut peers.channels, number, channels, moment);
            let is_bound = has_room && peers.permissions.install_all(&[peer.ip()], permissions, now);
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

/// Whether the number has an entry or may have one, if need be for one that has expired.
fn has_room(channels: &mut Channels, number: ChannelNumber, limit: usize, now: Moment) -> bool {
    if !channels.has(number) && channels.len() >= limit {
        channels.remove_expired(now);
    }
    channels.has(number) || channels.len() < limit
}
