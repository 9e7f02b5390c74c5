//! Memory after a flood.

/// Fewer handshakes than these under way are everyday life.
const FLOOD: usize = 256;

/// Watches how many handshakes are under way, and has the allocator give the memory of a flood back
/// to the system when it is over: it would keep it else, for sessions that come no more.
#[derive(Debug, Default)]
pub(super) struct Tide {
    highest: usize,
}

impl Tide {
    /// Notes how many are under way; whether a flood is over.
    pub(super) fn has_gone(&mut self, under_way: usize) -> bool {
        self.highest = self.highest.max(under_way);
        let gone = self.highest >= FLOOD && under_way <= self.highest / 8;
        if gone {
            self.highest = under_way;
        }
        gone
    }
}

/// Gives free memory back to the system.
pub(super) fn give_back() {
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
        let mut tide = Tide::default();
        assert!(!tide.has_gone(FLOOD - 1) && !tide.has_gone(0));
        assert!(!tide.has_gone(800) && !tide.has_gone(101) && tide.has_gone(100));
        assert!(!tide.has_gone(0) && !tide.has_gone(200) && !tide.has_gone(0));
    }
}
