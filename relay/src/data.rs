//! Application data in both directions (RFC 8656 §11, §12): ChannelData, Send indications, and
//! datagrams from peers.

use std::net::IpAddr;
use std::ops::Range;

use causeway_wire::attribute::{AttributeType, Data, DontFragment, XorPeerAddress};
use causeway_wire::{
    ChannelData, ChannelDataError, Class, Message, MessageWriter, Method, TransactionId, padded,
};
use rand::CryptoRng;

use crate::address::PeerAddress;
use crate::allocation::Allocation;
use crate::five_tuple::FiveTuple;
use crate::ids::RelayId;
use crate::now::Now;
use crate::peers::permission::ChannelPermission;
use crate::quota::Ledger;
use crate::request::attributes::is_known;
use crate::server::Server;
use crate::verdict::{Discard, Prefix, ToClient, ToPeer};

impl<L: Ledger, R: CryptoRng> Server<L, R> {
    /// Receives a ChannelData message (RFC 8656 §12.6). It refreshes neither the channel nor the
    /// permission. A live channel is sufficient: by RFC 8656 §12.6 the client checks the
    /// permission, and the server the channel.
    pub(crate) fn channel_data(
        &mut self,
        now: Now,
        from: &FiveTuple,
        bytes: &[u8],
    ) -> Result<ToPeer, Discard> {
        let message = match ChannelData::decode(bytes, self.config.channels) {
            Ok(message) => message,
            Err(ChannelDataError::Reserved) => return Err(Discard::ReservedChannel),
            Err(ChannelDataError::Truncated) => {
                return Err(Discard::TruncatedChannelData);
            }
        };
        let now = now.moment();
        let Some((id, allocation)) = self.allocations.find_live_mut(from, now) else {
            return Err(Discard::NoAllocation);
        };
        let Some(peer) = allocation.peers.channel(message.channel, now) else {
            return Err(self.why_no_channel(id, message.channel, now));
        };
        let Some(index) = allocation.relays.for_peer(&peer.ip(), now) else {
            return Err(Discard::NoChannel);
        };
        let policy = &self.config.policy;
        if policy.has_wildcard_listener(peer.port()) && policy.check_datagram(peer).is_err() {
            return Err(Discard::PeerDenied);
        }
        let data = ChannelData::HEADER_LEN..ChannelData::HEADER_LEN + message.data.len();
        Ok(to_peer(RelayId { allocation: id, index }, allocation, peer, data, false))
    }

    /// Receives a Send indication (RFC 8656 §11.2).
    pub(crate) fn send(
        &mut self,
        now: Now,
        from: &FiveTuple,
        message: &Message<'_>,
    ) -> Result<ToPeer, Discard> {
        if !message.unknown_required(is_known).is_empty() {
            return Err(Discard::UnknownAttribute);
        }
        // The first attribute of each type counts, and the value that is checked is the one that is
        // used (H6).
        let (Ok(Some(XorPeerAddress(peer))), Ok(Some(Data(data)))) =
            (message.attribute(), message.attribute())
        else {
            return Err(Discard::MissingAttribute);
        };
        let peer = PeerAddress(peer);
        let (now, lasting) = (now.moment(), self.config.channel_permission);
        let Some((id, allocation)) = self.allocations.find_live_mut(from, now) else {
            return Err(Discard::NoAllocation);
        };
        // An IPv4-mapped address is of neither family (H1).
        let relay =
            allocation.relays.for_peer(&peer.ip(), now).filter(|_| allocation.serves(&peer.ip()));
        let Some(index) = relay else { return Err(Discard::PeerFamily) };
        if !allocation.peers.reach(&peer, lasting, now) {
            return Err(self.why_not_permitted(peer));
        }
        // Last: for the port of a listener the policy asks the operating system, and clients
        // without a permission must not be able to cause that.
        if self.config.policy.check_datagram(peer).is_err() {
            return Err(Discard::PeerDenied);
        }
        // The offset of DATA's value within the message that it was read from.
        let start = data.as_ptr() as usize - message.as_bytes().as_ptr() as usize;
        let dont_fragment =
            message.attribute() == Ok(Some(DontFragment)) && sets_dont_fragment(from, &peer.ip());
        let relay = RelayId { allocation: id, index };
        Ok(to_peer(relay, allocation, peer, start..start + data.len(), dont_fragment))
    }

