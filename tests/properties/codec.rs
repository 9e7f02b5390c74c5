//! The codec reads what it writes, and no bytes harm it.

use causeway_wire::{ChannelData, ChannelRange, EncodeError, Message as Decoded, padded};
use proptest::prelude::*;

use crate::message::{config, message};

/// Any text of at most 127 characters; the longest are 508 bytes.
const ANY_TEXT: &str = ".{0,127}";

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_written_is_read(message in message(ANY_TEXT)) {
        message.assert_read_from(&message.write());
    }

    #[test]
    fn h22_every_pad_byte_is_zero(message in message(ANY_TEXT)) {
        let bytes = message.write();
        let mut rest = &bytes[20..];
        while let Some((head, behind)) = rest.split_first_chunk::<4>() {
            let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
            prop_assert!(behind[len..padded(len)].iter().all(|&byte| byte == 0));
            rest = &behind[padded(len)..];
        }
    }

    #[test]
    fn h24_any_alignment_is_read(message in message(ANY_TEXT), offset in 1usize..=8) {
        let mut bytes = vec![0xFF; offset];
        bytes.extend(message.write());
        message.assert_read_from(&bytes[offset..]);
    }

    #[test]
    fn h27_a_buffer_that_is_too_small_is_refused(message in message(ANY_TEXT), part in 0.0..1.0) {
        let whole = message.write();
        let size = (whole.len() as f64 * part) as usize;
        let mut buffer = vec![0xDD; size];
        prop_assert_eq!(message.write_into(&mut buffer), Err(EncodeError::NoSpace));
        // The attributes written before still form a message.
        if size >= 20 {
            let len = 20 + usize::from(u16::from_be_bytes([buffer[2], buffer[3]]));
            prop_assert!(Decoded::decode(&buffer[..len]).is_ok());
            prop_assert_eq!(&buffer[4..len.min(20)], &whole[4..len.min(20)]);
            prop_assert!(buffer[len..].iter().all(|&byte| byte == 0xDD));
        }
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        causeway_fuzz::decode(&bytes);
    }

    #[test]
    fn random_attributes_do_no_harm(
        kinds in proptest::collection::vec(
            (0u16..0x40, any::<bool>(), proptest::collection::vec(any::<u8>(), 0..40)),
            0..20,
        ),
    ) {
        let mut body = Vec::new();
        for (low, optional, value) in kinds {
            body.extend((low | u16::from(optional) << 15).to_be_bytes());
            body.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
            body.extend(&value);
            body.resize(padded(body.len()), 0xEE);
        }
        let mut bytes = vec![0, 1];
        bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend(*b"\x21\x12\xa4\x42twelve bytes");
        bytes.extend(body);
        causeway_fuzz::decode(&bytes);
    }

    #[test]
    fn mutated_messages_do_no_harm(
        message in message(ANY_TEXT),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = message.write();
        for (at, bits) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= bits;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        causeway_fuzz::decode(&bytes);
    }

    #[test]
    fn channel_data_is_read_as_written(
        number in 0u16..=0xFFFF,
        data in proptest::collection::vec(any::<u8>(), 0..2000),
        behind in 0usize..4,
        wide in any::<bool>(),
    ) {
        let range = if wide { ChannelRange::Rfc5766 } else { ChannelRange::Rfc8656 };
        let Some(channel) = range.channel(number) else {
            prop_assert!(number < 0x4000 || number > range.last());
            return Ok(());
        };
        let mut bytes = ChannelData::header(channel, u16::try_from(data.len()).unwrap()).to_vec();
        bytes.extend(&data);
        bytes.extend(vec![0; behind]);
        let written = ChannelData { channel, data: &data };
        prop_assert_eq!(ChannelData::decode(&bytes, range), Ok(written));
        let cut = &bytes[..3 + data.len()];
        prop_assert!(data.is_empty() || ChannelData::decode(cut, range).is_err());
        prop_assert_eq!((data.len() + ChannelData::stream_padding(data.len())) % 4, 0);
    }
}
