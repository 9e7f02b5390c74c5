use std::net::SocketAddr;

use causeway_wire::attribute::{AttributeType, Data, XorPeerAddress};
use causeway_wire::{ChannelData, ChannelDataError, Class, Message, MessageWriter, Method, TransactionId, padded};
use rand::CryptoRng;

use crate::allocation::Allocation;
use crate::create_permission::is_of_family;
use crate::effect::RelayId;
use crate::five_tuple::FiveTuple;
use crate::ledger::Ledger;
use crate::now::Now;
use crate::request::is_known;
use crate::server::Server;
use crate::verdict::{Discard, Prefix, Verdict};

impl<L: Ledger, R: CryptoRng> Server<L, R> {
    /// Receiving a ChannelData message (RFC 8656 §12.6). It refreshes neither the channel nor the permission.
    pub(crate) fn channel_data(&mut self, now: Now, from: &FiveTuple, bytes: &[u8]) -> Verdict {
        let message = match ChannelData::decode(bytes, self.config.channels) {
            Ok(message) => message,
            Err(ChannelDataError::Reserved) => return Verdict::Discard(Discard::ReservedChannel),
            Err(ChannelDataError::Truncated) => return Verdict::Discard(Discard::TruncatedChannelData),
        };
        let Some((id, allocation)) = self.data_allocation(now, from) else { return Verdict::Discard(Discard::NoAllocation) };
        let Some(peer) = allocation.channels.peer(message.channel, now.monotonic) else {
            return Verdict::Discard(Discard::NoChannel);
        };
        to_peer(id, allocation, peer, ChannelData::HEADER_LEN, message.data.len())
    }

    /// Receiving a Send indication (RFC 8656 §11.2).
    pub(crate) fn send(&mut self, now: Now, from: &FiveTuple, message: &Message<'_>) -> Verdict {
        if !message.unknown_required(is_known).is_empty() {
            return Verdict::Discard(Discard::UnknownAttribute);
        }
        // The first of each counts, and what is checked is what is used (H6).
        let (Ok(Some(XorPeerAddress(peer))), Ok(Some(Data(data)))) = (message.attribute(), message.attribute()) else {
            return Verdict::Discard(Discard::MissingAttribute);
        };
        let allowed = self.config.policy.check_transport(peer).is_ok();
        let Some((id, allocation)) = self.data_allocation(now, from) else { return Verdict::Discard(Discard::NoAllocation) };
        if !is_of_family(allocation, &peer.ip()) {
            return Verdict::Discard(Discard::PeerFamily);
        }
        if !allocation.permissions.allow(&peer.ip(), now.monotonic) {
            return Verdict::Discard(Discard::NoPermission);
        }
        if !allowed {
            return Verdict::Discard(Discard::PeerDenied);
        }
        // Where DATA's value stands within the datagram that it was read from.
        let start = data.as_ptr() as usize - message.as_bytes().as_ptr() as usize;
        to_peer(id, allocation, peer, start, data.len())
    }

    /// Receiving a UDP datagram of `len` bytes from a peer at a relayed address (RFC 8656 §11.3, §12.7).
    pub fn handle_peer(&mut self, now: Now, relay: RelayId, peer: SocketAddr, len: usize) -> Verdict {
        let Some(allocation) = self.allocations.get_mut(relay.allocation) else { return Verdict::Discard(Discard::NotReady) };
        if allocation.expires <= now.monotonic || !allocation.is_ready() {
            return Verdict::Discard(Discard::NotReady);
        }
        if !allocation.permissions.allow(&peer.ip(), now.monotonic) {
            return Verdict::Discard(Discard::NoPermission);
        }
        let Ok(short) = u16::try_from(len) else { return Verdict::Discard(Discard::TooLong) };
        let client = allocation.five_tuple;
        // "the server … MUST use the ChannelData message if a channel has been bound to the peer" (RFC 8656 §12.5).
        let (prefix, padding) = if let Some(channel) = allocation.channels.number(&peer, now.monotonic) {
            let padding = if client.transport.is_stream() { ChannelData::stream_padding(len) } else { 0 };
            (Prefix::new(&ChannelData::header(channel, short)), padding)
        } else {
            let mut id = [0; 12];
            self.rng.fill_bytes(&mut id);
            let Some(prefix) = data_indication(TransactionId(id), peer, short) else { return Verdict::Discard(Discard::TooLong) };
            (prefix, padded(len) - len)
        };
        allocation.traffic.packets_to_client += 1;
        allocation.traffic.bytes_to_client += u64::from(short);
        Verdict::ToClient { client, prefix, padding }
    }

    /// The allocation that data arrives on, if it has not expired.
    fn data_allocation(&mut self, now: Now, from: &FiveTuple) -> Option<(crate::AllocationId, &mut Allocation<L::Guard>)> {
        let id = self.allocations.find(from)?;
        let allocation = self.allocations.get_mut(id)?;
        (allocation.expires > now.monotonic).then_some((id, allocation))
    }
}

fn to_peer<G>(id: crate::AllocationId, allocation: &mut Allocation<G>, peer: SocketAddr, start: usize, len: usize) -> Verdict {
    let Some((index, _)) = allocation.relay_for(&peer.ip()) else { return Verdict::Discard(Discard::PeerFamily) };
    allocation.traffic.packets_to_peer += 1;
    allocation.traffic.bytes_to_peer += len as u64;
    Verdict::ToPeer { relay: RelayId { allocation: id, index }, peer, start, end: start + len }
}

/// A Data indication up to DATA's value of `len` bytes; `None` when the message would be longer than STUN can say.
fn data_indication(id: TransactionId, peer: SocketAddr, len: u16) -> Option<Prefix> {
    let mut bytes = [0; Prefix::MAX_LEN];
    let mut writer = MessageWriter::new(&mut bytes, Class::Indication, Method::DATA, id).ok()?;
    writer.put(&XorPeerAddress(peer)).ok()?;
    let head = writer.finish();
    bytes[head..head + 2].copy_from_slice(&AttributeType::DATA.0.to_be_bytes());
    bytes[head + 2..head + 4].copy_from_slice(&len.to_be_bytes());
    let length = u16::try_from(head + 4 - causeway_wire::HEADER_LEN + padded(usize::from(len))).ok()?;
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    Some(Prefix::new(&bytes[..head + 4]))
}
