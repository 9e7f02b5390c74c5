use std::os::fd::BorrowedFd;

use anyhow::Result;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use crate::load::clock::Clock;

/// It is looked again so long before the thread sleeps: waking it would cost the server, and time.
const SPIN: u64 = 50_000;
const LONGEST: u64 = 1_000_000;

/// What to do when there is nothing to do.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    since: Option<u64>,
}

impl Idle {
    /// There was something to do.
    pub(crate) fn busy(&mut self) {
        self.since = None;
    }

    /// Waits a moment for one of `fds` to become readable, at most until `due` if there is such a
    /// time.
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
