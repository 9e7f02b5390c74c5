//! Loss, order and round trips of numbered datagrams.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::step::milliseconds;

/// The figures of the relayed loop.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quality {
    pub sent: u32,
    /// Datagrams that came back.
    pub received: u32,
    /// Datagrams that did not come back, in per cent of those sent.
    pub loss_percent: f64,
    /// Datagrams that arrived at the far end after one that was sent later.
    pub reordered: u32,
    /// Datagrams that arrived at the far end more than once.
    pub duplicated: u32,
    /// The median of the round trips. A round trip is two passes through the relay, each over two
    /// allocations.
    pub rtt_p50_ms: Option<f64>,
    /// The 99th percentile of the round trips.
    pub rtt_p99_ms: Option<f64>,
    /// The interarrival jitter at the far end (RFC 3550 §6.4.1).
    pub jitter_ms: Option<f64>,
}

/// Counts numbered datagrams on their way to the far end and back.
#[derive(Debug, Default)]
pub(super) struct Measurement {
    sent: Vec<Instant>,
    at_far_end: HashSet<u32>,
    returned: HashSet<u32>,
    round_trips: Vec<Duration>,
    highest: Option<u32>,
    reordered: u32,
    duplicated: u32,
    transit: Option<Duration>,
    jitter: f64,
}

impl Measurement {
    /// Records a datagram that is sent now, and returns its number.
    pub(super) fn send(&mut self, now: Instant) -> u32 {
        self.sent.push(now);
        self.sent.len() as u32 - 1
    }

    /// Records a datagram that arrived at the far end. Returns whether to send it back: if its
    /// number was sent, and arrived for the first time.
    pub(super) fn arrived(&mut self, number: u32, now: Instant) -> bool {
        let Some(sent) = self.sent.get(number as usize) else { return false };
        if !self.at_far_end.insert(number) {
            self.duplicated += 1;
            return false;
        }
        if self.highest.is_some_and(|highest| number < highest) {
            self.reordered += 1;
        }
        self.highest = self.highest.max(Some(number));
        let transit = now.saturating_duration_since(*sent);
        if let Some(before) = self.transit.replace(transit) {
            self.jitter += (transit.abs_diff(before).as_secs_f64() - self.jitter) / 16.0;
        }
        true
    }

    /// Records a datagram that came back.
    pub(super) fn returned(&mut self, number: u32, now: Instant) {
        if let Some(sent) = self.sent.get(number as usize)
            && self.returned.insert(number)
        {
            self.round_trips.push(now.saturating_duration_since(*sent));
        }
    }

    /// The round trip of the first datagram that came back.
    pub(super) fn first_round_trip(&self) -> Option<Duration> {
        self.round_trips.first().copied()
    }

    /// Whether all datagrams came back.
    pub(super) fn is_complete(&self) -> bool {
        self.returned.len() == self.sent.len()
    }

    pub(super) fn quality(mut self) -> Quality {
        self.round_trips.sort_unstable();
        let sent = self.sent.len() as u32;
        let received = self.returned.len() as u32;
        let lost = f64::from(sent - received);
        Quality {
            sent,
            received,
            loss_percent: if sent == 0 {
                0.0
            } else {
                (lost * 1000.0 / f64::from(sent)).round() / 10.0
            },
            reordered: self.reordered,
            duplicated: self.duplicated,
            rtt_p50_ms: percentile(&self.round_trips, 50).map(milliseconds),
            rtt_p99_ms: percentile(&self.round_trips, 99).map(milliseconds),
            jitter_ms: (self.at_far_end.len() > 1)
                .then(|| milliseconds(Duration::from_secs_f64(self.jitter))),
        }
    }
}

/// The percentile of sorted values, by nearest rank.
fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_duplicates_and_reordering_are_told_apart() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut measure = Measurement::default();
        for number in 0..4 {
            assert_eq!(measure.send(at(u64::from(number) * 20)), number);
        }
        assert!(measure.arrived(1, at(30)));
        assert!(measure.arrived(0, at(31)), "late");
        assert!(!measure.arrived(1, at(32)), "twice");
        assert!(!measure.arrived(9, at(33)), "never sent");
        assert!(measure.arrived(3, at(70)));
        for (number, ms) in [(1, 40), (0, 41), (1, 42), (9, 43)] {
            measure.returned(number, at(ms));
        }
        assert!(!measure.is_complete());
        let quality = measure.quality();
        assert_eq!((quality.sent, quality.received, quality.loss_percent), (4, 2, 50.0));
        assert_eq!((quality.reordered, quality.duplicated), (1, 1));
        assert_eq!((quality.rtt_p50_ms, quality.rtt_p99_ms), (Some(20.0), Some(41.0)));
        // RFC 3550 §6.4.1: transits of 10, 31 and 10 ms; 21/16, then (21 - 21/16)/16 more.
        assert_eq!(quality.jitter_ms, Some(2.543));
    }

    #[test]
    fn nothing_sent_is_nothing_lost() {
        let quality = Measurement::default().quality();
        assert_eq!(
            (quality.loss_percent, quality.rtt_p50_ms, quality.jitter_ms),
            (0.0, None, None)
        );
    }
}
