//! The requests to the caller that take time, and the reports of how they ended.

use std::sync::Arc;
use std::time::Duration;

use causeway_auth::{Authenticator, Credential, NonceKeys};
use causeway_wire::attribute::AddressFamily;
use smallvec::SmallVec;

use crate::address::{AdvertisedAddress, BoundAddress};
use crate::allocation::Traffic;
use crate::allocation::relays::BindFailure;
use crate::five_tuple::FiveTuple;
use crate::ids::{AllocationId, RelayId};
use crate::peers::policy::PeerPolicy;
use crate::reason::reasons;

/// A request to the caller. Effects are carried out in the order in which they were queued.
#[derive(Clone, Debug)]
#[must_use]
pub enum Effect {
    /// Bind a relayed socket, and report [`Completion::Bound`] or [`Completion::BindFailed`].
    Bind {
        /// The relayed address.
        relay: RelayId,
        /// The family; with [`WantedPort::Reserved`], the reservation decides.
        family: AddressFamily,
        /// The port to bind.
        port: WantedPort,
        /// The user: a reservation is for the user that made it.
        credential: Arc<Credential>,
    },
    /// Close a relayed socket and give its port back.
    Release {
        /// The relayed address.
        relay: RelayId,
        /// The address that its socket was bound to.
        bound: BoundAddress,
    },
    /// Record that an allocation has ended.
    Ended(Ended),
    /// Ask the further source for a user's key, and report it by [`crate::Server::handle_key`]. The
    /// user's requests wait for two seconds.
    WantKey {
        /// The user whose key is wanted.
        username: Box<str>,
    },
}

/// The port that a relayed socket should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantedPort {
    /// Any port, chosen at random (RFC 8656 §7.2 with RFC 6056).
    Any,
    /// Any even port (RFC 8656 §18.7).
    Even,
    /// Any even port whose next port is free, too: the next port gets reserved, and
    /// [`Completion::Bound`] carries its token (RFC 8656 §7.2).
    EvenAndReserve,
    /// The port that this RESERVATION-TOKEN stands for. If it is unknown, expired or another
    /// user's: [`BindFailure::Capacity`].
    Reserved([u8; 8]),
    /// This address only: a restored allocation.
    Exactly(BoundAddress),
}

/// The relayed addresses of one allocation, as advertised.
pub type Advertised = SmallVec<[AdvertisedAddress; 2]>;

/// The account of an allocation that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The allocation.
    pub allocation: AllocationId,
    /// The id of its record in the directory.
    pub record: u64,
    /// The client's 5-tuple.
    pub client: FiveTuple,
    /// The credential of the user that made it.
    pub credential: Arc<Credential>,
    /// The relayed addresses that it had, as advertised, IPv4 before IPv6: none if it was never
    /// made, two of a dual allocation.
    pub relayed: Advertised,
    /// How long it lived.
    pub duration: Duration,
    /// The data that it relayed.
    pub traffic: Traffic,
    /// The reason of its end.
    pub reason: EndReason,
}

reasons! {
    /// Why an allocation has ended.
    pub enum EndReason {
        /// Its time-to-expiry reached zero.
        Expired = "expired",
        /// Refresh with LIFETIME 0.
        Released = "released",
        /// The client's connection is gone.
        ClientGone = "client_gone",
        /// No relayed address could be bound.
        BindFailed = "bind_failed",
        /// The operator ended it.
        Ended = "ended",
    }
}

/// The report on an [`Effect::Bind`].
#[derive(Clone, Copy, Debug)]
pub enum Completion {
    /// The socket is bound.
    Bound {
        /// The relayed address.
        relay: RelayId,
        /// The address that the socket is bound to.
        bound: BoundAddress,
        /// The address that the client is told: another one behind a 1:1 NAT.
        advertised: AdvertisedAddress,
        /// The token of the next port, if that was to be reserved.
        reservation: Option<[u8; 8]>,
    },
    /// The socket could not be bound.
    BindFailed {
        /// The relayed address.
        relay: RelayId,
        /// The reason.
        failure: BindFailure,
    },
}

impl Completion {
    /// The relayed address that this report is about.
    #[must_use]
    pub const fn relay(&self) -> RelayId {
        match self {
            Self::Bound { relay, .. } | Self::BindFailed { relay, .. } => *relay,
        }
    }
}

/// A command of the operator, or of the client's connection.
#[derive(Clone, Debug)]
pub enum Command {
    /// Another peer policy: permissions and channels that it refuses are revoked (H3).
    SetPolicy(PeerPolicy),
    /// End this allocation.
    End(AllocationId),
    /// The client's connection is gone, and its allocation with it.
    ClientGone(FiveTuple),
    /// Users or keys have changed at their source: forget the keys that are remembered.
    ForgetKeys,
    /// Other users and secrets of the realm. The nonce keys stay.
    SetAuthenticator(Arc<Authenticator>),
    /// Other nonce keys. Nonces of the previous keys stay valid as long as these contain them.
    SetNonceKeys(Box<NonceKeys>),
}
