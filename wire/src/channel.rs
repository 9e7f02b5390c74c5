//! Channel numbers and ChannelData messages.

use std::fmt;

use crate::padded;

/// The number of a channel (RFC 8656 §12), always within a [`ChannelRange`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelNumber(u16);

/// The channel numbers that a server accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelRange {
    /// 0x4000 to 0x4FFF (RFC 8656 §12).
    #[default]
    Rfc8656,
    /// 0x4000 to 0x7FFE, for clients of RFC 5766.
    Rfc5766,
}

impl ChannelRange {
    /// The highest number of the range.
    #[must_use]
    pub const fn last(self) -> u16 {
        match self {
            Self::Rfc8656 => 0x4FFF,
            Self::Rfc5766 => 0x7FFE,
        }
    }

    /// The channel with this number, if the range has it.
    #[must_use]
    pub const fn channel(self, number: u16) -> Option<ChannelNumber> {
        if number >= 0x4000 && number <= self.last() { Some(ChannelNumber(number)) } else { None }
    }
}

impl ChannelNumber {
    /// The lowest channel number, 0x4000.
    pub const FIRST: Self = Self(0x4000);

    /// The number as it stands in messages.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Debug for ChannelNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

/// Why bytes are not a ChannelData message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelDataError {
    /// Fewer bytes than the header's four, or than its length announces.
    Truncated,
    /// The number is outside the range (RFC 8656 §12.6: silently discarded).
    Reserved,
}

/// A ChannelData message (RFC 8656 §12.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelData<'a> {
    /// The channel that carries the data.
    pub channel: ChannelNumber,
    /// The application data without padding; may be empty.
    pub data: &'a [u8],
}

impl<'a> ChannelData<'a> {
    /// Length of the header in bytes.
    pub const HEADER_LEN: usize = 4;

    /// Reads a message from a datagram or from one whole frame of a stream. Ignores padding behind
    /// it: over UDP it "is not required but MAY be included" (RFC 8656 §12.5).
    ///
    /// # Errors
    /// [`ChannelDataError`] where RFC 8656 §12.6 requires silence.
    pub fn decode(bytes: &'a [u8], range: ChannelRange) -> Result<Self, ChannelDataError> {
        let (header, rest) = bytes.split_first_chunk::<4>().ok_or(ChannelDataError::Truncated)?;
        let channel = range
            .channel(u16::from_be_bytes([header[0], header[1]]))
            .ok_or(ChannelDataError::Reserved)?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let data = rest.get(..length).ok_or(ChannelDataError::Truncated)?;
        Ok(Self { channel, data })
    }

    /// The header for `length` bytes of data.
    #[must_use]
    pub const fn header(channel: ChannelNumber, length: u16) -> [u8; 4] {
        let (number, length) = (channel.0.to_be_bytes(), length.to_be_bytes());
        [number[0], number[1], length[0], length[1]]
    }

    /// Number of zero bytes that follow `length` bytes of data on a stream (RFC 8656 §12.5).
    #[must_use]
    pub const fn stream_padding(length: usize) -> usize {
        padded(length) - length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8656_12_4_an_empty_message_is_valid() {
        let bytes = [0x40, 0x00, 0x00, 0x00];
        let message = ChannelData::decode(&bytes, ChannelRange::Rfc8656).unwrap();
        assert_eq!((message.channel, message.data), (ChannelNumber::FIRST, &[][..]));
    }

    #[test]
    fn rfc8656_12_6_reserved_and_truncated_are_refused() {
        let decode = |bytes: &[u8], range| ChannelData::decode(bytes, range).map(|m| m.data.len());
        assert_eq!(
            decode(&[0x50, 0, 0, 0], ChannelRange::Rfc8656),
            Err(ChannelDataError::Reserved)
        );
        assert_eq!(decode(&[0x50, 0, 0, 0], ChannelRange::Rfc5766), Ok(0));
        assert_eq!(
            decode(&[0x7F, 0xFF, 0, 0], ChannelRange::Rfc5766),
            Err(ChannelDataError::Reserved)
        );
        assert_eq!(
            decode(&[0x40, 0, 0, 5, 1, 2, 3, 4], ChannelRange::Rfc8656),
            Err(ChannelDataError::Truncated)
        );
        assert_eq!(decode(&[0x40, 0, 0], ChannelRange::Rfc8656), Err(ChannelDataError::Truncated));
    }

    #[test]
    fn rfc8656_12_5_padding_over_udp_is_ignored() {
        let bytes = [0x40, 0x01, 0x00, 0x01, 0xAB, 0, 0, 0];
        assert_eq!(ChannelData::decode(&bytes, ChannelRange::Rfc8656).unwrap().data, &[0xAB]);
        assert_eq!(ChannelData::stream_padding(1), 3);
        assert_eq!(ChannelData::stream_padding(4), 0);
    }
}
