use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::load::clock::{Clock, nanoseconds};
use crate::load::credentials::Credentials;
use crate::load::dialogue::{Answer, Answered, Dialogue};
use crate::load::flows::Flows;
use crate::load::idle::Idle;
use crate::load::ledger::Ledger;
use crate::load::legs::{Legs, PeerDatagrams};
use crate::load::payload;
use crate::load::request::Request;
use crate::load::scenario::MAX_SIZE;
use crate::load::schedule::{self, Schedule};
use crate::load::setup::LIFETIME;
use crate::load::{
    Access, Direction, Measured, Operation, Pace, Scenario, Target, Traffic, Transport,
};

/// The most clients.
pub const MAX_ALLOCATIONS: usize = 20_000;

/// The clients of one server and their peers. Its allocations are released when it is dropped.
pub struct Fleet {
    pub(super) scenario: Scenario,
    pub(super) server: SocketAddr,
    pub(super) is_floor: bool,
    pub(super) clock: Clock,
    pub(super) legs: Legs,
    pub(super) peers: PeerDatagrams,
    pub(super) flows: Flows,
    pub(super) dialogue: Dialogue,
    pub(super) heard: Vec<Answered>,
    pub(super) ledger: Ledger,
    /// When which packet of a frame leaves, if there are frames.
    pub(super) schedule: Option<Schedule>,
    pub(super) idle: Idle,
    /// The next burst.
    pub(super) turn: usize,
    /// When allocations, permissions and channels began their life.
    pub(super) renewed: u64,
    /// How far the present renewal is.
    pub(super) renewing: Option<usize>,
    /// Clients whose allocations were released, and which have none.
    pub(super) released: Vec<usize>,
    /// Channels that each client bound in a measurement of that, and how many it may have.
    pub(super) channels: Vec<(u16, u16)>,
}

impl Fleet {
    /// Makes all allocations of the scenario, with their channels or permissions.
    ///
    /// # Errors
    /// When the scenario is not possible, or the server refuses or does not answer.
    pub fn new(scenario: &Scenario, target: &Target) -> Result<Self> {
        let scenario = &scenario.settled();
        check(scenario, target)?;
        let count = scenario.allocations;
        let legs = Legs::open(scenario, target)?;
        let peers = PeerDatagrams::bind(target.peers, scenario)?;
        let (username, password) = match &target.access {
            Access::Turn { username, password } => (&**username, &**password),
            Access::Floor => ("", ""),
        };
        let credentials = Credentials::new(username, password, count);
        let is_stream = matches!(scenario.transport, Transport::Tcp | Transport::Tls);
        let dialogue = Dialogue::new(
            target.address,
            credentials,
            (0..count).map(|client| legs.address(client)).collect(),
        );
        let addresses = (0..count).map(|number| peers.address(number)).collect();
        let mut fleet = Self {
            scenario: *scenario,
            server: target.address,
            is_floor: target.access == Access::Floor,
            clock: Clock::start(),
            legs,
            peers,
            flows: Flows::new(scenario, &target.access, is_stream, addresses),
            dialogue,
            heard: Vec::new(),
            ledger: ledger(scenario),
            schedule: (scenario.traffic == Traffic::Frames).then(|| Schedule::new(scenario)),
            idle: Idle::default(),
            turn: 0,
            renewed: 0,
            renewing: None,
            released: Vec::new(),
            channels: vec![(0, 1_000); count],
        };
        fleet.set_up().context("no fleet")?;
        Ok(fleet)
    }

    /// Changes how fast the next [`run`](Self::run) goes.
    ///
    /// # Errors
    /// When it is not possible.
    pub fn set_pace(&mut self, pace: Pace) -> Result<()> {
        ensure!(self.schedule.is_none(), "frames have a pace of their own");
        let scenario = Scenario { pace, ..self.scenario };
        check_pace(&scenario)?;
        self.scenario = scenario;
        self.ledger = ledger(&scenario);
        Ok(())
    }

