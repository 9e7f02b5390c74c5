//! One worker's loop: its parts, and the contract between it and its service.

mod accept;
mod arrival;
mod associations;
mod backend;
mod budget;
mod datagrams;
mod demux;
mod dtls;
mod huge_pages;
mod io;
mod listener_options;
mod listeners;
mod memory;
mod moderation;
mod read_stream;
mod receive;
mod receive_limit;
mod rejection;
mod service;
mod stream_setup;
mod streams;
mod turn;

use std::io as std_io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

pub use arrival::{Arrival, Route};
pub use associations::AssociationInfo;
use budget::Budget;
use huge_pages::HugePages;
pub use io::Io;
pub use listener_options::{DatagramListenerOptions, StreamListenerOptions};
pub use memory::MAX_REPLY;
use moderation::Moderation;
pub use rejection::{Rejection, RejectionReason};
pub use service::{Admission, Service};
pub use streams::{StreamInfo, Unsent};

use crate::clock::Clock;
use crate::epoll::{Events, Interest, Source};
use crate::heartbeat::Heartbeat;
use crate::keys::SocketKey;
use crate::mailbox;
use crate::packet::SLOTS;
use crate::region::Region;
use crate::secure::{Handshaker, Reply};
use crate::udp::Receiver;
use crate::uring::Backend;

/// One worker's sockets and the loop over them.
///
/// # The calling contract
/// 1. Make the loop; register what it listens on through [`io`](Self::io). Sockets of a reuseport
///    group are bound for all workers, in order, before any loop runs
///    ([`steering`](crate::steering)).
/// 2. Call [`run`](Self::run) on the worker's own thread. It returns when the service calls
///    [`Io::stop`].
/// 3. Each turn goes through the steps below.
/// 4. Every call may use the whole of [`Io`]. What it queues is sent in order, at the end of the
///    turn or when a buffer is full, whichever comes first; a [`Span`](crate::Span) or a reply
///    buffer is valid only within the call that it was given in.
/// 5. A key is dead from the moment its socket, stream or association is released or closed. Later
///    events of it are not delivered, not even those that the same wait had already brought.
///
/// # The steps of a turn
/// Each step is bounded for each source and for all sources together.
/// 1. Wait, and rest before that if so told ([`moderate`](Self::moderate)); a ring sends what is
///    queued with its wait.
/// 2. Sample the clock **once**; stamp the heartbeat.
/// 3. Serve streams that the last turn had no room for ([`frame`](Service::frame)).
/// 4. Serve busy listeners ([`datagram`](Service::datagram)); after a wait that brought as many
///    events as it may, also the other listeners, messages and the handshaker's replies: they would
///    otherwise wait behind thousands of relayed sockets.
/// 5. Serve completions of the ring: [`datagram`](Service::datagram), [`icmp`](Service::icmp).
/// 6. Serve the events of the wait: [`datagram`](Service::datagram), [`icmp`](Service::icmp),
///    [`accepted`](Service::accepted), [`frame_len`](Service::frame_len),
///    [`frame`](Service::frame), [`closed`](Service::closed), [`message`](Service::message).
/// 7. Call [`timeout`](Service::timeout) if [`next_deadline`](Service::next_deadline) has come, and
///    [`after_batch`](Service::after_batch).
/// 8. Flush: datagrams (unless the wait does it), then streams.
/// 9. Now and then: end what has taken too long, count kernel drops, let paused listeners try
///    again.
///
/// Nothing in the loop blocks but the wait; nothing in it allocates for a datagram; nothing in it
/// takes a lock.
pub struct EventLoop {
    clock: Clock,
    heartbeat: Heartbeat,
    io: Io,
    /// The same region as that of [`Io`], so that a packet can lie in it while a call uses `Io`.
    region: Arc<Region>,
    receiver: Receiver,
    replies: Option<mailbox::Receiver<Reply>>,
    /// Room for the sockets of one run of [`receive_each`](Self::receive_each).
    run: Vec<SocketKey>,
    next_tending: Duration,
    moderation: Moderation,
    huge_pages: HugePages,
    /// The rest of the turn's budget.
    budget: Budget,
    /// The event before which the last turn had to stop, of those that it got.
    stopped_at: usize,
}

