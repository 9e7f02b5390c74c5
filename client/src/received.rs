use std::net::SocketAddr;

/// What came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Received<'a> {
    /// Data from a peer; it borrows the input.
    Data {
        /// Who sent it.
        peer: SocketAddr,
        /// What, perhaps nothing.
        data: &'a [u8],
    },
    /// An answer or an indication that was used; there may be events.
    Consumed,
    /// Not used.
    Discarded(Discard),
}

/// Why input was not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Discard {
    /// Not from the server that was asked.
    Source,
    /// Neither STUN nor ChannelData, or broken.
    NotStun,
    /// FINGERPRINT is there and wrong.
    Fingerprint,
    /// An answer to nothing that is open: late, repeated, or forged.
    Unmatched,
    /// Its message integrity is missing or wrong.
    Unauthentic,
    /// A request, or an indication that a client does not expect.
    Unexpected,
    /// An indication that requires an attribute that is not known.
    UnknownRequired,
    /// An indication that lacks an attribute, or has a broken one.
    Attribute,
    /// Data from a peer without a permission (RFC 8656 §11.4).
    NoPermission,
    /// ChannelData on a number that is not bound (RFC 8656 §12.6).
    UnboundChannel,
}
