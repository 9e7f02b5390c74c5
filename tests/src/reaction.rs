//! The reactions of the server to one input.

use std::net::SocketAddr;

use causeway_relay::{Discard, FiveTuple};

use crate::answer::Answer;

/// The result of one input, after its effects are carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// A datagram left a relayed address.
    ToPeer {
        /// The relayed address as the peer sees it.
        from: SocketAddr,
        /// The peer that it was sent to.
        to: SocketAddr,
        /// The data that the client sent.
        data: Vec<u8>,
        /// Whether DF was set on it.
        dont_fragment: bool,
        /// Whether it carried DSCP and ECN of the packet that came in.
        carry_tos: bool,
    },
    /// A message left for a client.
    ToClient {
        /// The client that it was sent to.
        to: FiveTuple,
        /// The whole message: prefix, data, padding.
        bytes: Vec<u8>,
        /// Whether it carried DSCP and ECN of the packet that came in.
        carry_tos: bool,
    },
    /// A Data indication with ICMP left for a client.
    Notice {
        /// The client that it was sent to.
        to: FiveTuple,
        /// The whole Data indication.
        bytes: Vec<u8>,
    },
    /// An answer left for a client.
    Answer(Answer),
    /// Nothing was sent, for this reason.
    Silence(Discard),
    /// Nothing was sent yet: a bind or a key is awaited.
    Later,
}

impl Reaction {
    /// Unwraps an answer.
    ///
    /// # Panics
    /// When the reaction is another one.
    #[must_use]
    #[track_caller]
    pub fn answer(self) -> Answer {
        match self {
            Self::Answer(answer) => answer,
            other => panic!("not an answer: {other:?}"),
        }
    }

    /// Why nothing was sent; `None` when something was.
    #[must_use]
    pub fn silence(&self) -> Option<Discard> {
        match self {
            Self::Silence(why) => Some(*why),
            _ => None,
        }
    }

    /// The datagram that left for a peer: source, destination and data.
    #[must_use]
    pub fn to_peer(&self) -> Option<(SocketAddr, SocketAddr, &[u8])> {
        match self {
            Self::ToPeer { from, to, data, .. } => Some((*from, *to, data)),
            _ => None,
        }
    }

    /// Whether DF was set, and DSCP and ECN were carried; `None` when nothing was relayed.
    #[must_use]
    pub fn header_fields(&self) -> Option<(bool, bool)> {
        match self {
            Self::ToPeer { dont_fragment, carry_tos, .. } => Some((*dont_fragment, *carry_tos)),
            Self::ToClient { carry_tos, .. } => Some((false, *carry_tos)),
            _ => None,
        }
    }

    /// The Data indication with ICMP that left for a client.
    #[must_use]
    pub fn notice(&self) -> Option<&[u8]> {
        match self {
            Self::Notice { bytes, .. } => Some(bytes),
            _ => None,
        }
    }

    /// The message that left for a client.
    #[must_use]
    pub fn to_client(&self) -> Option<&[u8]> {
        match self {
            Self::ToClient { bytes, .. } => Some(bytes),
            _ => None,
        }
    }
}
