//! The layout of a worker's memory, and which parts of it are free.
//!
//! Everything that a worker receives into and sends from lies in one [`Region`], so that a
//! datagram is named by offsets and never copied:
//!
//! ```text
//!         0 +-----------------+
//!           | receive slots   |  SLOTS (64) times STRIDE: one message of recvmmsg each
//!   SCRATCH +-----------------+
//!           | scratch rooms   |  4 * ROOM: plain bytes of streams, one read behind the other
//!    CIPHER +-----------------+
//!           | TLS records     |  64 KiB: the records of one read, before decryption
//!     ARENA +-----------------+
//!           | replies         |  4 * MAX_REPLY: replies and headers, until the flush
//!     ZEROS +-----------------+
//!           | padding         |  3 bytes that are never written
//!           +-----------------+
//!           | (unused)        |  to the next huge page
//!   BUFFERS +-----------------+
//!           | ring buffers    |  only with io_uring: the kernel receives into them
//!           +-----------------+
//! ```
//!
//! Slots, scratch rooms and replies are handed out from the front, and become free together when
//! everything that was queued has left. Ring buffers become free one by one (see
//! [`uring`](crate::uring)).

use std::io;
use std::sync::Arc;

use crate::packet::{SLOTS, SLOTS_LEN};
use crate::region::{HUGE_PAGE, PageSize, Region, Span};
use crate::tcp::MAX_FRAME;
use crate::uring::Buffers;

/// Maximum length of a reply, and the room that [`Io::reply_buffer`](super::Io::reply_buffer)
/// gives, in bytes.
pub const MAX_REPLY: usize = 65_552;

/// Room of one read from a stream, in bytes: the rest of a frame that was begun earlier, or what
/// was set aside of the last read and a little more.
pub(super) const ROOM: usize = MAX_FRAME + 64;

/// Several reads with no flush between them, so that what many streams bring leaves as one batch.
const SCRATCH: Span = Span { start: SLOTS_LEN, end: SLOTS_LEN + 4 * ROOM };
/// TLS records as they come.
pub(super) const CIPHER: Span = Span { start: SCRATCH.end, end: SCRATCH.end + (64 << 10) };
const ARENA: Span = Span { start: CIPHER.end, end: CIPHER.end + 4 * MAX_REPLY };
const ZEROS: Span = Span { start: ARENA.end, end: ARENA.end + 3 };
/// All that lies before the buffers of a ring, in whole huge pages.
const SLOTS_AND_REPLIES: Span = Span { start: 0, end: ZEROS.end.next_multiple_of(HUGE_PAGE) };
const BUFFERS: Span = Span {
    start: SLOTS_AND_REPLIES.end,
    end: SLOTS_AND_REPLIES.end + Buffers::LEN.next_multiple_of(HUGE_PAGE),
};
/// Where in the region the buffers of a ring begin.
pub(super) const BUFFERS_START: usize = BUFFERS.start;

/// Free slots below which a batch is flushed rather than cut short.
const WORTHWHILE: usize = 16;

pub(super) struct Memory {
    region: Arc<Region>,
    has_buffers: bool,
    /// The first receive slot that nothing queued lies in.
    next_slot: usize,
    /// Where the next stream is read to.
    next_scratch: usize,
    /// Where the next reply begins.
    next_reply: usize,
}

impl Memory {
    /// Memory for a worker; `has_buffers`: with the buffers of a ring.
    pub(super) fn new(has_buffers: bool) -> io::Result<Self> {
        let len = if has_buffers { BUFFERS.end } else { SLOTS_AND_REPLIES.end };
        Ok(Self {
            region: Arc::new(Region::new(len)?),
            has_buffers,
            next_slot: 0,
            next_scratch: SCRATCH.start,
            next_reply: ARENA.start,
        })
    }

    pub(super) fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// Whether a flush is due before `wanted` slots are received into.
    pub(super) fn is_short_of_slots(&self, wanted: usize) -> bool {
        SLOTS - self.next_slot < wanted.min(WORTHWHILE)
    }

    /// Free slots: the first, and how many there are, at most `wanted`.
    pub(super) fn free_slots(&self, wanted: usize) -> (usize, usize) {
        (self.next_slot, wanted.min(SLOTS - self.next_slot))
    }

