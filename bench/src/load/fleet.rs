//! The fleet: the clients of one server and their peers, and a run of the load.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::load::clock::{Clock, Idle, nanoseconds};
use crate::load::credentials::Credentials;
use crate::load::flows::Flows;
use crate::load::ledger::Ledger;
use crate::load::legs::{Legs, PeerDatagrams};
use crate::load::payload;
use crate::load::request::{LIFETIME, Request};
use crate::load::scenario::MAX_SIZE;
use crate::load::schedule::{self, Schedule};
use crate::load::transactions::{Answer, Answered, Transactions};
use crate::load::{
    Access, Direction, Measured, Operation, Pace, Scenario, Target, Traffic, Transport,
};

/// Maximum number of clients.
pub const MAX_ALLOCATIONS: usize = 20_000;

/// The clients of one server and their peers. Dropping the fleet releases its allocations.
pub struct Fleet {
    pub(super) scenario: Scenario,
    pub(super) server: SocketAddr,
    pub(super) is_floor: bool,
    pub(super) clock: Clock,
    pub(super) legs: Legs,
    pub(super) peers: PeerDatagrams,
    pub(super) flows: Flows,
    pub(super) transactions: Transactions,
    pub(super) heard: Vec<Answered>,
    pub(super) ledger: Ledger,
    /// When the packets of frames leave, if the traffic has frames.
    pub(super) schedule: Option<Schedule>,
    pub(super) idle: Idle,
    /// The number of the next burst.
    pub(super) turn: usize,
    /// When the allocations, permissions and channels were last renewed.
    pub(super) renewed: u64,
    /// The progress of the current renewal.
    pub(super) renewing: Option<usize>,
    /// Clients whose allocations were released and not made again.
    pub(super) released: Vec<usize>,
    /// Number of channels that each client has bound in a measurement of ChannelBind, and its
    /// maximum.
    pub(super) channels: Vec<(u16, u16)>,
}

impl Fleet {
    /// Makes all allocations of the scenario, with their channels or permissions.
    ///
    /// # Errors
    /// If the scenario is not possible, or the server refuses or does not answer.
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
        let transactions = Transactions::new(
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
            transactions,
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

    /// Sets the pace of the next [`run`](Self::run).
    ///
    /// # Errors
    /// If the pace is not possible.
    pub fn set_pace(&mut self, pace: Pace) -> Result<()> {
        ensure!(self.schedule.is_none(), "frames have a pace of their own");
        let scenario = Scenario { pace, ..self.scenario };
        check_pace(&scenario)?;
        self.scenario = scenario;
        self.ledger = ledger(&scenario);
        Ok(())
    }

    /// Makes the allocations again that the last run has released, and renews old ones, so that
    /// neither is measured.
    ///
    /// # Errors
    /// The same as of [`run`](Self::run).
    pub fn prepare(&mut self) -> Result<()> {
        let requests: Vec<_> =
            self.released.drain(..).map(|client| (client, Request::Allocate)).collect();
        self.allocate(requests.into_iter())?;
        self.renew_if_old()
    }

    /// Whether the scenario measures releases, whose work continues after the answer.
    pub(crate) fn releases(&self) -> bool {
        self.scenario.operation == Operation::Release
    }

    /// Plays the scenario for `time`, and then waits for what is still under way.
    ///
    /// # Errors
    /// If a socket fails, or the server refuses a request or does not answer it.
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

    /// After a run without deliveries, asks the server whether it still has the first client's
    /// allocation; returns the answer in words.
    pub(crate) fn check_allocation(&mut self) -> String {
        if !self.has_allocations() {
            return "the clients hold no allocations".to_owned();
        }
        let mut said = String::new();
        let asked = self.send_all(
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
        // A server that has ended has nothing to release.
        drop(self.release());
    }
}

fn ledger(scenario: &Scenario) -> Ledger {
    let under_way = match scenario.pace {
        Pace::Window(_) | Pace::Auto => scenario.window(),
        // A datagram that arrives a second late counts as lost.
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
