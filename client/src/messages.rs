//! Messages in and out: the result of an input, and a message to send.

use std::net::SocketAddr;

/// The result of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Received<'a> {
    /// Data from a peer; it borrows from the input.
    Data {
        /// The peer that sent it.
        peer: SocketAddr,
        /// The application data; may be empty.
        data: &'a [u8],
    },
    /// A response or an indication was used; events may follow.
    Consumed,
    /// The input was not used.
    Discarded(Discard),
}

/// Why an input was not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Discard {
    /// It does not come from the server.
    Source,
    /// It is neither STUN nor ChannelData, or malformed.
    NotStun,
    /// FINGERPRINT is present and wrong.
    Fingerprint,
    /// A response that matches no open request: late, repeated, or forged.
    Unmatched,
    /// The message integrity is missing or wrong.
    Unauthentic,
    /// A request, or an indication that a client does not expect.
    Unexpected,
    /// An indication with an unknown comprehension-required attribute.
    UnknownRequired,
    /// An indication that lacks an attribute, or has a malformed one.
    Attribute,
    /// Data from a peer without a permission (RFC 8656 §11.4).
    NoPermission,
    /// ChannelData on a channel that is not bound (RFC 8656 §12.6).
    UnboundChannel,
}

/// One message to send: a datagram, or a whole frame of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Transmit {
    /// The address to send it to; over a stream, the server that the stream is connected to.
    pub destination: SocketAddr,
    /// The whole message.
    pub payload: Vec<u8>,
}
