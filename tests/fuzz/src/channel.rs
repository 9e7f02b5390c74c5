//! The target for ChannelData messages.

use causeway_wire::{ChannelData, ChannelRange};

/// Reads the bytes as a ChannelData message, in both ranges of numbers, and writes its header
/// again.
pub(crate) fn channel_data(data: &[u8]) {
    let [narrow, wide] = [ChannelRange::Rfc8656, ChannelRange::Rfc5766]
        .map(|range| ChannelData::decode(data, range));
    if let Ok(narrow) = narrow {
        assert_eq!(wide, Ok(narrow), "the wider range holds the narrower one");
    }
    let Ok(message) = wide else { return };
    assert!((0x4000..=0x7FFE).contains(&message.channel.number()));
    let length = u16::try_from(message.data.len()).expect("a 16-bit length was read");
    let header = ChannelData::header(message.channel, length);
    assert_eq!(data[..4], header);
    assert_eq!(data[4..4 + message.data.len()], *message.data);
}
