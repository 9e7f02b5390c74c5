//! `[net]`: the keys of the packet side that every service has.

use std::num::NonZeroUsize;

use serde::Deserialize;

use crate::config::Problem;
use crate::config::values::ByteSize;

/// The most workers that make sense to start: each owns sockets and buffers of its own.
const MOST_WORKERS: usize = 256;

/// The smallest and the largest buffer that a socket is asked for.
const BUFFER: std::ops::RangeInclusive<u64> = 4 << 10..=1 << 30;

/// The keys of `[net]`, as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetSchema {
    workers: Option<NonZeroUsize>,
    receive_buffer: ByteSize,
    send_buffer: ByteSize,
}

impl Default for NetSchema {
    fn default() -> Self {
        NetSchema { workers: None, receive_buffer: ByteSize(4 << 20), send_buffer: ByteSize(4 << 20) }
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
        let net = Net { workers, receive_buffer: size(self.receive_buffer), send_buffer: size(self.send_buffer) };
        if problems.is_empty() { Ok(net) } else { Err(problems) }
    }
}
