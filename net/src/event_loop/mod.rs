//! One worker's loop.

mod associations;
mod budget;
mod dtls;
mod io;
mod listener_options;
mod listeners;
mod moderation;
mod opening;
mod pages;
mod reading;
mod rejection;
mod ring;
mod scratch;
mod screen;
mod service;
mod share;
mod sockets;
mod streams;

use std::io as std_io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

pub use associations::{Association, AssociationInfo, AssociationKey};
use budget::Budget;
pub use io::{Io, MAX_REPLY, Unsent};
pub use listener_options::{DatagramListenerOptions, StreamListenerOptions};
use moderation::Moderation;
use pages::Pages;
pub use rejection::{Rejection, RejectionReason};
pub use service::{Admission, Arrival, Route, Service, StreamInfo};

use crate::clock::{Clock, Sample};
use crate::epoll::{Events, Interest, Readiness, Source};
use crate::heartbeat::Heartbeat;
use crate::mailbox;
use crate::packet::SLOTS;
use crate::region::Region;
use crate::secure::{Answer, Handshaker};
use crate::slots::Key;
use crate::tcp::{Listener, Stream};
use crate::udp::{Receiver, UdpSocket};
use crate::uring::Backend;

/// Names a UDP socket of one loop.
pub type SocketKey = Key<UdpSocket>;
/// Names a TCP listener of one loop.
pub type ListenerKey = Key<Listener>;
/// Names a TCP connection of one loop.
pub type StreamKey = Key<Stream>;

/// The longest wait: the heartbeat must beat, however quiet it is.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// The wait while something is to be tried again soon.
const TENDING_WAIT: Duration = Duration::from_millis(100);
/// Letters taken from the mailbox in one turn.
const LETTERS: usize = 64;

/// One worker's sockets and the loop over them.
///
/// # The calling contract
/// 1. Make the loop; register what it listens on through [`io`](Self::io). Sockets of a reuseport
///    group are bound for all workers, in order, before any loop runs
///    ([`steering`](crate::steering)).
/// 2. Call [`run`](Self::run) on the worker's own thread. It returns when the service calls
///    [`Io::stop`].
/// 3. Each turn: wait; sample the clock **once**; stamp the heartbeat; then, for what the wait
///    brought and within bounds for each source, call [`Service::datagram`],
///    [`accepted`](Service::accepted), [`frame_len`](Service::frame_len),
///    [`frame`](Service::frame), [`closed`](Service::closed), [`icmp`](Service::icmp),
///    [`message`](Service::message); then [`timeout`](Service::timeout) if
///    [`next_deadline`](Service::next_deadline) has come; then
///    [`after_batch`](Service::after_batch); then flush: datagrams, then streams; then rest, if so
///    told ([`moderate`](Self::moderate)).
/// 4. Every call may use the whole of [`Io`]. What it queues is sent in order, at the end of the
///    turn or when a buffer is full, whichever comes first; a [`Span`](crate::Span) or a reply
///    buffer is of no use after the call it was given in.
/// 5. A key is dead from the moment its thing is released or closed. Later events of it are not
///    delivered, not even those that the same wait had already brought.
///
/// Nothing in the loop blocks but the wait; nothing in it allocates for a datagram; nothing in it
/// takes a lock.
pub struct EventLoop {
    clock: Clock,
    heartbeat: Heartbeat,
    io: Io,
    region: Arc<Region>,
    receiver: Receiver,
    /// What the handshaker answers.
    answers: Option<mailbox::Receiver<Answer>>,
    /// The first slot that nothing queued lies in.
    next_slot: usize,
    /// Room for the sockets of one run of [`receive_each`](Self::receive_each).
    run: Vec<SocketKey>,
    next_tending: Duration,
    moderation: Moderation,
    pages: Pages,
    /// The rest of the turn's budget.
    budget: Budget,
    /// The event before which the last turn had to stop, of those that it got.
    stopped_at: usize,
}

impl EventLoop {
    /// A loop without sockets.
    ///
    /// # Errors
    /// When the process is out of descriptors or memory.
    pub fn new(clock: Clock) -> std_io::Result<Self> {
        Self::with_handshaker(clock, None)
    }

    /// The same, for listeners with TLS or DTLS: their handshakes are computed by `handshaker`.
    ///
    /// # Errors
    /// When the process is out of descriptors or memory.
    pub fn with_handshaker(clock: Clock, handshaker: Option<&Handshaker>) -> std_io::Result<Self> {
        Self::with_backend(clock, Backend::Epoll, handshaker)
    }

