//! Huge pages for the worker's memory while there is load, small ones while there is none.
//!
//! Under load, packets lie in all slots and buffers, each on pages of its own: huge pages save a
//! good part of the time that the kernel takes for copying. The price is memory: up to 6 MiB for
//! slots and replies, and 18 MiB for the buffers of a ring. A worker with little to do uses few
//! slots, and has no huge pages.

use std::time::Duration;

use super::io::Io;
use crate::region::PageSize;

/// Packets in one turn from which a worker is under load.
const LOAD: u64 = 16;
/// How long a worker keeps huge pages after its last turn under load.
const QUIET: Duration = Duration::from_secs(60);

/// The size of the pages that the parts of the memory lie in, and when it changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct HugePages {
    allowed: bool,
    /// Packets received when the last turn ended.
    seen: u64,
    /// When a turn last brought [`LOAD`] packets or more (monotonic).
    loaded: Option<Duration>,
    slots: PageSize,
    buffers: PageSize,
}

impl HugePages {
    pub(super) fn new(allowed: bool) -> Self {
        Self { allowed, seen: 0, loaded: None, slots: PageSize::Small, buffers: PageSize::Small }
    }

    /// Notes a turn that began at `now`; `packets` have been received in all since the start.
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

    /// Changes to the pages that suit the load. To be called between two turns, where nothing of
    /// the last one is needed any more.
    pub(super) fn suit(&mut self, io: &Io) {
        let wanted = self.wanted(io.now);
        if (self.slots, self.buffers) == (wanted, wanted) || !io.datagrams.outbox().is_empty() {
            return;
        }
        if self.slots != wanted {
            // SAFETY: no packet is alive between two turns. What was queued has left: the outbox is
            // empty, and streams copy what they keep.
            unsafe { io.memory.move_to(wanted) };
            self.slots = wanted;
        }
        // Completions that wait hold buffers. Another turn will find none, or the kernel moves the
        // pages in its own time.
        if io.backend.holds_no_buffer() {
            // SAFETY: all buffers are the kernel's, and this thread is not inside
            // `io_uring_enter`.
            unsafe { io.memory.empty_buffers() };
            self.buffers = wanted;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_pages_come_with_load_and_go_a_while_after_it() {
        let second = Duration::from_secs;
        let mut pages = HugePages::new(true);
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
        let mut pages = HugePages::new(false);
        pages.note(Duration::from_secs(1), 64);
        assert_eq!(pages.wanted(Duration::from_secs(1)), PageSize::Small);
    }
}
