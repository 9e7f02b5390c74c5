//! One turn of the loop, in the steps that [`EventLoop`]'s documentation numbers.

use std::io;
use std::time::Duration;

use super::EventLoop;
use super::budget::Budget;
use super::service::Service;
use crate::clock::Sample;
use crate::epoll::{Events, Readiness, Source};
use crate::keys::SocketKey;
use crate::mailbox;
use crate::secure::Reply;

/// Maximum wait: the heartbeat must be stamped, however quiet it is.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Maximum wait while something is to be tried again soon, or has a time limit.
pub(super) const TENDING_WAIT: Duration = Duration::from_millis(100);
/// Maximum number of messages taken from each mailbox in one turn.
const MESSAGES: usize = 64;

impl EventLoop {
    pub(super) fn turn<S: Service>(
        &mut self,
        events: &mut Events,
        service: &mut S,
        mailbox: &mailbox::Receiver<S::Message>,
    ) -> io::Result<()> {
        // 1. Wait.
        let patience = self.patience(service.next_deadline());
        let rest = self.due_rest(patience);
        self.io.wait(events, rest, patience)?;
        self.huge_pages.suit(&self.io);
        // 2. Sample the clock.
        let now = self.clock.sample();
        self.io.now = now.monotonic;
        self.heartbeat.stamp(now.monotonic);
        self.io.stats.turns.add(1);
        self.budget = Budget::of_a_turn(self.io.streams.waiting());
        // 3. Streams that the last turn had no room for.
        self.resume_streams(now, service);
        // 4. Busy listeners. A wait brings a bounded number of events, and thousands of relayed
        // sockets and streams can fill it: without this, clients' packets and messages would wait
        // for several of their rounds.
        let crowded = events.is_full();
        self.receive_from_listeners(now, crowded, service);
        if crowded {
            self.messages(now, service, mailbox);
            self.replies(now, service);
        }
        // 5. Completions of the ring.
        self.completions(now, service);
        // 6. The events of the wait.
        self.events(now, events, service, mailbox);
        // 7. The service's deadline, and the end of the batch.
        if service.next_deadline().is_some_and(|deadline| deadline <= now.monotonic) {
            service.timeout(now, &mut self.io);
        }
        service.after_batch(now, &mut self.io);
        // 8. Flush.
        if !self.io.backend.flushes_with_wait() {
            self.io.flush_datagrams();
        }
        self.io.streams.flush();
        self.report_failed(now, service);
        // 9. Time limits, counters and retries.
        self.tend(now, service);
        Ok(())
    }

    /// How long the next wait may be.
    fn patience(&self, deadline: Option<Duration>) -> Duration {
        let io = &self.io;
        let has_more = io.backend.has_more(io.datagrams.outbox())
            || io.streams.waiting() > 0
            || self.next_tending <= io.now;
        if has_more || io.datagrams.has_busy_listener() {
            return Duration::ZERO;
        }
        let longest = if self.needs_tending() { TENDING_WAIT } else { LONGEST_WAIT };
        // By the time that the turn began: the turn's own time comes on top, and one look at the
        // clock a turn is enough.
        deadline.map_or(longest, |deadline| deadline.saturating_sub(io.now).min(longest))
    }

    /// How long to let packets gather, if they come fast; not longer than `patience`.
    fn due_rest(&mut self, patience: Duration) -> Duration {
        let stats = &self.io.stats;
        let packets = stats.datagrams_received.value() + stats.frames_received.value();
        self.huge_pages.note(self.io.now, packets);
        let rest = self.moderation.note(self.io.now, packets).min(patience);
        if !rest.is_zero() {
            stats.rests.add(1);
        }
        rest
    }

    fn receive_from_listeners<S: Service>(&mut self, now: Sample, all: bool, service: &mut S) {
        for index in 0..self.io.datagrams.listeners().len() {
            let key = self.io.datagrams.listeners()[index];
            if all || self.io.datagrams.is_busy(key) {
                self.receive(now, key, service);
            }
        }
    }

    fn events<S: Service>(
        &mut self,
        now: Sample,
        events: &mut Events,
        service: &mut S,
        mailbox: &mailbox::Receiver<S::Message>,
    ) {
        let crowded = events.is_full();
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
                Source::Mailbox if !crowded => self.messages(now, service, mailbox),
                Source::Handshaker if !crowded => self.replies(now, service),
                Source::Mailbox | Source::Handshaker => {} // served in step 4
            }
            if self.stopped_at == 0 && self.budget.is_spent_on_sockets() {
                self.stopped_at = next; // those behind it are the first of the next turn
            }
        }
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
            && self.io.datagrams.get(key).is_some_and(|entry| entry.received_in != turn)
        {
            self.receive(now, key, service);
        }
    }

    fn messages<S: Service>(
        &mut self,
        now: Sample,
        service: &mut S,
        mailbox: &mailbox::Receiver<S::Message>,
    ) {
        mailbox.drain(MESSAGES, |message| {
            self.io.stats.mail_received.add(1);
            service.message(now, message, &mut self.io);
        });
    }

    /// Takes the handshaker's replies.
    fn replies<S: Service>(&mut self, now: Sample, service: &mut S) {
        let Some(replies) = self.replies.take() else { return };
        replies.drain(MESSAGES, |reply| match reply {
            Reply::Tls(reply) => self.tls_reply(now, reply, service),
            Reply::Dtls(reply) => self.dtls_reply(now, reply, service),
        });
        self.replies = Some(replies);
    }

    fn needs_tending(&self) -> bool {
        self.io.streams.need_tending() || self.io.listeners.has_paused()
    }

    /// Has [`tend`](Self::tend) called soon: something has a time limit.
    pub(super) fn tend_soon(&mut self, now: Sample) {
        self.next_tending = self.next_tending.min(now.monotonic + TENDING_WAIT);
    }

    /// Work that is due now and then, not with each turn.
    fn tend<S: Service>(&mut self, now: Sample, service: &mut S) {
        if now.monotonic < self.next_tending {
            return;
        }
        self.io.streams.tend(self.io.now, &mut self.budget.endings);
        self.end_late_setups(now, service);
        self.io.associations.tend(now.monotonic);
        self.io.listeners.resume_all();
        self.io.datagrams.count_all_drops();
        self.next_tending = match () {
            () if self.budget.endings == 0 => now.monotonic, // the rest is due in the next turn
            () if self.needs_tending() => now.monotonic + TENDING_WAIT,
            () => now.monotonic + LONGEST_WAIT,
        };
    }
}
