//! Where streams are read into: one read behind the other, until what they are to send has left.

use super::io::Io;
use crate::packet::SLOTS_LEN;
use crate::region::Span;
use crate::tcp::MAX_FRAME;

/// The room of one read: a frame that was begun earlier, to its end, or what was set aside of the
/// last read and a little more.
pub(super) const ROOM: usize = MAX_FRAME + 64;

/// Behind the slots. Several reads with nothing flushed between them, so that what many streams
/// bring leaves as one batch.
pub(super) const SCRATCH: Span = Span { start: SLOTS_LEN, end: SLOTS_LEN + 4 * ROOM };

impl Io {
    /// Room for a read that nothing queued lies in. It is given again until
    /// [`keep_scratch`](Self::keep_scratch).
    pub(super) fn scratch_room(&mut self) -> Span {
        if SCRATCH.end - self.scratch_next < ROOM {
            self.flush_datagrams();
        }
        Span { start: self.scratch_next, end: self.scratch_next + ROOM }
    }

    /// Keeps what was read, up to `end`, until the next flush.
    pub(super) fn keep_scratch(&mut self, end: usize) {
        // The next read begins on a cache line of its own.
        self.scratch_next = end.next_multiple_of(64).min(SCRATCH.end);
    }

    /// What was read has left.
    pub(super) fn free_scratch(&mut self) {
        self.scratch_next = SCRATCH.start;
    }
}
