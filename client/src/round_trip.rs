//! Round trips measured to each server, and the retransmission timeout that follows from them.

use std::net::IpAddr;
use std::time::Duration;

/// "The value SHOULD be considered stale and discarded if no transactions have occurred to the same
/// server in the last 10 minutes" (RFC 8489 §6.2.1).
const STALE: Duration = Duration::from_secs(600);
/// Maximum number of servers remembered; the one measured longest ago is evicted first.
const MAX_SERVERS: usize = 16;

/// The round trips to each server, "based on equality of IP address" (RFC 8489 §6.2.1).
#[derive(Debug, Default)]
pub(crate) struct RoundTrips(Vec<RoundTrip>);

#[derive(Debug)]
struct RoundTrip {
    server: IpAddr,
    smoothed: Duration,
    variation: Duration,
    updated: Duration,
}

impl RoundTrips {
    /// The initial RTO for a request, never below `least` (RFC 8489 §6.2.1, RFC 6298 §2).
    pub(crate) fn rto(&self, server: IpAddr, least: Duration, now: Duration) -> Duration {
        let known = self
            .0
            .iter()
            .find(|known| known.server == server && now.saturating_sub(known.updated) < STALE);
        known.map_or(least, |known| (known.smoothed + known.variation * 4).max(least))
    }

    /// Adds a measured round trip (RFC 6298 §2, rules 2.2 and 2.3).
    pub(crate) fn measured(&mut self, server: IpAddr, round_trip: Duration, now: Duration) {
        self.0.retain(|known| now.saturating_sub(known.updated) < STALE);
        if let Some(known) = self.0.iter_mut().find(|known| known.server == server) {
            known.variation = (known.variation * 3 + known.smoothed.abs_diff(round_trip)) / 4;
            known.smoothed = (known.smoothed * 7 + round_trip) / 8;
            known.updated = now;
            return;
        }
        if self.0.len() == MAX_SERVERS {
            let oldest = self
                .0
                .iter()
                .enumerate()
                .min_by_key(|(_, known)| known.updated)
                .map_or(0, |(at, _)| at);
            self.0.swap_remove(oldest);
        }
        self.0.push(RoundTrip {
            server,
            smoothed: round_trip,
            variation: round_trip / 2,
            updated: now,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Duration = Duration::from_millis(500);

    #[test]
    fn rfc8489_6_2_1_the_rto_is_cached_for_ten_minutes_and_never_below_its_floor() {
        let now = Duration::from_secs(1_000);
        let server: IpAddr = "192.0.2.1".parse().unwrap();
        let mut trips = RoundTrips::default();
        assert_eq!(trips.rto(server, LEAST, now), LEAST);
        trips.measured(server, Duration::from_millis(10), now);
        assert_eq!(trips.rto(server, LEAST, now), LEAST);
        trips.measured(server, Duration::from_secs(4), now);
        // RFC 6298 §2: RTTVAR = 3/4 × 5 ms + 1/4 × 3990 ms, SRTT = 7/8 × 10 ms + 1/8 × 4000 ms.
        assert_eq!(trips.rto(server, LEAST, now), Duration::from_micros(508_750 + 4 * 1_001_250));
        assert_eq!(trips.rto(server, LEAST, now + STALE), LEAST);
    }

    #[test]
    fn the_table_is_bounded() {
        let now = Duration::from_secs(1_000);
        let mut trips = RoundTrips::default();
        for last in 0..100u8 {
            trips.measured(
                [192, 0, 2, last].into(),
                Duration::from_secs(1),
                now + Duration::from_millis(last.into()),
            );
        }
        assert_eq!(trips.0.len(), MAX_SERVERS);
        assert!(trips.rto([192, 0, 2, 99].into(), LEAST, now) > LEAST);
    }
}
