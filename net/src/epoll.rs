//! Level-triggered epoll.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use crate::keys::{ListenerKey, SocketKey, StreamKey};

/// Maximum number of events that one wait returns: with the packets that a socket may bring in a
/// turn, it bounds the turn.
const EVENTS: usize = 64;

/// The owner of a watched descriptor.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    Mailbox,
    Handshaker,
    Socket(SocketKey),
    Listener(ListenerKey),
    Stream(StreamKey),
}

impl Source {
    fn to_token(self) -> u64 {
        match self {
            Self::Mailbox => 0,
            Self::Handshaker => 4 << 60,
            Self::Socket(key) => 1 << 60 | key.to_bits(),
            Self::Listener(key) => 2 << 60 | key.to_bits(),
            Self::Stream(key) => 3 << 60 | key.to_bits(),
        }
    }

    fn from_token(token: u64) -> Self {
        match token >> 60 {
            1 => Self::Socket(SocketKey::from_bits(token)),
            2 => Self::Listener(ListenerKey::from_bits(token)),
            3 => Self::Stream(StreamKey::from_bits(token)),
            4 => Self::Handshaker,
            _ => Self::Mailbox,
        }
    }
}

/// The events to watch for. Errors and hang-ups are always reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interest {
    pub(crate) read: bool,
    pub(crate) write: bool,
}

impl Interest {
    pub(crate) const READ: Self = Self { read: true, write: false };
    pub(crate) const NONE: Self = Self { read: false, write: false };

    fn to_events(self) -> u32 {
        let read = if self.read { libc::EPOLLIN | libc::EPOLLRDHUP } else { 0 };
        let write = if self.write { libc::EPOLLOUT } else { 0 };
        (read | write) as u32
    }
}

/// The events that happened on a descriptor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Readiness(u32);

impl Readiness {
    pub(crate) fn readable(self) -> bool {
        self.0 & (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLHUP) as u32 != 0
    }
    pub(crate) fn writable(self) -> bool {
        self.0 & (libc::EPOLLOUT | libc::EPOLLHUP) as u32 != 0
    }
    pub(crate) fn error(self) -> bool {
        self.0 & libc::EPOLLERR as u32 != 0
    }
}

#[derive(Debug)]
pub(crate) struct Epoll {
    fd: OwnedFd,
}

/// The events of one wait.
pub(crate) struct Events {
    events: [libc::epoll_event; EVENTS],
    len: usize,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self { events: [libc::epoll_event { events: 0, u64: 0 }; EVENTS], len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether there may be more events than one wait returns.
    pub(crate) fn is_full(&self) -> bool {
        self.len == EVENTS
    }

    /// Moves the first `count` events behind the others.
    pub(crate) fn rotate(&mut self, count: usize) {
        if count > 0 && self.len > 0 {
            self.events[..self.len].rotate_left(count % self.len);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    pub(crate) fn at(&self, index: usize) -> (Source, Readiness) {
        let event = self.events[..self.len][index];
        (Source::from_token(event.u64), Readiness(event.events))
    }
}

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: `epoll_create1` takes no pointers.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made and has no other owner.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd })
    }

    pub(crate) fn add(&self, fd: RawFd, source: Source, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, source, interest)
    }

    pub(crate) fn change(&self, fd: RawFd, source: Source, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, source, interest)
    }

    /// Stops watching a descriptor that stays open. Closing one has the same effect.
    pub(crate) fn remove(&self, fd: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, Source::Mailbox, Interest::NONE)
    }

    fn control(&self, op: i32, fd: RawFd, source: Source, interest: Interest) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest.to_events(), u64: source.to_token() };
        // SAFETY: `event` lives through the call, which keeps no pointer to it.
        let result = unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), op, fd, &raw mut event) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Waits for events, at most `timeout` (rounded up to a millisecond). An interrupted wait
    /// returns none.
    pub(crate) fn wait(&self, events: &mut Events, timeout: Duration) -> io::Result<()> {
        let millis = timeout.as_nanos().div_ceil(1_000_000).min(60_000) as i32;
        events.len = 0;
        // SAFETY: the array has room for EVENTS events.
        let count = unsafe {
            libc::epoll_wait(self.fd.as_raw_fd(), events.events.as_mut_ptr(), EVENTS as i32, millis)
        };
        if count < 0 {
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::Interrupted {
                return Ok(());
            }
            return Err(error);
        }
        events.len = count as usize;
        Ok(())
    }
}

impl AsRawFd for Epoll {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
