//! When the kernel acknowledges what a stream brings.

use std::os::fd::RawFd;
use std::time::Duration;

/// How many reads are watched before the kernel is told again.
const READS: u8 = 32;
/// The longest that so many take on a stream that is worth it: a hundred a second.
const QUICK: Duration = Duration::from_millis(320);
/// How long the kernel lets an acknowledgement wait, and how long a client with Nagle's algorithm
/// therefore stood still.
const HELD: std::ops::Range<Duration> = Duration::from_millis(30)..Duration::from_millis(80);

/// Watches the reads of one stream.
///
/// A client that sends much and is sent nothing has each segment acknowledged by one of our own, as
/// soon as it was read: that is a quarter of what such a frame costs. The kernel lets
/// acknowledgements wait on connections that speak both ways, and can be told to do so on others
/// (TCP wants one for two full segments at the least); it forgets that when it has waited in vain.
/// It is not told of a slow stream, where nothing is to be won, and never again of a client that
/// waits for acknowledgements itself before it sends more.
#[derive(Debug, Default)]
pub(crate) struct Acknowledgements {
    reads: u8,
    /// The kernel was told at the last read.
    just_told: bool,
    /// The client waits for them.
    awaited: bool,
    /// When the first of `reads` was; of the last one if the kernel was just told (monotonic).
    since: Duration,
}

impl Acknowledgements {
    /// Something was read. Whether the kernel is to be told now.
    pub(crate) fn read(&mut self, now: Duration) -> bool {
        if self.reads == 0 {
            let gap = now.saturating_sub(self.since);
            self.awaited |= std::mem::take(&mut self.just_told) && HELD.contains(&gap);
            self.since = now;
        }
        self.reads += 1;
        if self.reads < READS {
            return false;
        }
        self.reads = 0;
        let quick = now.saturating_sub(self.since) <= QUICK;
        self.since = now;
        self.just_told = quick && !self.awaited;
        self.just_told
    }
}

/// Tells the kernel to let a connection's acknowledgements wait, for the data that may carry them
/// or the next segment.
pub(crate) fn delay_acknowledgements(fd: RawFd) {
    let quick: libc::c_int = 0;
    let len = size_of_val(&quick) as libc::socklen_t;
    // SAFETY: the option's value is one `int` on this stack. A kernel that refuses it acknowledges
    // as before.
    unsafe {
        libc::setsockopt(fd, libc::IPPROTO_TCP, libc::TCP_QUICKACK, (&raw const quick).cast(), len)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often the kernel is told while so many reads come at such intervals, the one behind each
    /// telling `late` behind it.
    fn told(reads: u32, interval: u64, late: u64) -> usize {
        let mut acknowledgements = Acknowledgements::default();
        let mut now = Duration::from_secs(1);
        let mut told = 0;
        for _ in 0..reads {
            let is_told = acknowledgements.read(now);
            told += usize::from(is_told);
            now += Duration::from_millis(if is_told { late } else { interval });
        }
        told
    }

    #[test]
    fn the_kernel_is_told_now_and_then_of_a_quick_stream_only() {
        assert_eq!(told(3_200, 2, 2), 100);
        assert_eq!(told(3_200, 9, 9), 100);
        assert_eq!(told(3_200, 20, 20), 0);
    }

    #[test]
    fn a_client_that_waits_for_acknowledgements_is_held_up_once() {
        assert_eq!(told(3_200, 2, 40), 1);
        assert_eq!(told(3_200, 2, 500), 100, "it had nothing to say");
    }
}
