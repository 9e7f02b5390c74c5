//! ICMP errors about datagrams to peers, relayed to the client (RFC 8656 §11.5).

use std::net::IpAddr;

use causeway_wire::attribute::{Icmp, XorPeerAddress};
use causeway_wire::{Class, EncodeError, MessageWriter, Method, TransactionId};
use rand::CryptoRng;

use crate::address::PeerAddress;
use crate::ids::RelayId;
use crate::now::Now;
use crate::quota::Ledger;
use crate::server::Server;
use crate::verdict::{Discard, Notify};

/// An ICMP or ICMPv6 error about a datagram that a relayed address has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpNotice {
    /// The ICMP type.
    pub kind: u8,
    /// The ICMP code.
    pub code: u8,
    /// The MTU of the next hop, if the type has one.
    pub data: u32,
}

impl<L: Ledger, R: CryptoRng> Server<L, R> {
    /// Receives an ICMP packet about a datagram from a relayed address to `peer` (RFC 8656 §11.5).
    /// Where it came from does not matter: "the source IP address MUST NOT be checked against
    /// the permissions list". A channel makes no difference (RFC 8656 §12.5), and nothing but
    /// the client is told: the peer may be back at any time (H38).
    pub fn handle_icmp(
        &mut self,
        now: Now,
        relay: RelayId,
        peer: PeerAddress,
        notice: &IcmpNotice,
        out: &mut [u8],
    ) -> Result<Notify, Discard> {
        if !is_relayed(&peer.ip(), notice.kind) {
            return Err(Discard::IcmpType);
        }
        let (moment, lasting) = (now.moment(), self.config.channel_permission);
        let Some((allocation, client)) = self.allocations.get_with_five_tuple(relay.allocation)
        else {
            return Err(Discard::NotReady);
        };
        if !allocation.relays.is_ready() || !allocation.relays.is_live(relay.index, moment) {
            return Err(Discard::NotReady);
        }
        if !allocation.peers.reach(&peer, lasting, moment) {
            return Err(self.why_not_permitted(peer));
        }
        let mut id = [0; 12];
        self.rng.fill_bytes(&mut id);
        let len = indication(TransactionId(id), peer, notice, out).map_err(|_| Discard::NoSpace)?;
        Ok(Notify { client, len })
    }
}

/// "the type is either 3 or 11 for an ICMPv4 packet or either 1, 2, or 3 for an ICMPv6 packet" (RFC
/// 8656 §11.5).
fn is_relayed(peer: &IpAddr, kind: u8) -> bool {
    match peer {
        IpAddr::V4(_) => matches!(kind, 3 | 11),
        IpAddr::V6(_) => matches!(kind, 1..=3),
    }
}

fn indication(
    id: TransactionId,
    peer: PeerAddress,
    notice: &IcmpNotice,
    out: &mut [u8],
) -> Result<usize, EncodeError> {
    // "For other ICMPv6 types and ICMPv4 types and codes, the Error Data field MUST be set to zero"
    // (RFC 8656 §18.13).
    let has_mtu =
        if peer.is_ipv4() { (notice.kind, notice.code) == (3, 4) } else { notice.kind == 2 };
    let data = if has_mtu { notice.data } else { 0 };
    let mut writer = MessageWriter::new(out, Class::Indication, Method::DATA, id)?;
    writer.put(&XorPeerAddress(peer.0))?;
    writer.put(&Icmp {
        icmp_type: notice.kind,
        code: notice.code,
        error_data: data.to_be_bytes(),
    })?;
    Ok(writer.finish())
}
