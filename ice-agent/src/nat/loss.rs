//! How much the path loses, and how likely it is that silence is only loss.
//!
//! Silence is a finding only if the chance that it is loss is below [`MAX_CHANCE`]. Three things
//! ensure that:
//! - plain requests go to the server all the time, and the unanswered ones show how much the path
//!   loses;
//! - an unanswered request counts only if a plain request near it in time was answered, so that an
//!   outage does not count;
//! - the requests that count span more than [`LONGEST_BURST`], so that one short outage cannot hide
//!   all of them.

use std::time::Duration;

use tokio::time::Instant;

/// How long outages of Wi-Fi and mobile networks last that are not rare.
const LONGEST_BURST: Duration = Duration::from_secs(2);
/// How long a test may take before it is given up as unsettled, in multiples of an unanswered
/// [request](total).
pub(super) const MAX_TOTALS: u32 = 5;
/// Maximum chance that a single negative finding is loss. A report has several of them; together
/// they stay below 0.1 %.
pub(super) const MAX_CHANCE: f64 = 1e-5;
/// The same for a finding about the server's other address, to which only a few requests go.
pub(super) const MAX_CHANCE_AT_ORIGIN: f64 = 1e-3;
/// The prior: before the first request, one of ten requests counts as lost. Each request that is
/// answered or lost changes that.
const BELIEVED_LOST: f64 = 1.0;
const BELIEVED_ANSWERED: f64 = 9.0;
/// Maximum number of requests in the record; a run has fewer.
const MAX_REMEMBERED: usize = 1000;

/// How long an unanswered request takes: the timeout, but always longer than a burst of loss.
pub(super) fn total(timeout: Duration) -> Duration {
    timeout.max(LONGEST_BURST + LONGEST_BURST / 4)
}

/// The plain requests of this run, whose answers no filter stops: when each was sent, and how long
/// its answer took.
#[derive(Debug, Default)]
pub(super) struct Path {
    asked: Vec<(Instant, Option<Duration>)>,
}

impl Path {
    /// Records a request.
    pub(super) fn asked(&mut self, at: Instant) {
        if self.asked.len() < MAX_REMEMBERED {
            self.asked.push((at, None));
        }
    }

    /// Records the answer to the request that was sent at that time.
    pub(super) fn answered(&mut self, at: Instant, took: Duration) {
        if let Some((_, answered)) = self.asked.iter_mut().find(|(asked, _)| *asked == at) {
            *answered = Some(took);
        } else if self.asked.len() < MAX_REMEMBERED {
            self.asked.push((at, Some(took)));
        }
    }

    /// How long an answer may take: one and a half times the slowest one so far, but at least
    /// `least`.
    pub(super) fn patience(&self, least: Duration) -> Duration {
        let slowest = self.asked.iter().filter_map(|(_, took)| *took).max().unwrap_or_default();
        least.max(slowest + slowest / 2)
    }

    /// The answered and the lost requests. Requests younger than `patience` may still be answered
    /// and do not count.
    pub(super) fn loss(&self, now: Instant, patience: Duration) -> Loss {
        let answered = self.asked.iter().filter(|(_, took)| took.is_some()).count();
        let lost = self
            .asked
            .iter()
            .filter(|(at, took)| took.is_none() && now.saturating_duration_since(*at) >= patience)
            .count();
        Loss { answered: answered as u32, lost: lost as u32 }
    }

    /// Whether a request that was sent within `reach` of `at` was answered.
    fn was_open(&self, at: Instant, reach: Duration) -> bool {
        let distance = |asked: Instant| {
            asked.saturating_duration_since(at).max(at.saturating_duration_since(asked))
        };
        self.asked.iter().any(|(asked, took)| took.is_some() && distance(*asked) <= reach)
    }
}

/// Numbers of answered and lost requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) answered: u32,
    pub(super) lost: u32,
}

impl Loss {
    /// The chance that the next `silent` requests are all lost: the predictive distribution of a
    /// binomial whose parameter has a beta distribution. Unlike the plain ratio, it allows for how
    /// little a few requests show.
    pub(super) fn chance(self, silent: u32) -> f64 {
        let lost = BELIEVED_LOST + f64::from(self.lost);
        let all = lost + BELIEVED_ANSWERED + f64::from(self.answered);
        (0..silent).map(|more| (lost + f64::from(more)) / (all + f64::from(more))).product()
    }
}

/// Unanswered requests; a single answer to them would disprove the negative finding.
#[derive(Debug, Default)]
pub(super) struct Silence {
    sent: Vec<Instant>,
}

