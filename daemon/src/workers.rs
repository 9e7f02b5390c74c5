//! `[net]`: the keys of the packet side that every service has.

use std::io;
use std::num::NonZeroUsize;
use std::time::Duration;

use causeway_net::{Backend, DontFragment, EventLoop};
use serde::Deserialize;

use crate::config::Problem;
use crate::config::values::{ByteSize, Interval};

/// The most workers that make sense to start: each owns sockets and buffers of its own.
const MOST_WORKERS: usize = 256;

/// The smallest and the largest buffer that a socket is asked for.
const BUFFER: std::ops::RangeInclusive<u64> = 4 << 10..=1 << 30;

/// The longest rest: more would be heard.
const LONGEST_REST: Duration = Duration::from_millis(1);

/// The maximum of `net.address_wait`.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// `net.moderation`, as written: `"100us"`, or `"off"`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a duration such as \"100us\", or \"off\"")]
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

/// `net.address_wait`, as written: `"30s"`, or `"off"`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a duration such as \"30s\", or \"off\"")]
pub enum AddressWait {
    /// Not at all.
    Off(Off),
    /// As long as this.
    Wait(Interval),
}

impl AddressWait {
    fn wait(self, freebind: bool) -> Result<Duration, Problem> {
        let problem =
            |what: String, hint: &str| Err(Problem::new("net.address_wait", what).hint(hint));
        match self {
            Self::Off(Off::Off) => Ok(Duration::ZERO),
            Self::Wait(Interval(wait)) if wait > LONGEST_WAIT => problem(
                format!("{wait:?} is too long; the maximum is {LONGEST_WAIT:?}"),
                "net.freebind = true needs no waiting",
            ),
            Self::Wait(Interval(wait)) if freebind && !wait.is_zero() => {
                problem("with net.freebind nothing is waited for".into(), "keep one of the two")
            }
            Self::Wait(Interval(wait)) => Ok(wait),
        }
    }
}

impl Moderation {
    fn rest(self) -> Result<Duration, Problem> {
        match self {
            Self::Off(Off::Off) => Ok(Duration::ZERO),
            Self::Rest(Interval(rest)) if !rest.is_zero() && rest <= LONGEST_REST => Ok(rest),
            Self::Rest(Interval(rest)) => {
                let problem = Problem::new(
                    "net.moderation",
                    format!("{rest:?} is no rest; give up to {LONGEST_REST:?}"),
                );
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
    backend: WantedBackend,
    receive_buffer: ByteSize,
    send_buffer: ByteSize,
    moderation: Moderation,
    dont_fragment: WantedDontFragment,
    huge_pages: bool,
    address_wait: AddressWait,
    freebind: bool,
}

impl Default for NetSchema {
    fn default() -> Self {
        let buffer = ByteSize(4 << 20);
        let moderation = Moderation::Rest(Interval(Duration::from_micros(100)));
        NetSchema {
            workers: None,
            backend: WantedBackend::Auto,
            receive_buffer: buffer,
            send_buffer: buffer,
            moderation,
            dont_fragment: WantedDontFragment::Small,
            huge_pages: true,
            address_wait: AddressWait::Off(Off::Off),
            freebind: false,
        }
    }
}

/// How many workers, and what their listening sockets ask the kernel for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Net {
    /// Worker threads; one a core unless said otherwise.
    pub workers: NonZeroUsize,
    /// How packets are to go to and from the kernel.
    pub backend: WantedBackend,
    /// SO_RCVBUF of a listening UDP socket, in bytes.
    pub receive_buffer: usize,
    /// SO_SNDBUF of a listening UDP socket, in bytes.
    pub send_buffer: usize,
    /// How long a worker rests before it waits, when packets come fast but few at a time. Zero:
    /// never.
    pub moderation: Duration,
    /// Which IPv4 datagrams leave with DF set, beside those that a client asks it for.
    pub dont_fragment: DontFragment,
    /// Whether packets may lie in huge pages while there is load.
    pub huge_pages: bool,
    /// How long the start waits for an address that this host does not have yet.
    pub address_wait: Duration,
    /// Whether addresses are bound that this host does not have.
    pub freebind: bool,
}

/// `net.dont_fragment`, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WantedDontFragment {
    /// Those that are small enough for every path.
    Small,
    /// None.
    Never,
}

impl From<WantedDontFragment> for DontFragment {
    fn from(wanted: WantedDontFragment) -> Self {
        match wanted {
            WantedDontFragment::Small => Self::Small,
            WantedDontFragment::Never => Self::Never,
        }
    }
}

/// What `net.backend` may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WantedBackend {
    /// What is best for the service where the kernel gives it, epoll elsewhere.
    Auto,
    /// epoll.
    Epoll,
    /// io_uring, or no start.
    IoUring,
}

impl Net {
    /// How addresses are treated that this host does not have, in a line for `--check-config`; none
    /// where they end the start.
    pub fn describe_addresses(&self) -> Option<String> {
        match (self.freebind, self.address_wait) {
            (true, _) => Some("binds its addresses whether this host has them or not".into()),
            (false, Duration::ZERO) => None,
            (false, wait) => Some(format!(
                "waits up to {wait:?} for an address that this host does not have yet"
            )),
        }
    }

    /// Makes a loop for each worker with `make`, over the backend that is settled by that, and says
    /// in the log which it is. `relays`: whether the service binds a socket for each client,
    /// which is what io_uring is for.
    ///
    /// # Errors
    /// io_uring is wanted and refused, or the process is out of something.
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
                event_loop.moderate(self.moderation);
                event_loop.allow_huge_pages(self.huge_pages);
            }
            tracing::info!(%backend, "packets go through");
            Ok((backend, loops))
        };
        match self.backend {
            WantedBackend::Auto if relays => all(Backend::IoUring).or_else(|reason| {
                tracing::info!(%reason, "io_uring cannot be had");
                all(Backend::Epoll)
            }),
            WantedBackend::Auto | WantedBackend::Epoll => all(Backend::Epoll),
            WantedBackend::IoUring => all(Backend::IoUring).map_err(|reason| {
                io::Error::new(
                    reason.kind(),
                    format!("net.backend is \"io_uring\", which cannot be had: {reason}"),
                )
            }),
        }
    }
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
            problems.push(Problem::new(
                "net.workers",
                format!("{workers} workers; at most {MOST_WORKERS}"),
            ));
        }
        for (key, size) in
            [("net.receive_buffer", self.receive_buffer), ("net.send_buffer", self.send_buffer)]
        {
            if !BUFFER.contains(&size.0) {
                problems
                    .push(Problem::new(key, format!("{} bytes; give from 4 KiB to 1 GiB", size.0)));
            }
        }
        let size = |size: ByteSize| usize::try_from(size.0).unwrap_or(usize::MAX);
        let moderation =
            self.moderation.rest().map_err(|problem| problems.push(problem)).unwrap_or_default();
        let (receive_buffer, send_buffer) = (size(self.receive_buffer), size(self.send_buffer));
        let dont_fragment = self.dont_fragment.into();
        let (huge_pages, freebind) = (self.huge_pages, self.freebind);
        let address_wait = self
            .address_wait
            .wait(freebind)
            .map_err(|problem| problems.push(problem))
            .unwrap_or_default();
        let backend = self.backend;
        let net = Net {
            workers,
            backend,
            receive_buffer,
            send_buffer,
            moderation,
            dont_fragment,
            huge_pages,
            address_wait,
            freebind,
        };
        if problems.is_empty() { Ok(net) } else { Err(problems) }
    }
}
