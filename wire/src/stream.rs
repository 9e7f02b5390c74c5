//! The frames of a stream: STUN messages and ChannelData messages follow each other on one TCP or
//! TLS connection (RFC 8489 §6.2.2, RFC 8656 §12.5).

use crate::demux::{self, Protocol};
use crate::{HEADER_LEN, MAX_MESSAGE_LEN, padded};

/// Maximum length of a frame in bytes: that of the longest STUN message, which ChannelData does not
/// reach. A buffer for one frame never needs more (H14). A Send or Data indication with the longest
/// datagram of UDP over IPv4 comes within 8 bytes of it.
pub const MAX_FRAME_LEN: usize = MAX_MESSAGE_LEN;

/// Number of bytes that tell the length of a frame.
pub const PREFIX_LEN: usize = 4;

/// Why a stream cannot be read any further. The next frame cannot be found, so the connection must
/// be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramingError {
    /// The first byte starts neither STUN nor ChannelData (RFC 7983 §7).
    NotStun(u8),
    /// A STUN length that is not a multiple of four (RFC 8489 §5).
    Unaligned(u16),
}

/// The whole length in bytes, including padding, of the frame that starts with `bytes`; `None`
/// while there are fewer than [`PREFIX_LEN`]. The frame itself need not be complete.
///
/// Channel numbers above the allowed range are framed too, up to the maximum that old clients of
/// RFC 5766 use: the server discards them (RFC 8656 §12.6) without losing the connection.
///
/// # Errors
/// [`FramingError`] as soon as the bytes show it.
pub const fn frame_len(bytes: &[u8]) -> Result<Option<usize>, FramingError> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let is_stun = match demux::protocol(first) {
        Protocol::Stun => true,
        Protocol::Channel => false,
        _ if matches!(first, 0x50..=0x7F) => false,
        _ => return Err(FramingError::NotStun(first)),
    };
    let Some(prefix) = bytes.first_chunk::<PREFIX_LEN>() else { return Ok(None) };
    let length = u16::from_be_bytes([prefix[2], prefix[3]]);
    if !is_stun {
        return Ok(Some(padded(PREFIX_LEN + length as usize)));
    }
    if length.is_multiple_of(4) {
        Ok(Some(HEADER_LEN + length as usize))
    } else {
        Err(FramingError::Unaligned(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8656_12_5_channel_data_is_padded_to_four() {
        assert_eq!(frame_len(&[0x40, 0, 0, 0]), Ok(Some(4)));
        assert_eq!(frame_len(&[0x40, 0, 0, 1]), Ok(Some(8)));
        assert_eq!(frame_len(&[0x4F, 0xFF, 0, 4]), Ok(Some(8)));
        assert_eq!(frame_len(&[0x40, 0, 0]), Ok(None));
    }

    #[test]
    fn rfc8489_5_a_stun_length_is_a_multiple_of_four() {
        assert_eq!(frame_len(&[0, 1, 0, 8]), Ok(Some(28)));
        assert_eq!(frame_len(&[0, 1, 0, 7]), Err(FramingError::Unaligned(7)));
        assert_eq!(frame_len(&[]), Ok(None));
    }

    #[test]
    fn h23_lengths_at_the_end_of_the_range_never_wrap() {
        assert_eq!(frame_len(&[0, 1, 0xFF, 0xFC]), Ok(Some(MAX_FRAME_LEN)));
        for low in 0xFD..=0xFF {
            assert!(frame_len(&[0, 1, 0xFF, low]).is_err());
            assert_eq!(frame_len(&[0x40, 0, 0xFF, low]), Ok(Some(65_540)));
        }
        assert_eq!(frame_len(&[0x80]), Err(FramingError::NotStun(0x80)));
        assert_eq!(
            frame_len(&[0x16]),
            Err(FramingError::NotStun(0x16)),
            "a TLS ClientHello on the plain port"
        );
    }
}
