//! The cost of a server's process: processor time and memory.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::ClockId;
use nix::unistd::Pid;

/// A server's process, whose cost is read from `/proc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pid: u32,
}

/// The memory of a process in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// All resident memory (VmRSS).
    pub resident: u64,
    /// The resident memory that is not of files (RssAnon).
    pub anonymous: u64,
}

impl Process {
    /// The process with this id.
    #[must_use]
    pub fn new(pid: u32) -> Self {
        Self { pid }
    }

    /// Processor time of its threads, to the nanosecond. It is the sum of
    /// `/proc/PID/task/*/schedstat`, read from the process's clock: with the time of threads that
    /// have ended, and up to now for running ones.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn spent(&self) -> Result<Duration> {
        let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(self.pid.cast_signed()))
            .context("the server is gone")?;
        Ok(clock.now().context("the server is gone")?.into())
    }

    /// Its current memory.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn memory(&self) -> Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))
            .context("the server is gone")?;
        let field = |name: &str| -> Result<u64> {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .with_context(|| format!("no {name}"))?;
            line.trim()
                .trim_end_matches(" kB")
                .parse()
                .with_context(|| format!("{name} is no number of KiB"))
        };
        Ok(Memory { resident: field("VmRSS:")?, anonymous: field("RssAnon:")? })
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::thread;
    use std::time::Instant;

    use super::*;

    #[test]
    fn time_of_a_thread_that_ended_is_kept() {
        let process = Process::new(std::process::id());
        let before = process.spent().unwrap();
        let worked = thread::spawn(|| {
            let start = Instant::now();
            let thread = ClockId::CLOCK_THREAD_CPUTIME_ID;
            while Duration::from(thread.now().unwrap()) < Duration::from_millis(30) {
                black_box(start);
            }
            Duration::from(thread.now().unwrap())
        });
        let worked = worked.join().unwrap();
        assert!(process.spent().unwrap() - before >= worked);
    }

    #[test]
    fn memory_is_read() {
        let memory = Process::new(std::process::id()).memory().unwrap();
        assert!(memory.resident > memory.anonymous && memory.anonymous > 0);
    }
}
