//! The target for frames in the bytes of a stream.

use causeway_wire::stream::{FramingError, MAX_FRAME_LEN, PREFIX_LEN, frame_len};
use causeway_wire::{ChannelData, ChannelDataError, ChannelRange, DecodeError, Message};

/// Reads the bytes as a stream: the first byte chooses how it is cut into pieces, the rest arrives.
///
/// # Panics
/// When the frames depend on the cuts, or when a frame is not what its decoder takes for exactly
/// one message.
pub fn frame(data: &[u8]) {
    let Some((&cut, stream)) = data.split_first() else { return };
    let (frames, end) = frames_of_whole(stream);
    let (pieces, piecewise_end) = frames_of_pieces(stream, usize::from(cut) % 29 + 1);
    assert_eq!(frames, pieces);
    assert_eq!(end, piecewise_end);
    for frame in frames {
        assert!(
            frame.len().is_multiple_of(4) && (PREFIX_LEN..=MAX_FRAME_LEN).contains(&frame.len())
        );
        if frame[0] < 0x40 {
            // The attributes may be wrong, the length of the message is what the framer said.
            let error = Message::decode(frame).err();
            assert!(
                !matches!(error, Some(DecodeError::NotStun | DecodeError::Length)),
                "{error:?}"
            );
        } else {
            let error = ChannelData::decode(frame, ChannelRange::Rfc5766).err();
            assert_ne!(error, Some(ChannelDataError::Truncated));
        }
    }
}

/// The frames of a stream that is there at once, and why it cannot be read on.
fn frames_of_whole(mut stream: &[u8]) -> (Vec<&[u8]>, Option<FramingError>) {
    let mut frames = Vec::new();
    loop {
        match frame_len(stream) {
            Ok(Some(len)) if len <= stream.len() => {
                let (frame, rest) = stream.split_at(len);
                frames.push(frame);
                stream = rest;
            }
            Ok(_) => return (frames, None),
            Err(error) => return (frames, Some(error)),
        }
    }
}

/// The same for a stream that arrives in pieces; a length, once known, does not change, and is
/// known as soon as the prefix is there.
fn frames_of_pieces(stream: &[u8], piece: usize) -> (Vec<&[u8]>, Option<FramingError>) {
    let mut frames = Vec::new();
    let (mut start, mut known) = (0, None);
    let mut arrived = 0;
    while arrived < stream.len() {
        arrived = stream.len().min(arrived + piece);
        loop {
            let waiting = &stream[start..arrived];
            let len = match frame_len(waiting) {
                Ok(len) => len,
                Err(error) => return (frames, Some(error)),
            };
            assert_eq!(len.is_some(), waiting.len() >= PREFIX_LEN);
            assert!(known.is_none() || known == len, "{known:?} became {len:?}");
            known = len;
            match len {
                Some(len) if len <= waiting.len() => {
                    frames.push(&waiting[..len]);
                    (start, known) = (start + len, None);
                }
                _ => break,
            }
        }
    }
    (frames, None)
}
