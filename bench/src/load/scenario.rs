use causeway_wire::Transport;
use clap::ValueEnum;

use crate::load::schedule;

/// Which way the data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Direction {
    /// From clients to their peers.
    ToPeer,
    /// From peers to their clients.
    ToClient,
    /// Both at once: half of the datagrams each way.
    Both,
    /// From a client to its peer, which returns it: one delivery is the way there and back.
    Echo,
    /// From a client to another client of the same server: each is the other's peer, by its relayed
    /// address.
    Relay,
}

/// What is done again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Operation {
    /// Data in ChannelData messages.
    Channel,
    /// Data in Send and Data indications.
    Send,
    /// Allocate, challenged and then allowed; the allocation is released outside of what is counted
    /// as latency. One delivery is one allocation.
    Allocate,
    /// Release of an allocation (Refresh with a lifetime of 0), beside the other allocations. A
    /// tenth of the clients, at most 1,000, release theirs in a run; between two runs they
    /// allocate again.
    Release,
    /// ChannelBind of a new channel, answered.
    ChannelBind,
    /// Binding requests, answered.
    Binding,
}

/// Which datagrams follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Traffic {
    /// All datagrams have the scenario's size, and the clients take turns.
    #[default]
    Even,
    /// Each datagram has a size between 60 bytes and the scenario's, and belongs to any of the
    /// clients. The sequence looks random and is the same in each run.
    Mixed,
    /// Video calls: each client sends 30 frames a second, each of 4 packets of 600 to 1,200 bytes,
    /// and 50 audio packets a second of 160 bytes. Where the packets of several clients are due
    /// at the same time, they are interleaved. Frames have their own sizes and their own pace.
    Frames,
}

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Closed loop, with a window of 128 or less: enough that the server never waits, few enough
    /// that no buffer overflows.
    Auto,
    /// Closed loop: so many datagrams under way at a time.
    Window(usize),
    /// Open loop: so many a second, evenly, whatever comes back.
    Rate(u32),
}

impl Pace {
    /// The usual closed loop.
    pub const WINDOW: Self = Self::Auto;
}

/// What a fleet does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scenario {
    /// Between client and server.
    pub transport: Transport,
    /// Which way data goes; it has no meaning for requests.
    pub direction: Direction,
    /// Of what kind the load is.
    pub operation: Operation,
    /// Clients, each with one allocation (Binding, Allocate: without): 1 to 20,000.
    pub allocations: usize,
    /// Which datagrams follow each other.
    pub traffic: Traffic,
    /// Bytes of application data in each datagram: 16 to 1,400; over TCP and TLS a multiple of
    /// four. Of mixed ones it is the maximum.
    pub size: usize,
    /// So many datagrams in succession go the same way, as frames of video do: 1 to 64.
    pub burst: usize,
    /// How fast.
    pub pace: Pace,
    /// Whether bursts leave as one large send (UDP_SEGMENT) and arrive joined (UDP_GRO), as behind
    /// a card that splits and joins.
    pub offload: bool,
}

/// The most bytes of application data in a datagram.
pub(crate) const MAX_SIZE: usize = 1400;
/// What all datagrams of the usual window take of one receive buffer of the kernel, at most: less
/// than the 208 KiB that is the common default.
const WINDOW_BYTES: usize = 128 << 10;
/// What the kernel books for a datagram beyond its bytes, at least.
const BOOKED: usize = 640;

impl Scenario {
    /// The scenario with the size and the pace that its traffic has.
    pub(crate) fn settled(self) -> Self {
        match self.traffic {
            Traffic::Even | Traffic::Mixed => self,
            Traffic::Frames => {
                Self { size: schedule::LONGEST, pace: Pace::Rate(schedule::rate(&self)), ..self }
            }
        }
    }

    /// Datagrams a second for each allocation, where the pace is the scenario's and not the
    /// server's.
    #[must_use]
    pub fn rate_of_one(&self) -> Option<f64> {
        let Pace::Rate(rate) = self.settled().pace else { return None };
        Some(f64::from(rate) / self.allocations as f64)
    }

    /// Datagrams (or requests) under way at a time in a closed loop.
    #[must_use]
    pub fn window(&self) -> usize {
        match self.pace {
            Pace::Window(window) => window,
            Pace::Auto | Pace::Rate(_) => {
                // The kernel books powers of two.
                let booked = (self.size + BOOKED).next_power_of_two();
                (WINDOW_BYTES / booked).clamp(2 * self.burst, 128.max(2 * self.burst))
            }
        }
    }
}

impl Default for Scenario {
    /// 100 allocations over UDP, channels to the peer, 160 bytes, one at a time, the usual window.
    fn default() -> Self {
        Self {
            transport: Transport::Udp,
            direction: Direction::ToPeer,
            operation: Operation::Channel,
            allocations: 100,
            traffic: Traffic::Even,
            size: 160,
            burst: 1,
            pace: Pace::WINDOW,
            offload: false,
        }
    }
}