impl EventLoop {
    /// A loop without sockets.
    ///
    /// # Errors
    /// The process is out of descriptors or memory.
    pub fn new(clock: Clock) -> std_io::Result<Self> {
        Self::with_handshaker(clock, None)
    }

    /// The same, for listeners with TLS or DTLS: `handshaker` computes their handshakes.
    ///
    /// # Errors
    /// The process is out of descriptors or memory.
    pub fn with_handshaker(clock: Clock, handshaker: Option<&Handshaker>) -> std_io::Result<Self> {
        Self::with_backend(clock, Backend::Epoll, handshaker)
    }

    /// The same over the backend of choice.
    ///
    /// # Errors
    /// The process is out of descriptors or memory, or the kernel refuses the backend
    /// ([`Backend::available`]).
    pub fn with_backend(
        clock: Clock,
        backend: Backend,
        handshaker: Option<&Handshaker>,
    ) -> std_io::Result<Self> {
        let (client, replies) = handshaker.map(Handshaker::connect).transpose()?.unzip();
        let io = Io::new(backend, client)?;
        if let Some(replies) = &replies {
            io.epoll().add(replies.as_raw_fd(), Source::Handshaker, Interest::READ)?;
        }
        let region = Arc::clone(io.memory.region());
        Ok(Self {
            clock,
            heartbeat: Heartbeat::default(),
            receiver: Receiver::new(&region),
            region,
            io,
            replies,
            run: Vec::with_capacity(SLOTS),
            next_tending: Duration::ZERO,
            moderation: Moderation::default(),
            huge_pages: HugePages::new(false),
            budget: Budget::of_a_turn(0),
            stopped_at: 0,
        })
    }

    /// Has the loop rest for this long, below a second, before it waits, when packets come fast but
    /// few in a turn: fewer turns then serve them. Zero, the default: it never rests.
    pub fn moderate(&mut self, rest: Duration) {
        self.moderation = Moderation::new(rest);
    }

    /// Whether the worker's memory may lie in huge pages while there is load; at first it may not.
    /// That costs less processor time and takes up to 24 MiB, until a minute after the load.
    /// Where the kernel has no transparent huge pages it changes nothing.
    pub fn allow_huge_pages(&mut self, allowed: bool) {
        self.huge_pages = HugePages::new(allowed);
    }

    /// The loop's [`Io`], to register sockets and listeners before [`run`](Self::run).
    pub fn io(&mut self) -> &mut Io {
        &mut self.io
    }

    /// The heartbeat of this worker, for a health check.
    pub fn heartbeat(&self) -> &Heartbeat {
        &self.heartbeat
    }

    /// Runs until the service stops it.
    ///
    /// # Errors
    /// The kernel refuses to wait, to watch the mailbox or to serve the ring: a defect, not an
    /// event of the network.
    pub fn run<S: Service>(
        &mut self,
        service: &mut S,
        mailbox: &mailbox::Receiver<S::Message>,
    ) -> std_io::Result<()> {
        let served = self.serve(service, mailbox);
        // Also after a defect: a socket that is closed while the ring receives from it goes on
        // taking datagrams.
        let shut_down = self.io.shut_down();
        served.and(shut_down)?;
        self.io.epoll().remove(mailbox.as_raw_fd())
    }

    fn serve<S: Service>(
        &mut self,
        service: &mut S,
        mailbox: &mailbox::Receiver<S::Message>,
    ) -> std_io::Result<()> {
        self.io.epoll().add(mailbox.as_raw_fd(), Source::Mailbox, Interest::READ)?;
        self.io.start()?;
        let mut events = Events::new();
        moderation::make_timers_exact();
        self.io.now = self.clock.sample().monotonic;
        while !self.io.stopped {
            self.turn(&mut events, service, mailbox)?;
        }
        Ok(())
    }
}
