//! Requests to the model of a TURN server, and its answers.

use std::net::SocketAddr;

/// The client of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Who {
    /// Index of the 5-tuple.
    pub(crate) five_tuple: usize,
    /// Index of the source prefix.
    pub(crate) prefix: usize,
    /// Index of the user.
    pub(crate) user: usize,
}

/// A request of a client.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Allocate {
        what: What,
        lifetime: Option<u32>,
    },
    /// `ipv6` names one family of two.
    Refresh {
        ipv6: Option<bool>,
        lifetime: Option<u32>,
    },
    Permit {
        peers: Vec<SocketAddr>,
    },
    Bind {
        number: u16,
        peer: SocketAddr,
    },
}

/// The addresses that an Allocate requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// One address at any port.
    One { ipv6: bool },
    /// One at an even port.
    Even { ipv6: bool },
    /// One at an even port, with the next one reserved.
    Pair { ipv6: bool },
    /// The address that a token stands for.
    Reserved(Token),
    /// One address of each family.
    Both,
}

pub(crate) type Token = [u8; 8];

/// The answer to a request that succeeds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Success {
    /// Its LIFETIME, if it has one.
    pub(crate) lifetime: Option<u32>,
    /// The family of ADDRESS-ERROR-CODE, whose code is 508.
    pub(crate) refused_ipv6: Option<bool>,
    /// Whether there is a token.
    pub(crate) has_token: bool,
}

/// The answer: a success or an error code.
pub(crate) type Told = Result<Success, u16>;
