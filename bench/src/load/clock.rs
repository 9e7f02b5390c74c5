//! The clock of the load, and its waiting when there is no work.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

/// How long the load polls before its thread sleeps, in nanoseconds: waking it would cost the server
/// and time.
const SPIN: u64 = 50_000;
/// Maximum time that the thread sleeps, in nanoseconds.
const LONGEST: u64 = 1_000_000;

/// The time in nanoseconds since the fleet was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> u64 {
        nanoseconds(self.0.elapsed())
    }
}

pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The waiting of an idle load.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    since: Option<u64>,
}

impl Idle {
    /// Records that there was work.
    pub(crate) fn busy(&mut self) {
        self.since = None;
    }

    /// Waits a short time for one of `fds` to become readable, at most until `due` if it is given.
    pub(crate) fn wait(
        &mut self,
        clock: Clock,
        due: Option<u64>,
        fds: [BorrowedFd<'_>; 2],
    ) -> Result<()> {
        let now = clock.now();
        let since = *self.since.get_or_insert(now);
        let left = due.map_or(LONGEST, |due| due.saturating_sub(now).min(LONGEST));
        if now < since + SPIN || left < SPIN {
            std::hint::spin_loop();
            return Ok(());
        }
        let mut fds = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match ppoll(&mut fds, Some(TimeSpec::new(0, left.cast_signed())), None) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
