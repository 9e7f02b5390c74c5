//! Delaying the kernel's acknowledgements of streams that only bring.

use std::os::fd::RawFd;
use std::time::Duration;

/// Reads between two calls that tell the kernel to delay.
const READS: u8 = 32;
/// Maximum time of [`READS`] reads on a stream that is worth the call: a hundred a second.
const QUICK: Duration = Duration::from_millis(320);
/// How long the kernel delays an acknowledgement, and therefore how long a client with Nagle's
/// algorithm stands still.
const HELD: std::ops::Range<Duration> = Duration::from_millis(30)..Duration::from_millis(80);

/// Watches the reads of one stream.
///
/// Each segment of a client that sends much and is sent nothing is acknowledged by a segment of its
/// own as soon as it was read: that is a quarter of what such a frame costs. The kernel delays
/// acknowledgements on connections with data in both directions, and can be told to do so on others
/// (TCP requires at least one for two full segments); it stops when no data came to carry a delayed
/// one. The call is not made for a slow stream, which gains nothing, and never again for a client
/// that itself waits for acknowledgements before it sends more.
#[derive(Debug, Default)]
pub(crate) struct Acknowledgements {
    reads: u8,
    /// Whether the kernel was told at the last read.
    just_told: bool,
    /// Whether the client waits for acknowledgements.
    awaited: bool,
    /// When the first of `reads` came; the last one, if the kernel was just told (monotonic).
    since: Duration,
}

impl Acknowledgements {
    /// Notes a read. Whether the kernel is to be told now.
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

/// Tells the kernel to delay a connection's acknowledgements, for data that may carry them or for
/// the next segment.
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

    /// How often the kernel is told while `reads` come at an `interval` in milliseconds; the read
    /// after each call comes `late` milliseconds after it.
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
