//! Huge pages for the worker's memory while there is load, small ones while there is none.
//!
//! Under load packets lie in all slots and buffers, each on pages of its own: huge pages save a
//! good part of the kernel's time for copying. The price is memory: up to 6 MiB for slots and
//! replies, and 18 MiB for the buffers of a ring. A worker with little to do uses few slots, and
//! has no huge pages.

use std::time::Duration;

use super::EventLoop;
use super::io::{BUFFERS, SLOTS_AND_REPLIES};
use crate::region::PageSize;

/// Packets in one turn from which on a worker is under load.
const LOAD: u64 = 16;
/// How long a worker keeps huge pages after its last turn under load.
const QUIET: Duration = Duration::from_secs(60);

/// Which pages the parts of the region lie in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pages {
    allowed: bool,
    /// Packets that had come when the last turn ended.
    seen: u64,
    /// When a turn last brought many.
    loaded: Option<Duration>,
    slots: PageSize,
    buffers: PageSize,
}

impl Pages {
    pub(super) fn new(allowed: bool) -> Self {
        Self { allowed, seen: 0, loaded: None, slots: PageSize::Small, buffers: PageSize::Small }
    }

    /// Learns that a turn began at `now`, after whose work `packets` have come in all.
    pub(super) fn note(&mut self, now: Duration, packets: u64) {
        if packets - self.seen >= LOAD {
            self.loaded = Some(now);
        }
        self.seen = packets;
    }

    fn wanted(&self, now: Duration) -> PageSize {
        let is_loaded = self.loaded.is_some_and(|loaded| now.saturating_sub(loaded) < QUIET);
        if self.allowed && is_loaded { PageSize::Huge } else { PageSize::Small }
    }
}

impl EventLoop {
    /// Changes to the pages that suit the load. To be called between two turns, where nothing of
    /// the last one is needed any more.
    pub(super) fn suit_pages(&mut self) {
        let wanted = self.pages.wanted(self.io.now);
        if (self.pages.slots, self.pages.buffers) == (wanted, wanted) || !self.io.outbox.is_empty()
        {
            return;
        }
        if self.pages.slots != wanted {
            self.region.prefer(SLOTS_AND_REPLIES, wanted);
            // SAFETY: no packet is alive between two turns. What was queued has left: the outbox is
            // empty, and streams copy what they keep.
            unsafe { self.region.give_back(SLOTS_AND_REPLIES) };
            self.pages.slots = wanted;
            if self.io.ring.is_some() {
                self.region.prefer(BUFFERS, wanted);
            }
        }
        match &self.io.ring {
            None => self.pages.buffers = wanted,
            Some(ring) if ring.holds_no_buffer() => {
                // SAFETY: all buffers are the kernel's, which writes to them only while this thread
                // is inside `io_uring_enter`.
                unsafe { self.region.give_back(BUFFERS) };
                self.pages.buffers = wanted;
            }
            // The loop has yet to look at the buffers that it holds. Another turn will find nothing
            // of it, or the kernel moves it in its own time.
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_pages_come_with_load_and_go_a_while_after_it() {
        let second = Duration::from_secs;
        let mut pages = Pages::new(true);
        pages.note(second(1), 15);
        assert_eq!(pages.wanted(second(1)), PageSize::Small, "a few calls");
        pages.note(second(2), 31);
        assert_eq!(pages.wanted(second(2)), PageSize::Huge);
        pages.note(second(50), 32);
        assert_eq!(pages.wanted(second(61)), PageSize::Huge);
        assert_eq!(pages.wanted(second(62)), PageSize::Small, "quiet for a minute");
        pages.note(second(70), 64);
        assert_eq!(pages.wanted(second(70)), PageSize::Huge);
    }

    #[test]
    fn huge_pages_that_are_not_allowed_never_come() {
        let mut pages = Pages::new(false);
        pages.note(Duration::from_secs(1), 64);
        assert_eq!(pages.wanted(Duration::from_secs(1)), PageSize::Small);
    }
}
