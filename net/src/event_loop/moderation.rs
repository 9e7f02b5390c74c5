//! Moderation: at a high rate, a short rest before the wait lets packets gather, so that one turn
//! serves several.
//!
//! A turn has a cost of its own: the wait, the wake-up, a send for each socket. When packets come a
//! few microseconds apart, each of them finds the worker asleep again and takes a whole turn. A
//! rest of 100 µs delays each packet by at most that, and saves most of the turns.

use std::ptr;
use std::time::Duration;

/// How long the rate is measured.
const WINDOW: Duration = Duration::from_millis(2);
/// Packets a second from which the worker rests. Far below, a packet would wait without another
/// joining it.
const HIGH_RATE: u64 = 10_000;
/// Packets in one turn from which there is no rest after it: such a turn is worth its cost.
const LARGE_TURN: u64 = 8;

/// Decides when to rest, from the turns so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moderation {
    /// How long a rest lasts. Zero: there is none.
    rest: Duration,
    /// Packets received when the last turn ended.
    seen: u64,
    /// When the window began, and the packets received by then.
    since: Duration,
    before: u64,
    /// Whether the rate was high in the last window.
    high: bool,
}

impl Moderation {
    pub(super) fn new(rest: Duration) -> Self {
        Self { rest, ..Self::default() }
    }

    /// Notes a turn that began at `now`; `packets` have been received in all since the start.
    /// Returns how long to rest before the next wait. Zero: not at all.
    pub(super) fn note(&mut self, now: Duration, packets: u64) -> Duration {
        let turn = packets - self.seen;
        self.seen = packets;
        let elapsed = now.saturating_sub(self.since);
        if elapsed >= WINDOW {
            // The packets of this turn count for the next window: they came at its end, however
            // long nothing came before.
            let came = packets - turn - self.before;
            self.high = u128::from(came) * 1_000_000 >= u128::from(HIGH_RATE) * elapsed.as_micros();
            (self.since, self.before) = (now, packets - turn);
        }
        let worthwhile = self.high && (1..LARGE_TURN).contains(&turn);
        if worthwhile { self.rest } else { Duration::ZERO }
    }
}

/// Makes this thread's timers exact to a microsecond: by default a rest of 100 µs may take 150.
pub(super) fn make_timers_exact() {
    const SLACK: libc::c_ulong = 1_000; // nanoseconds
    // SAFETY: the call takes no pointers. Where it is refused, rests are longer.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, SLACK) };
}

/// Sleeps for `rest`, below a second; less, if a signal comes.
pub(super) fn rest(rest: Duration) {
    if rest.is_zero() {
        return;
    }
    // SAFETY: all-zero is a valid `timespec`; on some targets it has private padding, so it cannot
    // be written out.
    let mut time: libc::timespec = unsafe { std::mem::zeroed() };
    time.tv_nsec = rest.subsec_nanos() as _;
    // SAFETY: the kernel reads `time` during the call and writes nothing back.
    unsafe { libc::clock_nanosleep(libc::CLOCK_MONOTONIC, 0, &raw const time, ptr::null_mut()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_micros(50);

    /// Plays `packets` that come `gap` apart to a worker that needs 5 µs for each. Returns the
    /// turns, the rests, and how long a packet waited for its turn at most.
    fn play(moderation: &mut Moderation, gap: Duration, packets: u32) -> (u32, u32, Duration) {
        let work = Duration::from_micros(5);
        let (mut turns, mut rests, mut longest) = (0, 0, Duration::ZERO);
        let start = moderation.since + Duration::from_secs(1);
        let comes = |number: u32| start + gap * number;
        let base = moderation.seen;
        let (mut now, mut served) = (start, 0);
        while served < packets {
            now = now.max(comes(served)); // the wait
            turns += 1;
            let begun = now;
            longest = longest.max(now - comes(served));
            let first = served;
            while served < packets && comes(served) <= begun && served - first < 64 {
                served += 1;
            }
            now += work * (served - first);
            let rest = moderation.note(begun, base + u64::from(served));
            rests += u32::from(!rest.is_zero());
            now += rest;
        }
        (turns, rests, longest)
    }

    #[test]
    fn at_a_low_rate_no_packet_waits() {
        let mut moderation = Moderation::new(REST);
        for per_second in [1, 50, 1_000, 5_000] {
            let (turns, rests, longest) =
                play(&mut moderation, Duration::from_secs(1) / per_second, 2_000);
            assert_eq!(
                (turns, rests, longest),
                (2_000, 0, Duration::ZERO),
                "at {per_second} a second"
            );
        }
    }

    #[test]
    fn at_a_high_rate_a_turn_serves_several_and_none_waits_longer_than_a_rest() {
        let mut moderation = Moderation::new(REST);
        let (turns, rests, longest) = play(&mut moderation, Duration::from_micros(20), 50_000);
        assert!((10_000..20_000).contains(&turns), "{turns} turns for 50,000 packets");
        assert!(rests > 10_000, "{rests}");
        assert!(longest <= REST + Duration::from_micros(20), "{longest:?}");
    }

    #[test]
    fn large_turns_are_not_made_larger() {
        let mut moderation = Moderation::new(REST);
        for turn in 1..10_000u64 {
            assert_eq!(
                moderation.note(Duration::from_micros(100) * turn as u32, turn * LARGE_TURN),
                Duration::ZERO
            );
        }
    }

    #[test]
    fn a_burst_after_silence_is_no_high_rate_and_silence_ends_one() {
        let mut moderation = Moderation::new(REST);
        let mut packets = 0;
        for burst in 1..100 {
            for part in 0..5 {
                packets += 6;
                let now = Duration::from_millis(100) * burst + Duration::from_micros(100) * part;
                assert_eq!(
                    moderation.note(now, packets),
                    Duration::ZERO,
                    "thirty packets every 100 ms"
                );
            }
        }
        play(&mut moderation, Duration::from_micros(20), 1_000);
        let later = moderation.since + Duration::from_secs(5);
        assert_eq!(moderation.note(later, moderation.seen + 1), Duration::ZERO);
    }

    #[test]
    fn turns_without_packets_and_moderation_that_is_off_do_not_rest() {
        let mut moderation = Moderation::new(REST);
        play(&mut moderation, Duration::from_micros(20), 1_000);
        assert!(moderation.high);
        assert_eq!(moderation.note(moderation.since, moderation.seen), Duration::ZERO);
        let mut off = Moderation::default();
        assert_eq!(play(&mut off, Duration::from_micros(20), 1_000).1, 0);
    }

    #[test]
    fn a_rest_lasts_about_as_long_as_it_should() {
        let before = std::time::Instant::now();
        rest(REST);
        assert!(before.elapsed() >= REST);
    }
}
