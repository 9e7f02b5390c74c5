//! The receive buffer of a stream, which returns whole frames.

use causeway_wire::stream::{self, FramingError, MAX_FRAME_LEN};

/// Minimum number of bytes offered to the next read.
const READ: usize = 4096;

/// The received bytes of a stream, returned frame by frame.
///
/// Read into [`space`](Self::space), report the length with [`filled`](Self::filled), then take
/// every [`next_frame`](Self::next_frame) until it is `None`. The buffer never holds more than one
/// frame of [`MAX_FRAME_LEN`] and one read.
#[derive(Debug, Default)]
pub struct StreamBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl StreamBuffer {
    /// Creates an empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The space to read into; empty only if the caller left frames in the buffer until it was
    /// full.
    pub fn space(&mut self) -> &mut [u8] {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let size = (self.end + READ).min(MAX_FRAME_LEN + READ);
        if self.bytes.len() < size {
            self.bytes.resize(size, 0);
        }
        &mut self.bytes[self.end..]
    }

    /// Records that `read` bytes were read into [`space`](Self::space).
    pub fn filled(&mut self, read: usize) {
        self.end = (self.end + read).min(self.bytes.len());
    }

    /// Returns the next whole frame, including its padding; `None` if there is none yet.
    ///
    /// # Errors
    /// [`FramingError`]: the connection cannot be used any longer.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, FramingError> {
        match stream::frame_len(&self.bytes[self.start..self.end])? {
            Some(len) if len <= self.end - self.start => {
                let frame = self.start..self.start + len;
                self.start += len;
                Ok(Some(&self.bytes[frame]))
            }
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(buffer: &mut StreamBuffer, bytes: &[u8]) {
        buffer.space()[..bytes.len()].copy_from_slice(bytes);
        buffer.filled(bytes.len());
    }

    #[test]
    fn frames_come_out_whole_however_they_came_in() {
        let frames: [&[u8]; 3] =
            [&[0x40, 0, 0, 1, 9, 0, 0, 0], &[0x40, 1, 0, 0], &[0x40, 2, 0, 4, 1, 2, 3, 4]];
        let stream = frames.concat();
        for cut in 1..stream.len() {
            let mut buffer = StreamBuffer::new();
            let mut found = Vec::new();
            for part in [&stream[..cut], &stream[cut..]] {
                push(&mut buffer, part);
                while let Some(frame) = buffer.next_frame().unwrap() {
                    found.push(frame.to_vec());
                }
            }
            assert_eq!(found, frames, "cut at {cut}");
        }
    }

    #[test]
    fn h14_memory_is_bounded_by_the_longest_frame() {
        let mut buffer = StreamBuffer::new();
        push(&mut buffer, &[0, 1, 0xFF, 0xFC]);
        for _ in 0..100 {
            let len = buffer.space().len();
            buffer.filled(len);
        }
        assert!(buffer.bytes.len() <= MAX_FRAME_LEN + READ);
        assert!(buffer.space().is_empty());
        assert_eq!(buffer.next_frame().unwrap().map(<[u8]>::len), Some(MAX_FRAME_LEN));
    }

    #[test]
    fn h23_what_is_no_frame_is_an_error() {
        let mut buffer = StreamBuffer::new();
        push(&mut buffer, b"\xffHTTP");
        assert_eq!(buffer.next_frame(), Err(FramingError::NotStun(0xFF)));
    }
}
