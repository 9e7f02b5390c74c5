//! The framer cuts a stream into the same frames, in whatever pieces the stream arrives.

use causeway_wire::stream::frame_len;
use causeway_wire::{ChannelData, ChannelRange, padded};
use proptest::prelude::*;

use crate::message::{config, message};

/// A frame of a stream: a STUN message, or ChannelData with its padding.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let channel = (0x4000u16..=0x7FFE, proptest::collection::vec(any::<u8>(), 0..1500)).prop_map(
        |(number, data)| {
            let channel = ChannelRange::Rfc5766.channel(number).unwrap();
            let mut bytes =
                ChannelData::header(channel, u16::try_from(data.len()).unwrap()).to_vec();
            bytes.extend(data);
            bytes.resize(padded(bytes.len()), 0);
            bytes
        },
    );
    // Methods above 0xFF are not used (RFC 8489 §18.2), because of the first bytes of other
    // protocols.
    let stun = message(".{0,127}").prop_map(|mut message| {
        message.method &= 0xFF;
        message.write()
    });
    prop_oneof![channel, stun]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn frames_come_out_whole_however_the_stream_is_split(
        frames in proptest::collection::vec(frame(), 1..6),
        splits in proptest::collection::vec(1usize..700, 1..40),
    ) {
        let stream = frames.concat();
        let mut splits = splits.iter().cycle();
        let (mut held, mut found, mut at) = (Vec::new(), Vec::new(), 0);
        while at < stream.len() {
            let end = stream.len().min(at + splits.next().unwrap());
            held.extend(&stream[at..end]);
            at = end;
            while let Some(len) = frame_len(&held).unwrap().filter(|&len| len <= held.len()) {
                found.push(held.drain(..len).collect::<Vec<u8>>());
            }
        }
        prop_assert!(held.is_empty());
        prop_assert_eq!(found, frames);
    }

    #[test]
    fn random_streams_are_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..4000)) {
        causeway_fuzz::frame(&bytes);
    }

    /// Streams with a valid beginning, so that the framer reaches the second frame.
    #[test]
    fn mutated_streams_are_no_harm(
        frames in proptest::collection::vec(frame(), 1..4),
        piece in any::<u8>(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = vec![piece];
        bytes.extend(frames.concat());
        for (at, bits) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= bits;
        }
        causeway_fuzz::frame(&bytes);
    }
}
