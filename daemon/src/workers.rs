//! `[net]`: the keys of the packet side that every service has.

use std::io;
use std::num::NonZeroUsize;
use std::time::Duration;

use causeway_net::{Backend, DontFragment, EventLoop};
use serde::Deserialize;

use crate::config::Problem;
use crate::config::values::{bytes, duration_or_off};

/// Maximum number of workers: each owns sockets and buffers.
const MAX_WORKERS: usize = 256;

/// Minimum and maximum of the buffer that a socket asks for, in bytes.
const BUFFER: std::ops::RangeInclusive<usize> = 4 << 10..=1 << 30;

/// Maximum of `net.moderation`: a longer pause would be audible in calls.
const MAX_MODERATION: Duration = Duration::from_millis(1);

/// Maximum of `net.address_wait`.
const MAX_ADDRESS_WAIT: Duration = Duration::from_secs(600);

/// The keys of `[net]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Net {
    /// Number of worker threads; one per core where the key is not set.
    #[serde(default = "cores")]
    pub workers: NonZeroUsize,
    /// The interface to the kernel that packets take.
    pub backend: WantedBackend,
    /// SO_RCVBUF of a listening UDP socket, in bytes.
    #[serde(deserialize_with = "bytes")]
    pub receive_buffer: usize,
    /// SO_SNDBUF of a listening UDP socket, in bytes.
    #[serde(deserialize_with = "bytes")]
    pub send_buffer: usize,
    /// How long a worker pauses before it waits, when packets come fast but few at a time. `None`:
    /// never.
    #[serde(deserialize_with = "duration_or_off")]
    pub moderation: Option<Duration>,
    /// Which IPv4 datagrams leave with DF set, besides those for which a client asks for it.
    #[serde(with = "DontFragmentKey")]
    pub dont_fragment: DontFragment,
    /// Whether workers may keep packets in huge pages under load.
    pub huge_pages: bool,
    /// How long the start waits for an address that this host does not have yet. `None`: not at
    /// all.
    #[serde(deserialize_with = "duration_or_off")]
    pub address_wait: Option<Duration>,
    /// Whether to bind addresses that this host does not have.
    pub freebind: bool,
}

fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// The values of `net.dont_fragment`.
#[derive(Deserialize)]
#[serde(remote = "DontFragment", rename_all = "lowercase")]
enum DontFragmentKey {
    Small,
    Never,
}

/// The values of `net.backend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WantedBackend {
    /// The best one for the service where the kernel offers it; epoll elsewhere.
    Auto,
    /// epoll.
    Epoll,
    /// io_uring; the start fails where the kernel refuses it.
    IoUring,
}

impl Net {
    /// Checks the ranges of the keys, and the keys that exclude each other.
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut problem = |key: &str, what: String| problems.push(Problem::new(key, what));
        if self.workers.get() > MAX_WORKERS {
            problem(
                "net.workers",
                format!("{} is more than the maximum of {MAX_WORKERS}", self.workers),
            );
        }
        for (key, size) in
            [("net.receive_buffer", self.receive_buffer), ("net.send_buffer", self.send_buffer)]
        {
            if !BUFFER.contains(&size) {
                problem(key, format!("{size} bytes is out of range; write 4 KiB to 1 GiB"));
            }
        }
        problems.extend(self.moderation.and_then(moderation_problem));
        problems.extend(self.address_wait.and_then(|wait| wait_problem(wait, self.freebind)));
        problems
    }

    /// Says in a line for `--check-config` how the start treats addresses that this host does not
    /// have; nothing where they make it fail at once.
    pub fn describe_addresses(&self) -> Option<String> {
        if self.freebind {
            return Some("binds its addresses whether this host has them or not".into());
        }
        let wait = self.address_wait.filter(|wait| !wait.is_zero())?;
        Some(format!("waits up to {wait:?} for an address that this host does not have yet"))
    }

    /// Makes one event loop for each worker with `make` and logs the backend that all of them use.
    /// `relays`: whether the service binds a socket for each client, the case in which io_uring is
    /// faster.
    ///
    /// # Errors
    /// `net.backend` demands io_uring and the kernel refuses it, or `make` fails.
    pub fn make_loops(
        &self,
        relays: bool,
        make: impl Fn(Backend) -> io::Result<EventLoop>,
    ) -> io::Result<(Backend, Vec<EventLoop>)> {
        let all = |backend: Backend| -> io::Result<_> {
            backend.available()?;
            let mut loops =
                (0..self.workers.get()).map(|_| make(backend)).collect::<io::Result<Vec<_>>>()?;
            for event_loop in &mut loops {
                event_loop.moderate(self.moderation.unwrap_or_default());
                event_loop.allow_huge_pages(self.huge_pages);
            }
            tracing::info!(%backend, "packet backend selected");
            Ok((backend, loops))
        };
        match self.backend {
            WantedBackend::Auto if relays => all(Backend::IoUring).or_else(|reason| {
                tracing::info!(%reason, "io_uring is not available");
                all(Backend::Epoll)
            }),
            WantedBackend::Auto | WantedBackend::Epoll => all(Backend::Epoll),
            WantedBackend::IoUring => all(Backend::IoUring).map_err(|reason| {
                io::Error::new(
                    reason.kind(),
                    format!(
                        "net.backend: io_uring is not available: {reason}; write \"auto\" or \"epoll\""
                    ),
                )
            }),
        }
    }
}

fn moderation_problem(pause: Duration) -> Option<Problem> {
    let what = match pause {
        Duration::ZERO => "0s is too short".to_owned(),
        _ if pause <= MAX_MODERATION => return None,
        _ => format!("{pause:?} is too long; the maximum is {MAX_MODERATION:?}"),
    };
    Some(Problem::new("net.moderation", what).hint("write \"off\" for no pause"))
}

fn wait_problem(wait: Duration, freebind: bool) -> Option<Problem> {
    let (what, hint) = if wait > MAX_ADDRESS_WAIT {
        let what = format!("{wait:?} is too long; the maximum is {MAX_ADDRESS_WAIT:?}");
        (what, "net.freebind = true binds addresses without a wait")
    } else if freebind && !wait.is_zero() {
        ("net.freebind binds addresses without a wait".into(), "keep one of the two")
    } else {
        return None;
    };
    Some(Problem::new("net.address_wait", what).hint(hint))
}