    /// Receives a UDP datagram of `len` bytes from a peer at a relayed address (RFC 8656 §11.3,
    /// §12.7). The bytes themselves do not matter to the decision.
    ///
    /// # Errors
    /// [`Discard`]: why nothing is sent.
    pub fn handle_peer(
        &mut self,
        now: Now,
        relay: RelayId,
        peer: PeerAddress,
        len: usize,
    ) -> Result<ToClient, Discard> {
        let (now, lasting) = (now.moment(), self.config.channel_permission);
        let Some((allocation, client)) = self.allocations.get_with_five_tuple(relay.allocation)
        else {
            return Err(Discard::NotReady);
        };
        if !allocation.relays.is_ready() || !allocation.relays.is_live(relay.index, now) {
            return Err(Discard::NotReady);
        }
        // A live channel is looked up first: it permits its peer and decides the form (H46).
        let channel = allocation.peers.number(&peer, now);
        let is_permitted = channel.is_some() && lasting == ChannelPermission::WithChannel
            || allocation.peers.allow(&peer.ip(), now);
        if !is_permitted {
            return Err(self.why_not_permitted(peer));
        }
        let Ok(short) = u16::try_from(len) else { return Err(Discard::TooLong) };
        // "the server … MUST use the ChannelData message if a channel has been bound to the peer"
        // (RFC 8656 §12.5).
        let (prefix, padding) = if let Some(channel) = channel {
            let padding =
                if client.transport.is_stream() { ChannelData::stream_padding(len) } else { 0 };
            (Prefix::new(&ChannelData::header(channel, short)), padding as u8)
        } else {
            let mut id = [0; 12];
            self.rng.fill_bytes(&mut id);
            let Some(prefix) = data_indication(TransactionId(id), peer, short) else {
                return Err(Discard::TooLong);
            };
            (prefix, (padded(len) - len) as u8)
        };
        allocation.traffic.packets_to_client += 1;
        allocation.traffic.bytes_to_client += u64::from(short);
        Ok(ToClient { client, prefix, padding, carry_tos: !client.transport.is_stream() })
    }
}

/// Sends the `data` range of the client's message from the relayed address to the peer.
#[inline]
fn to_peer(
    relay: RelayId,
    allocation: &mut Allocation,
    peer: PeerAddress,
    data: Range<usize>,
    dont_fragment: bool,
) -> ToPeer {
    allocation.traffic.packets_to_peer += 1;
    allocation.traffic.bytes_to_peer += data.len() as u64;
    // Between datagrams both fields are copied, across families too (RFC 8656 §13.1, RFC 8656
    // §14); from a connection they have their defaults (RFC 8656 §15). DTLS runs over datagrams.
    let carry_tos = !allocation.transport().is_stream();
    // A message is at most 65,555 bytes long.
    let data = (data.start as u32, data.end as u32);
    ToPeer { relay, peer, data, dont_fragment, carry_tos }
}

/// Whether DONT-FRAGMENT sets the DF bit: from datagrams only from IPv4 to IPv4, else "the
/// DONT-FRAGMENT attribute MUST be ignored by the server" (RFC 8656 §13.1, RFC 8656 §13.2, RFC 8656
/// §13.3); "ignoring the DONT-FRAGMENT attribute is only applicable for UDP-to-UDP relay and not
/// for TCP-to-UDP relay" (RFC 8656 §13).
fn sets_dont_fragment(from: &FiveTuple, peer: &IpAddr) -> bool {
    from.transport.is_stream() || from.client.is_ipv4() && peer.is_ipv4()
}

/// A Data indication up to DATA's value of `len` bytes; `None` when the message would be too long
/// for STUN's length field.
fn data_indication(id: TransactionId, peer: PeerAddress, len: u16) -> Option<Prefix> {
    let mut bytes = [0; Prefix::MAX_LEN];
    let mut writer = MessageWriter::new(&mut bytes, Class::Indication, Method::DATA, id).ok()?;
    writer.put(&XorPeerAddress(peer.0)).ok()?;
    let head = writer.finish();
    bytes[head..head + 2].copy_from_slice(&AttributeType::DATA.0.to_be_bytes());
    bytes[head + 2..head + 4].copy_from_slice(&len.to_be_bytes());
    let length =
        u16::try_from(head + 4 - causeway_wire::HEADER_LEN + padded(usize::from(len))).ok()?;
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    Some(Prefix::new(&bytes[..head + 4]))
}
