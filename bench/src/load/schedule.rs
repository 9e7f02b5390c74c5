//! Uneven traffic: which client sends how much, and in video calls when.

use crate::load::{Direction, Pace, Scenario, Traffic};

/// Minimum size of a datagram of mixed sizes.
pub(crate) const SHORTEST: usize = 60;
/// Maximum size of a packet of a frame.
const LONGEST: usize = 1_200;
/// Minimum size of a packet of a frame.
const LEAST_OF_FRAME: usize = 600;
/// Number of packets in a frame.
const PACKETS: u64 = 4;
/// The size of an audio packet.
const AUDIO: usize = 160;

/// The period of the schedule in nanoseconds: three frames and five audio packets.
const PERIOD: u64 = 100_000_000;
/// Number of ticks in a period, at each of which something may be due.
const TICKS: u64 = 240;
/// Ticks from one frame of a client to the next: 30 a second.
const FRAME: u64 = TICKS / 3;
/// Ticks from one audio packet of a client to the next: 50 a second.
const VOICE: u64 = TICKS / 5;
/// Number of ticks between two frames of a client at which other clients have theirs. With more
/// clients, frames coincide.
const PHASES: u64 = 16;
/// Number of datagrams of a client in a period.
const OF_ONE: u64 = 3 * PACKETS + 5;

/// A datagram to send: its client, whether the client is the sender, and the bytes of application
/// data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Departure {
    pub(crate) client: usize,
    pub(crate) up: bool,
    pub(crate) size: usize,
}

/// The schedule of video calls.
pub(crate) struct Schedule {
    /// The datagrams of a period in order, each with its time in nanoseconds.
    departures: Box<[(u64, Departure)]>,
}

/// The n-th datagram of mixed traffic.
pub(crate) fn mixed(number: usize, scenario: &Scenario) -> Departure {
    let chance = scatter(number as u64);
    let up = match scenario.direction {
        Direction::ToPeer | Direction::Echo | Direction::Relay => true,
        Direction::ToClient => false,
        Direction::Both => chance >> 20 & 1 == 0,
    };
    Departure {
        client: (chance >> 32) as usize % scenario.allocations,
        up,
        size: between(SHORTEST, scenario.size, chance),
    }
}

/// Datagrams a second of the frames of all clients together.
fn rate(scenario: &Scenario) -> u32 {
    let ways = if scenario.direction == Direction::Both { 2 } else { 1 };
    let a_second = scenario.allocations as u64 * ways * OF_ONE * 1_000_000_000 / PERIOD;
    u32::try_from(a_second).unwrap_or(u32::MAX)
}

impl Scenario {
    /// The scenario with the size and the pace of its traffic.
    pub(crate) fn settled(self) -> Self {
        match self.traffic {
            Traffic::Even | Traffic::Mixed => self,
            Traffic::Frames => Self { size: LONGEST, pace: Pace::Rate(rate(&self)), ..self },
        }
    }
}

impl Schedule {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let ways: &[bool] = match scenario.direction {
            Direction::ToPeer | Direction::Echo | Direction::Relay => &[true],
            Direction::ToClient => &[false],
            Direction::Both => &[true, false],
        };
        let mut departures = Vec::new();
        for client in 0..scenario.allocations {
            for &up in ways {
                add_call(&mut departures, client, up);
            }
        }
        // Packets due at the same tick are interleaved at random.
        let order = |index: &usize| (departures[*index].0, scatter(*index as u64));
        let mut sorted: Vec<usize> = (0..departures.len()).collect();
        sorted.sort_by_cached_key(order);
        Self { departures: sorted.into_iter().map(|index| departures[index]).collect() }
    }

    /// The n-th datagram of the schedule.
    pub(crate) fn departure(&self, number: u64) -> Departure {
        self.departures[(number % self.departures.len() as u64) as usize].1
    }

    /// When the n-th datagram is due, in nanoseconds from the first one's tick.
    pub(crate) fn time(&self, number: u64) -> u64 {
        let all = self.departures.len() as u64;
        number / all * PERIOD + self.departures[(number % all) as usize].0
    }

    /// Number of datagrams from `number` on that are due at that time; at most `most`.
    pub(crate) fn due(&self, number: u64, time: u64, most: usize) -> usize {
        (0..most).take_while(|behind| self.time(number + *behind as u64) <= time).count()
    }
}

