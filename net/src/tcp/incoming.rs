//! The receiving side of a stream: bytes in, whole frames out, with no more memory than the length
//! of a half frame.

use std::io;
use std::ops::Range;
use std::os::fd::{BorrowedFd, RawFd};

use socket2::SockRef;

/// Maximum length of a frame that a stream may announce, in bytes: a STUN message of maximum
/// length, which ChannelData does not exceed.
pub const MAX_FRAME: usize = 20 + 65_532;

/// Maximum number of bytes read from a stream at a time. The rest waits in the kernel until other
/// streams are served.
pub(crate) const READ: usize = 32 << 10;

/// First allocation for a half frame, in bytes; it doubles as bytes arrive, up to the announced
/// length.
const FIRST_GROWTH: usize = 2_048;

/// The bytes belong to no protocol of this port; the stream is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// The received part of a frame that is not complete. Empty, and without an allocation, between
/// frames.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    half: Vec<u8>,
    /// The half frame's announced length, once enough of it is there to tell.
    announced: Option<usize>,
    /// Whole frames that the turn had no room for, and maybe a half one behind them.
    aside: Option<Aside>,
}

/// Frames that wait for their stream's next share of a turn.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    bytes: Vec<u8>,
    /// Offset of the first byte that was not served.
    at: usize,
}

impl Aside {
    /// A copy of `bytes`.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), at: 0 }
    }

    /// The bytes that were not served yet.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// Drops `len` bytes that were served.
    pub(crate) fn advance(&mut self, len: usize) {
        self.at += len;
    }
}

/// The result of a read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// This range of the scratch buffer begins with a frame's first byte.
    Bytes(Range<usize>),
    /// No frame is complete, and nothing more can be read now.
    Pending,
    /// The peer will send no more.
    End,
}

impl Incoming {
    /// Reads once with `receive`. A long frame that was begun earlier is completed in its own
    /// memory and then copied to `scratch`; otherwise bytes go to `scratch` directly, behind the
    /// half frame. `scratch` must have room for the longest frame.
    pub(crate) fn read(
        &mut self,
        receive: impl FnOnce(&mut [u8]) -> io::Result<usize>,
        scratch: &mut [u8],
    ) -> io::Result<Progress> {
        match self.announced {
            Some(length) if length > READ => self.complete(receive, length, scratch),
            _ => self.begin(receive, scratch),
        }
    }

    fn begin(
        &mut self,
        receive: impl FnOnce(&mut [u8]) -> io::Result<usize>,
        scratch: &mut [u8],
    ) -> io::Result<Progress> {
        let before = self.half.len();
        let (head, rest) = scratch.split_at_mut(before);
        head.copy_from_slice(&self.half);
        let count = receive(rest)?;
        if count == 0 {
            return Ok(Progress::End);
        }
        *self = Self::default();
        Ok(Progress::Bytes(0..before + count))
    }

    fn complete(
        &mut self,
        receive: impl FnOnce(&mut [u8]) -> io::Result<usize>,
        length: usize,
        scratch: &mut [u8],
    ) -> io::Result<Progress> {
        let before = self.half.len();
        let room = (before * 2).max(FIRST_GROWTH).min(length);
        self.half.reserve_exact(room - before);
        self.half.resize(room, 0);
        let received = receive(&mut self.half[before..]);
        self.half.truncate(before + *received.as_ref().unwrap_or(&0));
        match received? {
            0 => Ok(Progress::End),
            _ if self.half.len() < length => Ok(Progress::Pending),
            _ => {
                scratch[..length].copy_from_slice(&self.half);
                *self = Self::default();
                Ok(Progress::Bytes(0..length))
            }
        }
    }

    /// Bytes that the next [`read`](Self::read) puts in front of what it receives: at most
    /// [`READ`].
    pub(crate) fn ahead(&self) -> usize {
        if self.announced.is_some_and(|length| length > READ) { 0 } else { self.half.len() }
    }

    /// Keeps frames for a later turn. Nothing may be [read](Self::read) before they are
    /// [taken](Self::take_aside).
    pub(crate) fn set_aside(&mut self, frames: Aside) {
        self.aside = Some(frames);
    }

    /// Whether frames wait that were set aside.
    pub(crate) fn is_aside(&self) -> bool {
        self.aside.is_some()
    }

    /// Takes the frames that were set aside.
    pub(crate) fn take_aside(&mut self) -> Aside {
        self.aside.take().unwrap_or_default()
    }

    /// Keeps `half`, the beginning of a frame of `announced` bytes, until more comes.
    pub(crate) fn keep(&mut self, half: &[u8], announced: Option<usize>) {
        self.half = half.to_vec();
        self.announced = announced;
    }

    #[cfg(test)]
    fn memory(&self) -> usize {
        self.half.capacity()
    }
}

/// Reads once from `fd`. Returns the number of bytes; 0: the peer will send no more.
pub(crate) fn receive(fd: RawFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the caller's stream owns `fd` and is alive during the call.
    let socket = unsafe { BorrowedFd::borrow_raw(fd) };
    let socket = SockRef::from(&socket);
    // SAFETY: `recv` writes initialised bytes only, and `buffer` was initialised before, so no byte
    // of it becomes uninitialised.
    let buffer = unsafe { &mut *(std::ptr::from_mut(buffer) as *mut [std::mem::MaybeUninit<u8>]) };
    loop {
        match socket.recv(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn h14_a_half_frame_holds_no_more_memory_than_it_has_announced() {
        let (mut peer, ours) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut scratch = vec![0; 2 * MAX_FRAME + 64];
        let mut incoming = Incoming::default();
        peer.write_all(&[7; 10]).unwrap();
        let Progress::Bytes(range) =
            incoming.read(|buffer| receive(ours.as_raw_fd(), buffer), &mut scratch).unwrap()
        else {
            panic!("ten bytes are there");
        };
        incoming.keep(&scratch[range], Some(60_000));
        assert!(incoming.memory() <= 10);
        let mut written = 10;
        while written < 60_000 {
            let chunk = 1_000.min(60_000 - written);
            peer.write_all(&vec![7; chunk]).unwrap();
            written += chunk;
            let progress =
                incoming.read(|buffer| receive(ours.as_raw_fd(), buffer), &mut scratch).unwrap();
            let whole = written == 60_000;
            assert_eq!(progress == Progress::Bytes(0..60_000), whole);
            assert!(incoming.memory() <= (2 * written).clamp(FIRST_GROWTH, 60_000));
        }
        assert_eq!(incoming.memory(), 0);
        assert!(scratch[..60_000].iter().all(|byte| *byte == 7));
    }
}