    /// The same over the backend of choice.
    ///
    /// # Errors
    /// When the process is out of descriptors or memory, or the kernel refuses the backend
    /// ([`Backend::available`]).
    pub fn with_backend(
        clock: Clock,
        backend: Backend,
        handshaker: Option<&Handshaker>,
    ) -> std_io::Result<Self> {
        let mut io = Io::new(backend)?;
        let mut answers = None;
        if let Some(handshaker) = handshaker {
            let (post, receiver) = handshaker.post()?;
            io.epoll.add(receiver.as_raw_fd(), Source::Handshaker, Interest::READ)?;
            io.post = Some(post);
            answers = Some(receiver);
        }
        let region = Arc::clone(&io.region);
        Ok(Self {
            clock,
            heartbeat: Heartbeat::default(),
            receiver: Receiver::new(&region),
            region,
            io,
            answers,
            next_slot: 0,
            run: Vec::with_capacity(SLOTS),
            next_tending: Duration::ZERO,
            moderation: Moderation::default(),
            pages: Pages::new(false),
            budget: Budget::of_a_turn(0),
            stopped_at: 0,
        })
    }

    /// Has the loop rest for so long, below a second, before it waits, when packets come fast but
    /// few in a turn: fewer turns then serve them. Zero, as at first: it never rests.
    pub fn moderate(&mut self, rest: Duration) {
        self.moderation = Moderation::new(rest);
    }

    /// Whether the worker's memory may lie in huge pages while there is load; at first it may not.
    /// That costs less processor time and takes up to 24 MiB, until a minute after the load.
    /// Where the kernel has no transparent huge pages it changes nothing.
    pub fn allow_huge_pages(&mut self, allowed: bool) {
        self.pages = Pages::new(allowed);
    }

    /// To register sockets and listeners before [`run`](Self::run).
    pub fn io(&mut self) -> &mut Io {
        &mut self.io
    }

    /// The pulse of this worker, for whoever watches it.
    pub fn heartbeat(&self) -> &Heartbeat {
        &self.heartbeat
    }

    /// Runs until the service stops it.
    ///
    /// # Errors
    /// When the kernel refuses to wait, to watch the mailbox or to serve the ring: a defect, not an
    /// event of the network.
    pub fn run<S: Service>(
        &mut self,
        service: &mut S,
        mailbox: &mailbox::Receiver<S::Message>,
    ) -> std_io::Result<()> {
        let served = self.serve(service, mailbox);
        // Also after a defect: a socket that is closed while the ring receives from it goes on
        // taking datagrams.
        let shut = self.io.shut_ring();
        served.and(shut)?;
        self.io.epoll.remove(mailbox.as_raw_fd())
    }

    fn serve<S: Service>(
        &mut self,
        service: &mut S,
        mailbox: &mailbox::Receiver<S::Message>,
    ) -> std_io::Result<()> {
        self.io.epoll.add(mailbox.as_raw_fd(), Source::Mailbox, Interest::READ)?;
        self.io.running = true;
        self.io.enable_ring()?;
        let mut events = Events::new();
        moderation::make_timers_exact();
        self.io.now = self.clock.sample().monotonic;
        while !self.io.stopped {
            let patience = self.patience(service.next_deadline());
            let rest = self.due_rest(patience);
            if self.io.ring.is_none() {
                moderation::rest(rest);
                self.io.epoll.wait(&mut events, patience)?;
            } else {
                self.io.wait_on_ring(&mut events, rest, patience)?;
            }
            self.suit_pages();
            self.turn(&mut events, service, mailbox);
        }
        Ok(())
    }

    /// How long to let packets gather, if they come fast; not longer than `patience`.
    fn due_rest(&mut self, patience: Duration) -> Duration {
        let stats = &self.io.stats;
        let packets = stats.datagrams_received.value() + stats.frames_received.value();
        self.pages.note(self.io.now, packets);
        let rest = self.moderation.note(self.io.now, packets).min(patience);
        if !rest.is_zero() {
            stats.rests.add(1);
        }
        rest
    }

    /// How long the next wait may be.
    fn patience(&self, deadline: Option<Duration>) -> Duration {
        let has_more =
            self.io.ring_has_more() || !self.io.line.is_empty() || self.next_tending <= self.io.now;
        if has_more || self.io.listening.iter().any(|key| self.is_busy(*key)) {
            return Duration::ZERO;
        }
        let longest = if self.needs_tending() { TENDING_WAIT } else { LONGEST_WAIT };
        // By the time that the turn began: what the turn took comes on top, and one look at the
        // clock a turn will do.
        deadline.map_or(longest, |deadline| deadline.saturating_sub(self.io.now).min(longest))
    }

