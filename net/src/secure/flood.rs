//! Giving memory back to the system after a flood of handshakes.

/// Handshakes under way from which there is a flood.
const FLOOD: usize = 256;

/// Watches how many handshakes are under way, to detect the end of a flood. The allocator then
/// gives the memory of the flood back to the system: otherwise glibc keeps it, for sessions that do
/// not come again.
#[derive(Debug, Default)]
pub(super) struct FloodDetector {
    highest: usize,
}

impl FloodDetector {
    /// Notes how many handshakes are under way. Whether a flood is over.
    pub(super) fn is_over(&mut self, under_way: usize) -> bool {
        self.highest = self.highest.max(under_way);
        let is_over = self.highest >= FLOOD && under_way <= self.highest / 8;
        if is_over {
            self.highest = under_way;
        }
        is_over
    }
}

/// Gives free memory back to the system.
pub(super) fn release_free_memory() {
    // SAFETY: it takes no pointer, and may be called by any thread at any time. Other allocators
    // than glibc's give back by themselves.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_over_once_and_a_few_handshakes_are_none() {
        let mut flood = FloodDetector::default();
        assert!(!flood.is_over(FLOOD - 1) && !flood.is_over(0));
        assert!(!flood.is_over(800) && !flood.is_over(101) && flood.is_over(100));
        assert!(!flood.is_over(0) && !flood.is_over(200) && !flood.is_over(0));
    }
}
