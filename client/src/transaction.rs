//! The retransmission timer of one request.

use std::time::Duration;

use causeway_wire::{TransactionId, Transport};

use crate::timing::Timing;

/// The timer of one request: when to send it, when to repeat it, when it has failed (RFC 8489
/// §6.2.1 over UDP, §6.2.2 over a stream).
///
/// It is due at its start: call [`handle_timeout`](Self::handle_timeout) whenever
/// [`poll_timeout`](Self::poll_timeout) has passed and do what it returns. After [`Due::Failed`]
/// the transaction is over. Times count from a start that the caller chooses.
#[derive(Clone, Debug)]
pub struct Transaction {
    id: TransactionId,
    transport: Transport,
    timing: Timing,
    interval: Duration,
    sent: u32,
    first_sent: Option<Duration>,
    deadline: Duration,
}

/// The action that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Due {
    /// No action before the deadline.
    Wait,
    /// Send the request, the first time or again.
    Send,
    /// The request has failed: there was no answer in time.
    Failed,
}

impl Transaction {
    /// A transaction that sends its request first at `start`.
    #[must_use]
    pub fn new(id: TransactionId, transport: Transport, timing: Timing, start: Duration) -> Self {
        Self {
            id,
            transport,
            timing,
            interval: timing.rto,
            sent: 0,
            first_sent: None,
            deadline: start,
        }
    }

    /// The transaction id of the request.
    #[must_use]
    pub fn id(&self) -> TransactionId {
        self.id
    }

    /// The timing that it follows.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// The time of the next action.
    #[must_use]
    pub fn poll_timeout(&self) -> Duration {
        self.deadline
    }

    /// The action that is due at `now`.
    pub fn handle_timeout(&mut self, now: Duration) -> Due {
        if now < self.deadline {
            return Due::Wait;
        }
        let limit = if self.transport.is_stream() { 1 } else { self.timing.requests.max(1) };
        if self.sent >= limit {
            return Due::Failed;
        }
        self.sent += 1;
        self.first_sent.get_or_insert(now);
        let wait = if self.transport.is_stream() {
            self.timing.reliable
        } else if self.sent == limit {
            self.timing.rto * self.timing.last_wait
        } else {
            self.timing.capped(self.interval)
        };
        self.interval = self.interval.saturating_mul(2);
        self.deadline = now + wait;
        Due::Send
    }

    /// The round trip that an answer at `now` shows; `None` if the request was sent more than once,
    /// because the answer could belong to any transmission ("RTT estimates SHOULD NOT be computed
    /// from STUN transactions that result in the retransmission of a request", RFC 8489 §6.2.1).
    #[must_use]
    pub fn round_trip(&self, now: Duration) -> Option<Duration> {
        if self.sent == 1 { self.first_sent.map(|sent| now.saturating_sub(sent)) } else { None }
    }

    /// The number of times that the request has been sent.
    #[must_use]
    pub fn sent(&self) -> u32 {
        self.sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The beginning of virtual time.
    fn epoch() -> Duration {
        Duration::from_secs(1_000)
    }

    #[test]
    fn rfc8489_6_2_1_the_schedule_of_the_text() {
        // "requests would be sent at times 0 ms, 500 ms, 1500 ms, 3500 ms, 7500 ms, 15500 ms, and
        // 31500 ms. If the client has not received a response after 39500 ms, the client
        // will consider the transaction to have timed out."
        let start = epoch();
        let mut transaction =
            Transaction::new(TransactionId([1; 12]), Transport::Udp, Timing::default(), start);
        let mut sent = Vec::new();
        let failed = loop {
            let now = transaction.poll_timeout();
            match transaction.handle_timeout(now) {
                Due::Send => sent.push((now - start).as_millis()),
                Due::Failed => break (now - start).as_millis(),
                Due::Wait => unreachable!("the deadline is reached"),
            }
        };
        assert_eq!(sent, [0, 500, 1500, 3500, 7500, 15_500, 31_500]);
        assert_eq!(failed, 39_500);
    }

    #[test]
    fn rfc8489_6_2_1_the_doubling_may_have_an_end() {
        let start = epoch();
        let timing = Timing {
            longest: Duration::from_millis(700),
            requests: 5,
            last_wait: 1,
            ..Timing::default()
        };
        let mut transaction =
            Transaction::new(TransactionId([1; 12]), Transport::Udp, timing, start);
        let mut sent = Vec::new();
        while transaction.handle_timeout(transaction.poll_timeout()) == Due::Send {
            sent.push((transaction.poll_timeout() - start).as_millis());
        }
        assert_eq!(sent, [500, 1200, 1900, 2600, 3100]);
    }

    #[test]
    fn rfc8489_6_2_1_the_length_over_udp_is_the_one_of_the_schedule() {
        let start = epoch();
        // In even steps, as the check of a server does.
        let even = |requests, last_wait| {
            let rto = Duration::from_millis(333);
            Timing { rto, longest: rto, requests, last_wait, ..Timing::default() }
        };
        let capped = Timing {
            longest: Duration::from_millis(700),
            requests: 5,
            last_wait: 1,
            ..Timing::default()
        };
        let below = Timing { longest: Duration::from_millis(1), ..Timing::default() };
        for timing in [Timing::default(), capped, below, even(10, 1), even(1, 16), even(0, 3)] {
            let mut transaction =
                Transaction::new(TransactionId([1; 12]), Transport::Udp, timing, start);
            while transaction.handle_timeout(transaction.poll_timeout()) == Due::Send {}
            assert_eq!(timing.over_udp(), transaction.poll_timeout() - start, "{timing:?}");
        }
        assert_eq!(even(10, 1).over_udp(), Duration::from_millis(3330));
    }

    #[test]
    fn rfc8489_6_2_2_over_a_stream_it_is_sent_once() {
        let start = epoch();
        let mut transaction =
            Transaction::new(TransactionId([1; 12]), Transport::Tcp, Timing::default(), start);
        assert_eq!(transaction.handle_timeout(start), Due::Send);
        assert_eq!(transaction.poll_timeout() - start, Duration::from_millis(39_500));
        assert_eq!(transaction.handle_timeout(start + Duration::from_secs(39)), Due::Wait);
        assert_eq!(transaction.handle_timeout(transaction.poll_timeout()), Due::Failed);
    }

    #[test]
    fn rfc8489_6_2_1_a_repeated_request_measures_nothing() {
        let start = epoch();
        let mut transaction =
            Transaction::new(TransactionId([1; 12]), Transport::Udp, Timing::default(), start);
        assert_eq!(transaction.handle_timeout(start), Due::Send);
        let later = start + Duration::from_millis(30);
        assert_eq!(transaction.round_trip(later), Some(Duration::from_millis(30)));
        assert_eq!(transaction.handle_timeout(transaction.poll_timeout()), Due::Send);
        assert_eq!(transaction.round_trip(later), None);
    }
}
