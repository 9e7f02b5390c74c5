//! The handshaker's thread: letters in, answers out, and a clock for what takes too long.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::handshaker::Shared;
use super::post::{Answer, Envelope, Letter};
use super::tide::{Tide, give_back};
use super::{Offer, dtls, tls};
use crate::mailbox;

/// Below the workers, whose packets go first.
const NICE: libc::c_int = 10;
/// Letters taken between two looks at the clock.
const LETTERS: usize = 64;
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// An [`Offer`] as each library wants it.
pub(super) struct Offered {
    pub(super) tls: tls::Offered,
    pub(super) dtls: dtls::Offered,
}

impl Offered {
    pub(super) fn new(offer: &Offer) -> io::Result<Self> {
        let refused = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        if offer.identities.is_empty() {
            return Err(refused("no certificate is offered".into()));
        }
        Ok(Self {
            tls: tls::Offered::new(offer).map_err(refused)?,
            dtls: dtls::Offered::new(offer).map_err(refused)?,
        })
    }
}

/// One protocol's handshakes under way, on the handshaker's thread.
pub(super) trait Protocol {
    /// What a worker sends.
    type Letter;

    /// A letter of `worker` came.
    fn letter(&mut self, now: Instant, worker: usize, letter: Self::Letter, out: &mut Outgoing<'_>);

    /// When [`timeout`](Self::timeout) is wanted.
    fn next_deadline(&self) -> Option<Instant>;

    /// The deadline has passed: retransmissions, handshakes to be forgotten.
    fn timeout(&mut self, now: Instant, out: &mut Outgoing<'_>);
}

/// Where answers go.
pub(super) struct Outgoing<'a> {
    pub(super) shared: &'a Shared,
    pub(super) workers: &'a mut HashMap<usize, mailbox::Sender<Answer>>,
}

impl Outgoing<'_> {
    /// Sends an answer. A worker that does not empty its mailbox loses it, and the leg by its time
    /// limit.
    pub(super) fn send(&mut self, worker: usize, answer: Answer) {
        if !self.workers.contains_key(&worker)
            && let Some(sender) = self.shared.answers_to(worker)
        {
            self.workers.insert(worker, sender);
        }
        if let Some(sender) = self.workers.get(&worker) {
            let _ = sender.send(answer);
        }
    }
}

/// Computes until nobody holds the handshaker any more.
pub(super) fn run(shared: &Shared, letters: &mailbox::Receiver<Envelope>) {
    lower_priority();
    let mut tls = tls::Handshakes::default();
    let mut dtls = dtls::Handshakes::default();
    let mut workers = HashMap::new();
    let mut out = Outgoing { shared, workers: &mut workers };
    let mut tide = Tide::default();
    while !shared.stopped.load(Ordering::Relaxed) {
        let now = Instant::now();
        let deadline = [tls.next_deadline(), dtls.next_deadline()].into_iter().flatten().min();
        wait(
            letters,
            deadline.map_or(LONGEST_WAIT, |at| at.saturating_duration_since(now).min(LONGEST_WAIT)),
        );
        letters.drain(LETTERS, |envelope| match envelope {
            Envelope::From { worker, letter: Letter::Tls(letter) } => {
                tls.letter(Instant::now(), worker, letter, &mut out);
            }
            Envelope::From { worker, letter: Letter::Dtls(letter) } => {
                dtls.letter(Instant::now(), worker, letter, &mut out);
            }
            Envelope::Stop => {}
        });
        let now = Instant::now();
        if tls.next_deadline().is_some_and(|at| at <= now) {
            tls.timeout(now, &mut out);
        }
        if dtls.next_deadline().is_some_and(|at| at <= now) {
            dtls.timeout(now, &mut out);
        }
        if tide.has_gone(shared.half_open.taken()) {
            give_back();
        }
    }
}

fn wait(letters: &mailbox::Receiver<Envelope>, patience: Duration) {
    let mut poll = libc::pollfd { fd: letters.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let millis = patience.as_nanos().div_ceil(1_000_000) as libc::c_int; // a second at the most
    // SAFETY: one pollfd, on this stack. An interrupted wait is a short one.
    unsafe { libc::poll(&raw mut poll, 1, millis) };
}

/// The kernel's threads have priorities of their own. As an idle-time thread it makes way the
/// moment that a worker wakes, which a nice value alone does not do: a packet would wait for its
/// slice to end. A failure leaves the priority of the others.
fn lower_priority() {
    // The kernel's `struct sched_param` is this one number; musl's has more fields.
    let priority: libc::c_int = 0;
    // SAFETY: `priority` outlives the call, and the others take no pointer.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, libc::gettid() as libc::id_t, NICE);
        // Not by the C library's function: musl's does nothing.
        libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_IDLE, &raw const priority);
    }
}
