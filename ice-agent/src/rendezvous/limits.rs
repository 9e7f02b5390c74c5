//! The limits of a rendezvous, and the requests that are refused because of them.

use std::time::{Duration, Instant};

/// The limits of a rendezvous.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Maximum number of rooms.
    pub rooms: usize,
    /// Maximum number of seats of one client address, where an IPv6 /64 counts as an address; four
    /// times as many for an IPv4 /24 or IPv6 /48.
    pub seats_per_prefix: usize,
    /// Maximum number of signals that wait for one member.
    pub signals: usize,
    /// Maximum size of these signals together, in bytes.
    pub inbox_octets: usize,
    /// Maximum lifetime of a room.
    pub lifetime: Duration,
    /// How long a member may have no open request before it counts as gone.
    pub absence: Duration,
    /// How long a member may have no open request before another one may take its seat.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rooms: 1_000,
            seats_per_prefix: 32,
            signals: 128,
            inbox_octets: 64 * 1024,
            lifetime: Duration::from_secs(15 * 60),
            absence: Duration::from_secs(60),
            grace: Duration::from_secs(4),
        }
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Both members are present.
    #[error("the room has its two members")]
    Full,
    /// Both seats are taken, but one member has no open request: try again at this time.
    #[error("the room has its two members")]
    Undecided(Instant),
    /// [`Limits::rooms`].
    #[error("there are too many rooms; try later")]
    TooManyRooms,
    /// [`Limits::seats_per_prefix`].
    #[error("clients of this address hold too many seats")]
    TooManySeats,
    /// There is no such room, or the token belongs to no member of it.
    #[error("not a member of this room")]
    NotAMember,
    /// The receiver of the signals is not in the room.
    #[error("the other member is gone")]
    PeerGone,
    /// [`Limits::signals`] or [`Limits::inbox_octets`].
    #[error("too many signals wait for the other member")]
    InboxFull,
    /// The member has too many open requests.
    #[error("this member has too many requests open")]
    TooManyRequests,
}
