use std::net::SocketAddr;

/// One message to be sent: a datagram, or a whole frame of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Transmit {
    /// Where to; over a stream, the server that it is connected to.
    pub destination: SocketAddr,
    /// What.
    pub payload: Vec<u8>,
}