    fn turn<S: Service>(
        &mut self,
        events: &mut Events,
        service: &mut S,
        mailbox: &mailbox::Receiver<S::Message>,
    ) {
        let now = self.clock.sample();
        self.io.now = now.monotonic;
        self.heartbeat.stamp(now.monotonic);
        self.io.stats.turns.add(1);
        self.budget = Budget::of_a_turn(self.io.line.len());
        self.resume_streams(now, service);
        // A wait brings a bounded number of events, and thousands of relayed sockets and streams
        // can fill it: without this, clients' packets and letters would wait for several of
        // their rounds.
        let crowded = events.is_full();
        for index in 0..self.io.listening.len() {
            let key = self.io.listening[index];
            if crowded || self.is_busy(key) {
                self.receive(now, key, service);
            }
        }
        if crowded {
            self.letters(now, service, mailbox);
            self.answers(now, service);
        }
        self.completions(now, service);
        events.rotate(std::mem::take(&mut self.stopped_at));
        let mut next = 0;
        while next < events.len() {
            let run = self.receive_each(now, events, next, service);
            if run > 0 {
                next += run;
                continue;
            }
            let (source, ready) = events.at(next);
            next += 1;
            match source {
                Source::Socket(key) => self.socket_ready(now, key, ready, service),
                Source::Stream(key) => self.stream_ready(now, key, ready, service),
                Source::Listener(key) => self.accept(now, key, service),
                Source::Mailbox if !crowded => self.letters(now, service, mailbox),
                Source::Handshaker if !crowded => self.answers(now, service),
                Source::Mailbox | Source::Handshaker => {}
            }
            if self.stopped_at == 0 && self.budget.is_spent_on_sockets() {
                self.stopped_at = next; // those behind it are the first of the next turn
            }
        }
        if service.next_deadline().is_some_and(|deadline| deadline <= now.monotonic) {
            service.timeout(now, &mut self.io);
        }
        service.after_batch(now, &mut self.io);
        if self.io.ring.is_none() {
            self.io.flush_datagrams(); // a ring does it together with the wait
        }
        self.io.flush_streams();
        self.report_failed(now, service);
        self.tend(now, service);
    }

    fn socket_ready<S: Service>(
        &mut self,
        now: Sample,
        key: SocketKey,
        ready: Readiness,
        service: &mut S,
    ) {
        if ready.error() {
            self.errors(now, key, service);
        }
        let turn = self.io.stats.turns.value();
        if ready.readable()
            && self.io.sockets.get(key).is_some_and(|entry| entry.received_in != turn)
        {
            self.receive(now, key, service);
        }
    }

    fn is_busy(&self, key: SocketKey) -> bool {
        self.io.sockets.get(key).is_some_and(|entry| entry.share.is_busy())
    }

    fn letters<S: Service>(
        &mut self,
        now: Sample,
        service: &mut S,
        mailbox: &mailbox::Receiver<S::Message>,
    ) {
        mailbox.drain(LETTERS, |letter| {
            self.io.stats.mail_received.add(1);
            service.message(now, letter, &mut self.io);
        });
    }

    /// Takes what the handshaker answered.
    fn answers<S: Service>(&mut self, now: Sample, service: &mut S) {
        let Some(answers) = self.answers.take() else { return };
        answers.drain(LETTERS, |answer| match answer {
            Answer::Tls(answer) => self.tls_answer(now, answer, service),
            Answer::Dtls(answer) => self.dtls_answer(now, answer, service),
        });
        self.answers = Some(answers);
    }

    fn needs_tending(&self) -> bool {
        !self.io.draining.is_empty() || !self.io.opening.is_empty() || self.io.has_paused_listener()
    }

    /// Work that is due now and then, not with each turn.
    fn tend<S: Service>(&mut self, now: Sample, service: &mut S) {
        if now.monotonic < self.next_tending {
            return;
        }
        self.io.tend_streams(&mut self.budget.endings);
        self.tend_openings(now, service);
        self.tend_associations(now, service);
        self.io.resume_listeners();
        self.io.count_all_drops();
        self.next_tending = match () {
            () if self.budget.endings == 0 => now.monotonic, // the rest is due in the next turn
            () if self.needs_tending() => now.monotonic + TENDING_WAIT,
            () => now.monotonic + LONGEST_WAIT,
        };
    }
}
