//! Addresses by their roles: the compiler refuses a peer's address where a relayed one belongs, and
//! the address that a socket has where the one that clients are told belongs.
//!
//! Each is a [`SocketAddr`] that a caller wraps where it learns the role, and unwraps at the
//! socket. The client's and the server's address have no type of their own: they are fields of a
//! [`FiveTuple`](crate::FiveTuple), and are not passed without it.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;

macro_rules! roles {
    ($($(#[$doc:meta])* $role:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $role(pub SocketAddr);

        impl Deref for $role {
            type Target = SocketAddr;

            #[inline]
            fn deref(&self) -> &SocketAddr {
                &self.0
            }
        }

        impl fmt::Display for $role {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

roles! {
    /// The address of a peer: where data of a client is sent, or where a datagram to a relayed
    /// address came from.
    PeerAddress;
    /// The address that the socket of a relayed transport address is bound to.
    BoundAddress;
    /// The address that a client is told as its relayed transport address, and that peers see:
    /// another one than the bound address behind a 1:1 NAT.
    AdvertisedAddress;
}
