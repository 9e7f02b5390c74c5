use std::net::SocketAddr;

/// How the client reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams: requests are sent again until they are answered (RFC 8489 §6.2.1).
    Udp,
    /// A stream: sent once, framed, ChannelData padded (RFC 8489 §6.2.2, RFC 8656 §12.5).
    Tcp,
}

impl Transport {
    /// Whether the transport itself repeats what was lost.
    #[must_use]
    pub const fn is_reliable(self) -> bool {
        matches!(self, Self::Tcp)
    }
}

/// One message to be sent: a datagram, or a whole frame of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Transmit {
    /// Where to; over a stream, the server that it is connected to.
    pub destination: SocketAddr,
    /// What.
    pub payload: Vec<u8>,
}