    /// Makes again what the last run has released, and renews what is old: it is not to be a part
    /// of what is measured.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn prepare(&mut self) -> Result<()> {
        let requests: Vec<_> =
            self.released.drain(..).map(|client| (client, Request::Allocate)).collect();
        self.allocate(requests.into_iter())?;
        self.renew_if_old()
    }

    /// Whether the scenario measures releases, whose work goes on after the answer.
    pub(crate) fn releases(&self) -> bool {
        self.scenario.operation == Operation::Release
    }

    /// Plays the scenario for so long, and waits for what is still under way then.
    ///
    /// # Errors
    /// When a socket fails, or the server refuses a request or does not answer it.
    pub fn run(&mut self, time: Duration) -> Result<Measured> {
        self.prepare()?;
        match self.scenario.operation {
            Operation::Channel | Operation::Send => self.relay(nanoseconds(time))?,
            Operation::Allocate
            | Operation::Release
            | Operation::ChannelBind
            | Operation::Binding => self.request(nanoseconds(time))?,
        }
        Ok(self.ledger.measured())
    }

    /// The server's answer after a run in which nothing was delivered: whether it still knows the
    /// first client's allocation.
    pub(crate) fn inquire(&mut self) -> String {
        if !self.has_allocations() {
            return "the clients hold no allocations".to_owned();
        }
        let mut said = String::new();
        let asked = self.converse(
            std::iter::once((0, Request::Refresh { lifetime: LIFETIME })),
            |_, answered| {
                said = match answered.answer {
                    Answer::Done => "the first client's allocation is there".to_owned(),
                    Answer::Refused(437) => {
                        "the first client's allocation is gone (437)".to_owned()
                    }
                    other => format!("it answers a Refresh with {other:?}"),
                };
                Ok(())
            },
        );
        asked.map_or_else(|error| format!("it does not answer a Refresh ({error:#})"), |()| said)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // A server that is gone has nothing to release.
        drop(self.release());
    }
}

fn ledger(scenario: &Scenario) -> Ledger {
    let under_way = match scenario.pace {
        Pace::Window(_) | Pace::Auto => scenario.window(),
        // What comes a second late is as good as lost.
        Pace::Rate(rate) => rate as usize,
    };
    Ledger::new(under_way, Flows::count(scenario.allocations))
}

fn check(scenario: &Scenario, target: &Target) -> Result<()> {
    ensure!(
        (1..=MAX_ALLOCATIONS).contains(&scenario.allocations),
        "from 1 to {MAX_ALLOCATIONS} allocations"
    );
    ensure!(
        (payload::LEAST..=MAX_SIZE).contains(&scenario.size),
        "from {} to {MAX_SIZE} bytes",
        payload::LEAST
    );
    ensure!((1..=64).contains(&scenario.burst), "bursts of 1 to 64");
    ensure!(
        !scenario.offload || scenario.transport == Transport::Udp,
        "UDP_SEGMENT and UDP_GRO are of UDP"
    );
    ensure!(
        !scenario.offload || scenario.burst * (scenario.size + 64) <= 65_000,
        "a burst that is sent at once has 65,000 bytes at most"
    );
    if scenario.traffic != Traffic::Even {
        ensure!(
            matches!(scenario.operation, Operation::Channel | Operation::Send),
            "requests have sizes of their own"
        );
        ensure!(scenario.burst == 1 && !scenario.offload, "bursts are of datagrams of one size");
        ensure!(
            scenario.size >= schedule::SHORTEST,
            "sizes are mixed from {} bytes on",
            schedule::SHORTEST
        );
    }
    ensure!(target.address.is_ipv4(), "clients have IPv4 addresses, and so has the server");
    if scenario.direction == Direction::Relay {
        ensure!(scenario.allocations.is_multiple_of(2), "relay to relay, clients come in pairs");
    }
    if target.access == Access::Floor {
        ensure!(
            scenario.operation == Operation::Channel && scenario.direction != Direction::Relay,
            "a floor relays, and nothing else"
        );
        ensure!(scenario.transport == Transport::Udp, "a floor's clients use UDP");
    }
    check_pace(scenario)
}

fn check_pace(scenario: &Scenario) -> Result<()> {
    match scenario.pace {
        Pace::Window(window) => {
            ensure!((1..=65_536).contains(&window), "a window from 1 to 65,536");
        }
        Pace::Rate(rate) => {
            ensure!((1..=5_000_000).contains(&rate), "from 1 to 5,000,000 a second");
        }
        Pace::Auto => {}
    }
    Ok(())
}
