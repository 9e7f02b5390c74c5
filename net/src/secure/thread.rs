//! The handshaker's thread: requests in, replies out, and a clock for what takes too long.

use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::flood::{FloodDetector, release_free_memory};
use super::messages::{Message, Request};
use super::protocol::{Protocol, Replies};
use super::shared::Shared;
use super::{dtls, tls};
use crate::mailbox;

/// The nice value of the thread: below the workers, whose packets go first.
const NICE: libc::c_int = 10;
/// Maximum number of messages taken between two looks at the clock.
const MESSAGES: usize = 64;
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Computes handshakes until the last handle is dropped.
pub(super) fn run(shared: &Shared, mailbox: &mailbox::Receiver<Message>) {
    lower_priority();
    let mut tls = tls::Handshakes::default();
    let mut dtls = dtls::Handshakes::default();
    let mut workers = HashMap::new();
    let mut out = Replies { shared, workers: &mut workers };
    let mut flood = FloodDetector::default();
    while !shared.stopped.load(Ordering::Relaxed) {
        let now = Instant::now();
        let deadline = [tls.next_deadline(), dtls.next_deadline()].into_iter().flatten().min();
        wait(
            mailbox,
            deadline.map_or(LONGEST_WAIT, |at| at.saturating_duration_since(now).min(LONGEST_WAIT)),
        );
        mailbox.drain(MESSAGES, |message| match message {
            Message::Request { worker, request: Request::Tls(request) } => {
                tls.request(Instant::now(), worker, request, &mut out);
            }
            Message::Request { worker, request: Request::Dtls(request) } => {
                dtls.request(Instant::now(), worker, request, &mut out);
            }
            Message::Stop => {}
        });
        let now = Instant::now();
        if tls.next_deadline().is_some_and(|at| at <= now) {
            tls.timeout(now, &mut out);
        }
        if dtls.next_deadline().is_some_and(|at| at <= now) {
            dtls.timeout(now, &mut out);
        }
        if flood.is_over(shared.half_open.taken()) {
            release_free_memory();
        }
    }
}

fn wait(mailbox: &mailbox::Receiver<Message>, patience: Duration) {
    let mut poll = libc::pollfd { fd: mailbox.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let millis = patience.as_nanos().div_ceil(1_000_000) as libc::c_int; // at most a second
    // SAFETY: one pollfd, on this stack. An interrupted wait is a short one.
    unsafe { libc::poll(&raw mut poll, 1, millis) };
}

/// Gives this thread a lower priority than the workers'; the kernel's threads each have their own.
/// An idle-time thread is preempted the moment that a worker wakes. A nice value alone does not do
/// that: a packet would wait for the thread's slice to end. A failure leaves the priority as it is.
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
