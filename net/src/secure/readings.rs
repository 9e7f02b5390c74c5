//! The handshaker's counters, and the causes of failed handshakes.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::client_limit::ClientLimit;
use crate::stats::Reading;

/// Why a handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The client broke the protocol, or the two have no cipher, version or ALPN protocol in
    /// common: in a few words.
    Refused(&'static str),
    /// The client refused the offer with this fatal alert.
    Alert(&'static str),
    /// It took too long.
    Slow,
    /// The client went away.
    Gone,
    /// Too many were under way: in all, or of the client's prefix.
    HalfOpen,
    /// More began than the rate allows.
    Rate,
    /// The handshaker's mailbox was full.
    Busy,
}

/// The names of all causes.
const CAUSES: [&str; 7] = ["refused", "alert", "slow", "gone", "half_open", "rate", "busy"];

impl Failure {
    /// The index of its name and its counter.
    fn index(self) -> usize {
        match self {
            Failure::Refused(_) => 0,
            Failure::Alert(_) => 1,
            Failure::Slow => 2,
            Failure::Gone => 3,
            Failure::HalfOpen => 4,
            Failure::Rate => 5,
            Failure::Busy => 6,
        }
    }
}

/// Counters that the workers and the handshaker's thread share: a handshake costs more than a
/// locked instruction.
#[derive(Debug, Default)]
pub(crate) struct Readings {
    started: AtomicU64,
    completed: AtomicU64,
    resumed: AtomicU64,
    failed: [AtomicU64; CAUSES.len()],
}

impl Readings {
    pub(crate) fn started(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn completed(&self, resumed: bool) {
        self.completed.fetch_add(1, Ordering::Relaxed);
        self.resumed.fetch_add(u64::from(resumed), Ordering::Relaxed);
    }

    pub(crate) fn failed(&self, failure: Failure) {
        self.failed[failure.index()].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn all(&self, half_open: &ClientLimit) -> impl Iterator<Item = Reading> + use<> {
        let reading = |family, help, value: &AtomicU64| Reading {
            family,
            cause: None,
            help,
            gauge: false,
            value: value.load(Ordering::Relaxed),
        };
        let mut all = vec![
            reading("handshakes_started", "TLS and DTLS handshakes started", &self.started),
            reading("handshakes_completed", "TLS and DTLS handshakes completed", &self.completed),
            reading(
                "handshakes_resumed",
                "TLS and DTLS handshakes completed that resumed an earlier session",
                &self.resumed,
            ),
        ];
        let failed = CAUSES.iter().zip(&self.failed);
        all.extend(failed.map(|(cause, count)| Reading {
            cause: Some(cause),
            ..reading(
                "handshakes_failed",
                "TLS and DTLS handshakes that came to nothing, by cause",
                count,
            )
        }));
        let help = "TLS and DTLS handshakes under way now";
        all.push(Reading {
            family: "handshakes_half_open",
            cause: None,
            help,
            gauge: true,
            value: half_open.taken() as u64,
        });
        all.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_own_counter() {
        let readings = Readings::default();
        use Failure::{Alert, Busy, Gone, HalfOpen, Rate, Refused, Slow};
        for (index, failure) in
            [Refused(""), Alert(""), Slow, Gone, HalfOpen, Rate, Busy].into_iter().enumerate()
        {
            (0..=index).for_each(|_| readings.failed(failure));
        }
        let half_open = ClientLimit::new(1, 1);
        let counts: Vec<_> = readings
            .all(&half_open)
            .filter(|one| one.cause.is_some())
            .map(|one| one.value)
            .collect();
        assert_eq!(counts, [1, 2, 3, 4, 5, 6, 7]);
    }
}
