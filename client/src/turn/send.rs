//! Data to peers: the headers of ChannelData messages and Send indications.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use causeway_wire::attribute::{AttributeType, DontFragment, XorPeerAddress};
use causeway_wire::{ChannelData, Class, HEADER_LEN, MessageWriter, Method, padded};

use super::client::TurnClient;

/// Number of bytes to leave free in front of data: a Send indication with DONT-FRAGMENT to an IPv6
/// peer needs all of them.
pub const HEADROOM: usize = 52;
/// Number of bytes to leave free behind data, for padding.
pub const TAILROOM: usize = 3;

/// Why data cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No permission is installed for the peer, or there is no allocation: the server would drop it
    /// (RFC 8656 §11.2).
    #[error("no permission is installed for the peer")]
    NoPermission,
    /// Fewer than [`HEADROOM`] bytes in front, or [`TAILROOM`] behind.
    #[error("the buffer leaves no room for the header or the padding")]
    NoRoom,
    /// The configuration did not request DONT-FRAGMENT for the allocation.
    #[error("the allocation was not requested with DONT-FRAGMENT")]
    MayBeFragmented,
    /// The data is longer than a message can carry.
    #[error("more data than a message can carry")]
    TooLong,
}

impl TurnClient {
    /// Writes the header in front of `buffer[data]` and the padding behind it. Send
    /// `buffer[range]`, with the returned range, to the server: ChannelData if a channel is bound
    /// to the peer, otherwise a Send indication (RFC 8656 §11.1, §12.5).
    ///
    /// # Errors
    /// [`SendError`]; the data is then unchanged.
    pub fn wrap(
        &mut self,
        now: Duration,
        peer: SocketAddr,
        buffer: &mut [u8],
        data: Range<usize>,
    ) -> Result<Range<usize>, SendError> {
        let len = length(buffer, &data)?;
        if let Some(number) = self.channels.to(peer, now) {
            // "Over UDP, the padding is not required" (RFC 8656 §12.5).
            let padding = if self.exchange.transport().is_stream() {
                ChannelData::stream_padding(len.into())
            } else {
                0
            };
            return put_around(buffer, data, &ChannelData::header(number, len), padding);
        }
        self.indicate(now, peer, buffer, data, false)
    }

    /// Like [`wrap`](Self::wrap), for a datagram that must not be fragmented on its way to the peer
    /// (RFC 8656 §11.1): always a Send indication, with DONT-FRAGMENT. For one that is too large
    /// for the path, [`Event::Unreachable`](crate::Event::Unreachable) may follow.
    ///
    /// # Errors
    /// [`SendError`]; the data is then unchanged. [`SendError::MayBeFragmented`] unless the
    /// allocation was requested with DONT-FRAGMENT.
    pub fn wrap_unfragmented(
        &mut self,
        now: Duration,
        peer: SocketAddr,
        buffer: &mut [u8],
        data: Range<usize>,
    ) -> Result<Range<usize>, SendError> {
        // A server that does not know the attribute drops the indication, so the Allocate request
        // must have asked for it (RFC 8656 §7.1).
        if self.config.dont_fragment {
            self.indicate(now, peer, buffer, data, true)
        } else {
            Err(SendError::MayBeFragmented)
        }
    }

    /// Writes a Send indication around the data.
    fn indicate(
        &mut self,
        now: Duration,
        peer: SocketAddr,
        buffer: &mut [u8],
        data: Range<usize>,
        whole: bool,
    ) -> Result<Range<usize>, SendError> {
        if self.allocated().is_none() || !self.permissions.permits(peer.ip(), now) {
            return Err(SendError::NoPermission);
        }
        let len = length(buffer, &data)?;
        let mut header = [0; HEADROOM];
        let header = self.send_header(&mut header, peer, len, whole)?;
        put_around(buffer, data, header, padded(len.into()) - usize::from(len))
    }

    /// Writes a Send indication up to the value of DATA, which follows.
    fn send_header<'h>(
        &mut self,
        header: &'h mut [u8; HEADROOM],
        peer: SocketAddr,
        len: u16,
        whole: bool,
    ) -> Result<&'h [u8], SendError> {
        let id = self.exchange.transaction_id();
        let mut writer = MessageWriter::new(header, Class::Indication, Method::SEND, id)
            .map_err(|_| SendError::NoRoom)?;
        writer.put(&XorPeerAddress(peer)).map_err(|_| SendError::NoRoom)?;
        if whole {
            writer.put(&DontFragment).map_err(|_| SendError::NoRoom)?;
        }
        let end = writer.finish();
        let attributes = end + 4 - HEADER_LEN + padded(len.into());
        let attributes = u16::try_from(attributes).map_err(|_| SendError::TooLong)?;
        header[2..4].copy_from_slice(&attributes.to_be_bytes());
        header[end..end + 2].copy_from_slice(&AttributeType::DATA.0.to_be_bytes());
        header[end + 2..end + 4].copy_from_slice(&len.to_be_bytes());
        Ok(&header[..end + 4])
    }
}

fn length(buffer: &[u8], data: &Range<usize>) -> Result<u16, SendError> {
    let len = data
        .end
        .checked_sub(data.start)
        .filter(|_| data.end <= buffer.len())
        .ok_or(SendError::NoRoom)?;
    u16::try_from(len).map_err(|_| SendError::TooLong)
}

/// Writes `header` in front of `buffer[data]` and zeros behind it.
fn put_around(
    buffer: &mut [u8],
    data: Range<usize>,
    header: &[u8],
    padding: usize,
) -> Result<Range<usize>, SendError> {
    let start = data.start.checked_sub(header.len()).ok_or(SendError::NoRoom)?;
    let end = data.end + padding;
    buffer.get_mut(data.end..end).ok_or(SendError::NoRoom)?.fill(0);
    buffer[start..data.start].copy_from_slice(header);
    Ok(start..end)
}
