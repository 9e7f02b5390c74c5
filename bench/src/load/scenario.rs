//! The scenario of a load: transport, direction, operation, traffic, size and pace.

use causeway_wire::Transport;
use clap::ValueEnum;

/// The direction of the data.
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

/// The operation that is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Operation {
    /// Data in ChannelData messages.
    Channel,
    /// Data in Send and Data indications.
    Send,
    /// Allocate, challenged and then granted; the allocation is released outside of the measured
    /// latency. One delivery is one allocation.
    Allocate,
    /// Release of an allocation (Refresh with a lifetime of 0), beside the other allocations. A
    /// tenth of the clients, at most 1,000, release theirs in a run; between two runs they
    /// allocate again.
    Release,
    /// ChannelBind of a new channel, answered.
    ChannelBind,
    /// Binding request, answered.
    Binding,
}

/// The sizes and the order of the datagrams.
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

/// The pace of datagrams or requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Closed loop, with a window of 128 or less: enough that the server never waits, few enough
    /// that no buffer overflows.
    Auto,
    /// Closed loop: this many datagrams under way at a time.
    Window(usize),
    /// Open loop: this many a second, evenly spaced, independent of the replies.
    Rate(u32),
}

impl Pace {
    /// The usual closed loop.
    pub const WINDOW: Self = Self::Auto;
}

/// The load that a fleet makes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scenario {
    /// The transport between client and server.
    pub transport: Transport,
    /// The direction of the data; without meaning for requests.
    pub direction: Direction,
    /// The operation that is repeated.
    pub operation: Operation,
    /// Number of clients, each with one allocation (none for Binding and Allocate): 1 to 20,000.
    pub allocations: usize,
    /// The sizes and the order of the datagrams.
    pub traffic: Traffic,
    /// Bytes of application data in each datagram: 16 to 1,400; over TCP and TLS a multiple of
    /// four. The maximum for mixed sizes.
    pub size: usize,
    /// Number of successive datagrams in the same direction, as frames of video have: 1 to 64.
    pub burst: usize,
    /// The pace of datagrams or requests.
    pub pace: Pace,
    /// Whether bursts leave as one large send (UDP_SEGMENT) and arrive joined (UDP_GRO), as behind
    /// a card that splits and joins.
    pub offload: bool,
}

/// Maximum number of bytes of application data in a datagram.
pub(crate) const MAX_SIZE: usize = 1400;
/// Maximum space of the usual window in one receive buffer of the kernel: less than the 208 KiB
/// that is the common default.
const WINDOW_BYTES: usize = 128 << 10;
/// Minimum space that the kernel accounts for a datagram beyond its bytes.
const BOOKED: usize = 640;

impl Scenario {
    /// Datagrams a second for each allocation, if the scenario sets the pace and not the server.
    #[must_use]
    pub fn rate_of_one(&self) -> Option<f64> {
        let Pace::Rate(rate) = self.settled().pace else { return None };
        Some(f64::from(rate) / self.allocations as f64)
    }

    /// Number of datagrams (or requests) under way at a time in a closed loop.
    #[must_use]
    pub fn window(&self) -> usize {
        match self.pace {
            Pace::Window(window) => window,
            Pace::Auto | Pace::Rate(_) => {
                // The kernel accounts powers of two.
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