/// The datagrams of one client, or of its peer, in a period.
fn add_call(departures: &mut Vec<(u64, Departure)>, client: usize, up: bool) {
    let own = scatter(client as u64 * 2 + u64::from(up));
    let mut add = |tick: u64, size| {
        departures.push((tick % TICKS * (PERIOD / TICKS), Departure { client, up, size }));
    };
    for frame in 0..TICKS / FRAME {
        let tick = client as u64 % PHASES * (FRAME / PHASES) + frame * FRAME;
        for packet in 0..PACKETS {
            add(tick, between(LEAST_OF_FRAME, LONGEST, scatter(own ^ (frame * PACKETS + packet))));
        }
    }
    for voice in 0..TICKS / VOICE {
        add(own % VOICE + voice * VOICE, AUDIO);
    }
}

/// A size derived from `chance`: a multiple of four, so that a stream has no padding.
fn between(least: usize, most: usize, chance: u64) -> usize {
    (least + (chance & 0xFFFF) as usize % (most - least + 1)).next_multiple_of(4).min(most)
}

/// A pseudo-random number derived from `number` (splitmix64).
fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(direction: Direction, allocations: usize) -> Scenario {
        Scenario { traffic: Traffic::Frames, direction, allocations, ..Scenario::default() }
    }

    #[test]
    fn a_second_of_frames() {
        let scenario = frames(Direction::Both, 40);
        let schedule = Schedule::new(&scenario);
        let count = schedule.due(0, 999_999_999, 1_000_000);
        assert_eq!((count as u32, rate(&scenario)), (40 * 2 * 170, 40 * 2 * 170));
        let mut sizes = Vec::new();
        for number in 0..count as u64 {
            let (departure, time) = (schedule.departure(number), schedule.time(number));
            assert!(number == 0 || schedule.time(number - 1) <= time);
            if (departure.client, departure.up) == (7, true) {
                sizes.push(departure.size);
            }
        }
        let voice = sizes.iter().filter(|size| **size == AUDIO).count();
        let video: Vec<usize> = sizes
            .iter()
            .copied()
            .filter(|size| (LEAST_OF_FRAME..=LONGEST).contains(size))
            .collect();
        assert_eq!((voice, video.len(), sizes.len()), (50, 120, 170));
        assert!(
            video.windows(2).any(|pair| pair[0] < pair[1])
                && video.windows(2).any(|pair| pair[0] > pair[1])
        );
    }

    #[test]
    fn frames_that_coincide_are_interleaved() {
        let schedule = Schedule::new(&frames(Direction::ToPeer, 64));
        let due = schedule.due(0, 0, 1_000);
        assert!(due >= 4 * PACKETS as usize, "four clients have a frame at the first tick");
        let clients: Vec<usize> =
            (0..due as u64).map(|number| schedule.departure(number).client).collect();
        let changes = clients.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(
            changes > 4 && changes < due - 1,
            "neither one after the other nor strictly in turn: {clients:?}"
        );
    }

    #[test]
    fn mixed_sizes_and_clients() {
        let scenario = Scenario {
            direction: Direction::Both,
            allocations: 20,
            size: 1_200,
            traffic: Traffic::Mixed,
            ..Scenario::default()
        };
        let departures: Vec<Departure> =
            (0..10_000).map(|number| mixed(number, &scenario)).collect();
        assert!(
            departures
                .iter()
                .all(|one| (SHORTEST..=1_200).contains(&one.size) && one.size.is_multiple_of(4))
        );
        for client in 0..20 {
            for up in [true, false] {
                let count =
                    departures.iter().filter(|one| (one.client, one.up) == (client, up)).count();
                assert!((150..350).contains(&count), "{count} of client {client}");
            }
        }
    }
}