    /// Makes `slot` the first free one.
    pub(super) fn set_next_slot(&mut self, slot: usize) {
        self.next_slot = slot;
    }

    /// Whether a flush is due before [`scratch_room`](Self::scratch_room).
    pub(super) fn is_short_of_scratch(&self) -> bool {
        SCRATCH.end - self.next_scratch < ROOM
    }

    /// Room for a read from a stream that nothing queued lies in. It is given again until
    /// [`keep_scratch`](Self::keep_scratch).
    pub(super) fn scratch_room(&self) -> Span {
        Span { start: self.next_scratch, end: self.next_scratch + ROOM }
    }

    /// Keeps what was read, up to `end`, until the next flush.
    pub(super) fn keep_scratch(&mut self, end: usize) {
        // The next read begins on a cache line of its own.
        self.next_scratch = end.next_multiple_of(64).min(SCRATCH.end);
    }

    /// Whether a flush is due before [`reply_buffer`](Self::reply_buffer).
    pub(super) fn is_short_of_replies(&self) -> bool {
        ARENA.end - self.next_reply < MAX_REPLY
    }

    /// Room for one reply.
    pub(super) fn reply_buffer(&mut self) -> &mut [u8] {
        let span = Span { start: self.next_reply, end: self.next_reply + MAX_REPLY };
        // SAFETY: nothing queued lies behind `next_reply`, and the slice borrows `self`, the only
        // way to this room.
        unsafe { self.region.bytes_mut(span) }
    }

    /// The first `len` bytes of the reply buffer.
    pub(super) fn reply_span(&self, len: usize) -> Span {
        let span = Span { start: self.next_reply, end: self.next_reply + len };
        assert!(len <= MAX_REPLY && span.end <= ARENA.end, "a reply fits its buffer");
        span
    }

    /// Keeps the first `len` bytes of the reply buffer until the flush.
    pub(super) fn keep_reply(&mut self, len: usize) -> Span {
        let span = self.reply_span(len);
        // The next reply begins on a cache line of its own.
        self.next_reply = span.end.next_multiple_of(64).min(ARENA.end);
        span
    }

    /// Keeps a copy of `header` until the flush.
    pub(super) fn keep_header(&mut self, header: &[u8]) -> Span {
        self.reply_buffer()[..header.len()].copy_from_slice(header);
        let span = self.reply_span(header.len());
        self.next_reply = span.end;
        span
    }

    /// `len` zero bytes, at most 3: the padding of a ChannelData message or an attribute.
    pub(super) fn padding(len: usize) -> Span {
        let zeros = Span { start: ZEROS.start, end: ZEROS.start + len };
        assert!(zeros.end <= ZEROS.end, "the padding of a ChannelData message or an attribute");
        zeros
    }

    /// Everything that was queued has left: scratch rooms and replies are free.
    pub(super) fn free(&mut self) {
        self.next_reply = ARENA.start;
        self.next_scratch = SCRATCH.start;
    }

    /// Moves slots and replies to pages of this size; the buffers follow by
    /// [`empty_buffers`](Self::empty_buffers).
    ///
    /// # Safety
    /// No packet is alive, and nothing is queued: the memory reads as zero afterwards.
    pub(super) unsafe fn move_to(&self, pages: PageSize) {
        self.region.prefer(SLOTS_AND_REPLIES, pages);
        // SAFETY: as the caller promises. Streams copy what they keep.
        unsafe { self.region.give_back(SLOTS_AND_REPLIES) };
        if self.has_buffers {
            self.region.prefer(BUFFERS, pages);
        }
    }

    /// Gives the memory of the ring's buffers, if there are any, back to the kernel: what is
    /// received next lies on pages of the size that was asked for last.
    ///
    /// # Safety
    /// The kernel has all buffers, and this thread is not inside `io_uring_enter`, in which alone
    /// the kernel writes to them.
    pub(super) unsafe fn empty_buffers(&self) {
        if self.has_buffers {
            // SAFETY: as the caller promises.
            unsafe { self.region.give_back(BUFFERS) };
        }
    }
}
