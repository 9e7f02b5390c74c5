use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use causeway_auth::{Authenticator, Credential, NonceKeys};
use causeway_wire::attribute::AddressFamily;
use smallvec::SmallVec;

use crate::allocation::Traffic;
use crate::allocation::relays::BindFailure;
use crate::five_tuple::FiveTuple;
use crate::ids::{AllocationId, RelayId};
use crate::peers::policy::PeerPolicy;

/// What the caller is asked to do, in the order of asking.
#[derive(Clone, Debug)]
#[must_use]
pub enum Effect {
    /// Bind a relayed socket; to be answered by [`Completion::Bound`] or
    /// [`Completion::BindFailed`].
    Bind {
        /// Of which address.
        relay: RelayId,
        /// Of which family; with [`WantedPort::Reserved`] the reservation has its own.
        family: AddressFamily,
        /// At which port.
        port: WantedPort,
        /// Who asks: a reservation is for the user that made it.
        credential: Arc<Credential>,
    },
    /// Close a relayed socket and give its port back.
    Release {
        /// Of which address.
        relay: RelayId,
        /// Where it was bound.
        bound: SocketAddr,
    },
    /// An allocation has ended: what there is to be recorded of it.
    Ended(Ended),
    /// Ask the further source for a user's key; to be answered through
    /// [`crate::Server::handle_key`], or not at all: requests of the user wait for two seconds.
    WantKey {
        /// Whose.
        username: Box<str>,
    },
}

/// Which port a relayed socket shall have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantedPort {
    /// Any, chosen at random (RFC 8656 §7.2 with RFC 6056).
    Any,
    /// Any that is even (RFC 8656 §18.7).
    Even,
    /// Any that is even, the next one being free: that one is reserved, and [`Completion::Bound`]
    /// names it by a token (RFC 8656 §7.2).
    EvenAndReserve,
    /// The one that this RESERVATION-TOKEN stands for. Unknown, expired or another user's:
    /// [`BindFailure::Capacity`].
    Reserved([u8; 8]),
    /// This address and no other: a restored allocation.
    Exactly(SocketAddr),
}

/// Relayed addresses of one allocation as they are advertised.
pub type Advertised = SmallVec<[SocketAddr; 2]>;

/// The account of an allocation that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Which.
    pub allocation: AllocationId,
    /// Its record's name in the directory.
    pub record: u64,
    /// Whose.
    pub client: FiveTuple,
    /// Who made it.
    pub credential: Arc<Credential>,
    /// The relayed addresses that it has had, as they were advertised, IPv4 before IPv6: none when
    /// it was never made, two when it was a dual allocation.
    pub relayed: Advertised,
    /// How long it lived.
    pub duration: Duration,
    /// What it relayed.
    pub traffic: Traffic,
    /// Why it ended.
    pub reason: EndReason,
}

/// Why an allocation has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// Its time-to-expiry reached zero.
    Expired,
    /// Refresh with LIFETIME 0.
    Released,
    /// The client's connection is gone.
    ClientGone,
    /// No relayed address could be bound.
    BindFailed,
    /// The operator ended it.
    Ended,
}

impl EndReason {
    /// Its name as metrics and logs show it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Released => "released",
            Self::ClientGone => "client_gone",
            Self::BindFailed => "bind_failed",
            Self::Ended => "ended",
        }
    }
}

/// What became of an effect.
#[derive(Clone, Copy, Debug)]
pub enum Completion {
    /// The socket is bound.
    Bound {
        /// Of which address.
        relay: RelayId,
        /// Where the socket is bound.
        bound: SocketAddr,
        /// What the client is told: another address behind a 1:1 NAT.
        advertised: SocketAddr,
        /// The token of the next-higher port, where that was to be reserved.
        reservation: Option<[u8; 8]>,
    },
    /// The socket could not be bound.
    BindFailed {
        /// Of which address.
        relay: RelayId,
        /// Why.
        failure: BindFailure,
    },
}

impl Completion {
    /// Which relayed address it speaks of.
    #[must_use]
    pub const fn relay(&self) -> RelayId {
        match self {
            Self::Bound { relay, .. } | Self::BindFailed { relay, .. } => *relay,
        }
    }
}

/// What the operator wants.
#[derive(Clone, Debug)]
pub enum Command {
    /// Another peer policy: permissions and channels that it refuses are revoked (H3).
    SetPolicy(PeerPolicy),
    /// End an allocation.
    End(AllocationId),
    /// The client's connection is gone, and its allocation with it.
    ClientGone(FiveTuple),
    /// Users or keys have changed at their source: what it has said before counts no more.
    ForgetKeys,
    /// Another realm's worth of users, secrets and nonce keys.
    SetAuthenticator(Arc<Authenticator>),
    /// Other keys to make nonces with; the ones before go on verifying as far as they are among
    /// them.
    SetNonceKeys(Box<NonceKeys>),
}
