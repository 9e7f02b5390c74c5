use causeway_wire::attribute::{ChannelNumberAttribute, XorPeerAddress};
use causeway_wire::{ChannelNumber, ErrorCode};
use rand::CryptoRng;

use crate::allocations::AllocationId;
use crate::channel;
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
        if !allocation.peers.tables().channels.may_bind(number, &peer, moment) {
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
        self.make_room_for_channel(id, number, moment)?;
        self.install_permissions(id, &[peer.ip()], now)?;
        self.change(id, |peers| peers.channels.bind(number, peer, now.after(channel::LIFETIME)));
        Ok(Achieved::Done)
    }

    fn make_room_for_channel(&mut self, id: AllocationId, number: ChannelNumber, now: Moment) -> Result<(), ErrorCode> {
        let limit = self.config.limits.channels_per_allocation;
        let has_room = self.change(id, |peers| {
            let channels = &mut peers.channels;
            if !channels.has(number) && channels.len() >= limit {
                channels.remove_expired(now);
            }
            channels.has(number) || channels.len() < limit
        });
        if has_room == Some(true) { Ok(()) } else { Err(ErrorCode::INSUFFICIENT_CAPACITY) }
    }
}
