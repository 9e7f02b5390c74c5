//! `[net]`: the keys of the packet side that every service has.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::Deserialize;

use crate::config::Problem;
use crate::config::values::{ByteSize, Interval};

/// The most workers that make sense to start: each owns sockets and buffers of its own.
const MOST_WORKERS: usize = 256;

/// The smallest and the largest buffer that a socket is asked for.
const BUFFER: std::ops::RangeInclusive<u64> = 4 << 10..=1 << 30;

/// The longest rest: more would be heard.
const LONGEST_REST: Duration = Duration::from_millis(1);

/// `net.moderation`, as written: `"50us"`, or `"off"`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a duration such as \"50us\", or \"off\"")]
pub enum Moderation {
    /// Not at all.
    Off(Off),
    /// Rests so long.
    Rest(Interval),
}

/// The word for it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Off {
    /// `"off"`.
    Off,
}

impl Moderation {
    fn rest(self) -> Result<Duration, Problem> {
        match self {
            Self::Off(Off::Off) => Ok(Duration::ZERO),
            Self::Rest(Interval(rest)) if !rest.is_zero() && rest <= LONGEST_REST => Ok(rest),
            Self::Rest(Interval(rest)) => {
                let problem = Problem::new("net.moderation", format!("{rest:?} is no rest; give up to {LONGEST_REST:?}"));
                Err(problem.hint("\"off\" is for none"))
            }
        }
    }
}

/// The keys of `[net]`, as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetSchema {
    workers: Option<NonZeroUsize>,
    receive_buffer: ByteSize,
    send_buffer: ByteSize,
    moderation: Moderation,
}

impl Default for NetSchema {
    fn default() -> Self {
        let buffer = ByteSize(4 << 20);
        let moderation = Moderation::Rest(Interval(Duration::from_micros(50)));
        NetSchema { workers: None, receive_buffer: buffer, send_buffer: buffer, moderation }
    }
}

/// How many workers, and what their listening sockets ask the kernel for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Net {
    /// Worker threads; one a core unless said otherwise.
    pub workers: NonZeroUsize,
    /// SO_RCVBUF of a listening UDP socket, in bytes.
    pub receive_buffer: usize,
    /// SO_SNDBUF of a listening UDP socket, in bytes.
    pub send_buffer: usize,
    /// How long a worker rests before it waits, when packets come fast but few at a time. Zero: never.
    pub moderation: Duration,
}

impl NetSchema {
    /// Fills in the number of cores.
    ///
    /// # Errors
    /// More workers, or a smaller or larger buffer, than can be meant.
    pub fn resolve(self) -> Result<Net, Vec<Problem>> {
        let mut problems = Vec::new();
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let workers = self.workers.unwrap_or_else(cores);
        if workers.get() > MOST_WORKERS {
            problems.push(Problem::new("net.workers", format!("{workers} workers; at most {MOST_WORKERS}")));
        }
        for (key, size) in [("net.receive_buffer", self.receive_buffer), ("net.send_buffer", self.send_buffer)] {
            if !BUFFER.contains(&size.0) {
                problems.push(Problem::new(key, format!("{} bytes; give from 4 KiB to 1 GiB", size.0)));
            }
        }
        let size = |size: ByteSize| usize::try_from(size.0).unwrap_or(usize::MAX);
        let moderation = self.moderation.rest().map_err(|problem| problems.push(problem)).unwrap_or_default();
        let (receive_buffer, send_buffer) = (size(self.receive_buffer), size(self.send_buffer));
        let net = Net { workers, receive_buffer, send_buffer, moderation };
        if problems.is_empty() { Ok(net) } else { Err(problems) }
    }
}