/// How conclusive a silence is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Evidence {
    /// The requests that count.
    pub(super) requests: u32,
    /// The chance that they were all lost.
    pub(super) chance: f64,
    /// Whether these requests span more than a burst of loss.
    pub(super) outlasts_burst: bool,
}

impl Evidence {
    /// Whether the silence is conclusive.
    pub(super) fn is_enough(self) -> bool {
        self.outlasts_burst && self.chance < MAX_CHANCE
    }
}

impl Silence {
    /// Records a request.
    pub(super) fn sent(&mut self, at: Instant) {
        self.sent.push(at);
    }

    /// The number of requests.
    pub(super) fn requests(&self) -> usize {
        self.sent.len()
    }

    /// The evidence at `now`, if answers take `patience` at most. Only requests within `reach` of
    /// an answered plain request count.
    pub(super) fn evidence(
        &self,
        path: &Path,
        now: Instant,
        patience: Duration,
        reach: Duration,
    ) -> Evidence {
        let counts = |at: &&Instant| {
            now.saturating_duration_since(**at) >= patience && path.was_open(**at, reach)
        };
        let counted: Vec<Instant> = self.sent.iter().filter(counts).copied().collect();
        let span = counted
            .first()
            .zip(counted.last())
            .map_or(Duration::ZERO, |(first, last)| last.saturating_duration_since(*first));
        let requests = counted.len() as u32;
        Evidence {
            requests,
            chance: path.loss(now, patience).chance(requests),
            outlasts_burst: span > LONGEST_BURST,
        }
    }

    /// When the next request will be old enough to count.
    pub(super) fn ripens(&self, now: Instant, patience: Duration) -> Option<Instant> {
        self.sent.iter().map(|at| *at + patience).find(|ripe| *ripe > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn h58_the_chance_falls_with_each_request_and_rises_with_each_loss() {
        let clean = Loss { answered: 5, lost: 0 };
        assert!(
            clean.chance(6) > MAX_CHANCE && clean.chance(7) < MAX_CHANCE,
            "{} {}",
            clean.chance(6),
            clean.chance(7)
        );
        let lossy = Loss { answered: 10, lost: 6 };
        assert!(
            lossy.chance(9) > MAX_CHANCE && lossy.chance(14) < MAX_CHANCE,
            "{} {}",
            lossy.chance(9),
            lossy.chance(14)
        );
        assert!(
            Loss { answered: 1, lost: 20 }.chance(30) > MAX_CHANCE,
            "a path that loses almost everything proves nothing"
        );
        assert!((clean.chance(0) - 1.0).abs() < f64::EPSILON);
    }

    #[tokio::test(start_paused = true)]
    async fn h58_what_fell_into_an_outage_or_within_one_burst_does_not_count() {
        let start = Instant::now();
        let mut path = Path::default();
        let mut silence = Silence::default();
        for at in (0..12_000).step_by(300) {
            let now = start + ms(at);
            silence.sent(now);
            path.asked(now + ms(100));
            // An outage of two seconds.
            if !(1000..3000).contains(&at) {
                path.answered(now + ms(100), ms(20));
            }
            let evidence = silence.evidence(&path, now + ms(299), ms(200), ms(250));
            assert!(at > 2000 || !evidence.outlasts_burst, "{at} {evidence:?}");
            assert!(at > 3000 || !evidence.is_enough(), "{at} {evidence:?}");
        }
        let evidence = silence.evidence(&path, start + ms(13_000), ms(200), ms(250));
        assert!(evidence.is_enough() && (31..=35).contains(&evidence.requests), "{evidence:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_young_request_is_neither_lost_nor_silent() {
        let start = Instant::now();
        let mut path = Path::default();
        path.answered(start, ms(400));
        path.asked(start + ms(500));
        assert_eq!(path.patience(ms(250)), ms(600));
        assert_eq!(path.loss(start + ms(1000), ms(600)), Loss { answered: 1, lost: 0 });
        assert_eq!(path.loss(start + ms(1100), ms(600)), Loss { answered: 1, lost: 1 });
        let mut silence = Silence::default();
        silence.sent(start);
        assert_eq!(silence.evidence(&path, start + ms(599), ms(600), ms(500)).requests, 0);
        assert_eq!(silence.ripens(start + ms(599), ms(600)), Some(start + ms(600)));
        assert_eq!(silence.evidence(&path, start + ms(600), ms(600), ms(500)).requests, 1);
    }
}
