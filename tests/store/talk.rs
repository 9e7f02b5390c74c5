//! Calls that talk: both ends send at a steady pace, and each datagram is timed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::call::Call;

/// Time between two datagrams of one end.
const PACE: Duration = Duration::from_millis(10);
/// Time between two polls of the sockets: the precision of all times.
const LOOK: Duration = Duration::from_millis(2);
/// How long to wait, at the end, for datagrams on their way.
const TAIL: Duration = Duration::from_millis(500);

/// A call whose ends talk until they are asked to stop.
pub(crate) struct Talk {
    over: Arc<AtomicBool>,
    thread: JoinHandle<(Call, Heard)>,
}

/// The datagrams of one talk, in both directions.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) to_peer: Leg,
    pub(crate) to_client: Leg,
}

/// One direction: when each datagram was sent, and when it arrived.
#[derive(Default)]
pub(crate) struct Leg(Vec<(Instant, Option<Instant>)>);

impl Talk {
    pub(crate) fn start(call: Call) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        Self { over, thread: thread::spawn(move || talk(call, &until)) }
    }

    /// Starts all of them at the same time.
    pub(crate) fn start_all(calls: impl IntoIterator<Item = Call>) -> Vec<Self> {
        calls.into_iter().map(Self::start).collect()
    }

    /// Ends them all, and returns the calls.
    pub(crate) fn stop_all(talks: Vec<Self>) -> Vec<(Call, Heard)> {
        talks.iter().for_each(|talk| talk.over.store(true, Ordering::Relaxed));
        talks
            .into_iter()
            .map(|talk| talk.thread.join().expect("a call's thread does not panic"))
            .collect()
    }
}

fn talk(mut call: Call, over: &AtomicBool) -> (Call, Heard) {
    let mut heard = Heard::default();
    let mut next = Instant::now();
    while !over.load(Ordering::Relaxed) {
        call.say(&heard.to_peer.sent());
        call.answer(&heard.to_client.sent());
        // After a pause of the machine the ends do not catch up.
        next = (next + PACE).max(Instant::now());
        listen(&mut call, &mut heard, next);
    }
    listen(&mut call, &mut heard, Instant::now() + TAIL);
    (call, heard)
}

fn listen(call: &mut Call, heard: &mut Heard, until: Instant) {
    loop {
        while let Some(data) = call.heard_by_peer() {
            heard.to_peer.arrived(&data);
        }
        while let Some(data) = call.heard_by_client() {
            heard.to_client.arrived(&data);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::sleep(left.min(LOOK));
    }
}

impl Heard {
    fn legs(&self) -> [&Leg; 2] {
        [&self.to_peer, &self.to_client]
    }

    pub(crate) fn sent(&self) -> usize {
        self.legs().map(|leg| leg.0.len()).iter().sum()
    }

    pub(crate) fn lost(&self) -> usize {
        self.legs().map(Leg::lost).iter().sum()
    }

    /// The longest time from sending to receiving.
    pub(crate) fn slowest(&self) -> Duration {
        self.legs().map(Leg::slowest).into_iter().max().unwrap_or_default()
    }

    /// When a datagram sent after `then` had arrived in both directions; `None` while one is
    /// silent.
    pub(crate) fn resumed(&self, then: Instant) -> Option<Instant> {
        self.legs()
            .into_iter()
            .map(|leg| leg.first_after(then))
            .collect::<Option<Vec<_>>>()?
            .into_iter()
            .max()
    }

    /// The longest time around `then` without an arrival, of the worse direction; `None` if one
    /// never resumed.
    pub(crate) fn gap(&self, then: Instant) -> Option<Duration> {
        let gaps: Option<Vec<Duration>> =
            self.legs().into_iter().map(|leg| leg.gap(then)).collect();
        gaps?.into_iter().max()
    }
}

impl Leg {
    /// Records that the next datagram is sent now; its payload is its number.
    fn sent(&mut self) -> [u8; 8] {
        self.0.push((Instant::now(), None));
        (self.0.len() as u64 - 1).to_be_bytes()
    }

    fn arrived(&mut self, data: &[u8]) {
        let number = u64::from_be_bytes(data.try_into().expect("a number that was sent"));
        let datagram = &mut self.0[usize::try_from(number).expect("a number that was sent")];
        assert!(datagram.1.replace(Instant::now()).is_none(), "a datagram came twice");
    }

    fn lost(&self) -> usize {
        self.0.iter().filter(|(_, arrived)| arrived.is_none()).count()
    }

    fn slowest(&self) -> Duration {
        self.0
            .iter()
            .filter_map(|(sent, arrived)| Some(arrived.as_ref()?.duration_since(*sent)))
            .max()
            .unwrap_or_default()
    }

    fn first_after(&self, then: Instant) -> Option<Instant> {
        self.0.iter().filter(|(sent, _)| *sent >= then).find_map(|(_, arrived)| *arrived)
    }

    fn gap(&self, then: Instant) -> Option<Duration> {
        let last = self
            .0
            .iter()
            .filter(|(sent, _)| *sent < then)
            .filter_map(|(_, arrived)| *arrived)
            .max()?;
        Some(self.first_after(then)?.saturating_duration_since(last))
    }
}
