use std::net::SocketAddr;

use causeway_relay::{Discard, FiveTuple};

use crate::answer::Answer;

/// What one input led to, carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// A datagram left a relayed address.
    ToPeer {
        /// The relayed address as the peer sees it.
        from: SocketAddr,
        /// The peer.
        to: SocketAddr,
        /// The data.
        data: Vec<u8>,
        /// Whether DF was set on it.
        dont_fragment: bool,
        /// Whether DSCP and ECN of what had come in went along.
        carry_tos: bool,
    },
    /// A message left for a client.
    ToClient {
        /// The client.
        to: FiveTuple,
        /// The whole message: prefix, data, padding.
        bytes: Vec<u8>,
        /// Whether DSCP and ECN of what had come in went along.
        carry_tos: bool,
    },
    /// A Data indication with what ICMP had said left for a client.
    Notice {
        /// The client.
        to: FiveTuple,
        /// The message.
        bytes: Vec<u8>,
    },
    /// An answer left for a client.
    Answer(Answer),
    /// Nothing was sent.
    Silence(Discard),
    /// Nothing was sent yet.
    Later,
}

impl Reaction {
    /// The answer.
    ///
    /// # Panics
    /// When it is something else.
    #[must_use]
    #[track_caller]
    pub fn answer(self) -> Answer {
        match self {
            Self::Answer(answer) => answer,
            other => panic!("no answer but {other:?}"),
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

    /// What left for a peer: from where, to whom, and the data.
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

    /// The Data indication with what ICMP had said.
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
