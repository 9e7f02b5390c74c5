//! What a worker calls: the service behind the sockets.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::io::Io;
use super::{AssociationInfo, AssociationKey, ListenerKey, Rejection, SocketKey, StreamKey};
use crate::clock::Sample;
use crate::packet::Packet;
use crate::tcp::{Malformed, StreamEnd};
use crate::udp::IcmpError;

/// The decisions behind a worker's sockets. [`EventLoop`](super::EventLoop) states when each method
/// is called.
///
/// No method may block or sleep: there is one thread for all of a worker's sockets.
pub trait Service {
    /// What the control side sends to this worker.
    type Message;

    /// A datagram arrived.
    fn datagram(&mut self, now: Sample, arrival: &Arrival, packet: &mut Packet<'_>, io: &mut Io);

    /// A connection came in; by a proxy: its PROXY header did. What is refused is reset at once,
    /// without a further call.
    fn accepted(&mut self, now: Sample, stream: &StreamInfo, io: &mut Io) -> Admission {
        let _ = (now, stream, io);
        Admission::Refuse
    }

    /// A connection has become TLS: its handshake is done, its frames come decrypted. Plain ones
    /// never hear of this.
    fn secured(&mut self, now: Sample, stream: &StreamInfo, io: &mut Io) {
        let _ = (now, stream, io);
    }

    /// How long the frame is that `bytes` begin with, padding included; `None` if more bytes are
    /// needed to tell (16 always suffice for a length that is worth waiting for: beyond that,
    /// the stream counts as malformed). It sees whatever has arrived, from the first byte of a
    /// frame on, at least one byte.
    ///
    /// # Errors
    /// [`Malformed`]: this is no frame. The stream is closed.
    fn frame_len(&mut self, stream: &StreamInfo, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        let _ = (stream, bytes);
        Err(Malformed)
    }

    /// A whole frame arrived, of the length that [`frame_len`](Self::frame_len) told.
    fn frame(&mut self, now: Sample, stream: &StreamInfo, frame: &mut Packet<'_>, io: &mut Io) {
        let _ = (now, stream, frame, io);
    }

    /// A part of a frame is all that a stream has sent since its last whole frame; called again as
    /// more of it comes. Over TLS also for a part of a record.
    fn half_frame(&mut self, now: Sample, stream: &StreamInfo, io: &mut Io) {
        let _ = (now, stream, io);
    }

    /// The loop has refused something without asking. It is counted; what is said about it is the
    /// service's affair.
    fn rejected(&mut self, now: Sample, rejection: &Rejection) {
        let _ = (now, rejection);
    }

    /// A stream ended by the peer or by an error. Its key is dead when this returns; until then,
    /// what is queued on it is still written if the peer can read. Not called for streams that
    /// the service itself closed.
    fn closed(&mut self, now: Sample, stream: &StreamInfo, end: StreamEnd, io: &mut Io) {
        let _ = (now, stream, end, io);
    }

    /// The handshake of a DTLS association is done. What is refused is closed at once, without a
    /// further call.
    fn associated(&mut self, now: Sample, association: &AssociationInfo, io: &mut Io) -> Admission {
        let _ = (now, association, io);
        Admission::Refuse
    }

    /// An association was closed by the peer, by an error, or by a new one of the same addresses.
    /// Its key is dead when this returns. Not called for those that the service itself closed.
    fn dissociated(&mut self, now: Sample, association: &AssociationInfo, io: &mut Io) {
        let _ = (now, association, io);
    }

    /// An ICMP error came back for something that `socket` sent.
    fn icmp(&mut self, now: Sample, socket: SocketKey, tag: u64, error: &IcmpError, io: &mut Io) {
        let _ = (now, socket, tag, error, io);
    }

    /// A letter from the control side.
    fn message(&mut self, now: Sample, mail: Self::Message, io: &mut Io);

    /// When [`timeout`](Self::timeout) is wanted, in monotonic time. Asked before each wait.
    fn next_deadline(&self) -> Option<Duration> {
        None
    }

    /// The deadline has passed.
    fn timeout(&mut self, now: Sample, io: &mut Io) {
        let _ = (now, io);
    }

    /// All that one wait brought has been handed over; what was sent leaves when this returns.
    fn after_batch(&mut self, now: Sample, io: &mut Io) {
        let _ = (now, io);
    }
}

/// Where a datagram came from, and through what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The socket that received it.
    pub socket: SocketKey,
    /// The number that the socket was registered with; that of the association, if it came through
    /// one.
    pub tag: u64,
    /// Who sent it. Through a proxy: the client that the proxy names.
    pub source: SocketAddr,
    /// What it was sent to: this address with this port, also on a wildcard socket. Through a
    /// proxy: what the client sent to.
    pub destination: SocketAddr,
    /// DSCP (upper six bits) and ECN (lower two). 0 if the socket does not report them.
    pub tos: u8,
    /// The DTLS association that it was decrypted by.
    pub association: Option<AssociationKey>,
    /// The trusted proxy that forwarded it. Answers must go there.
    pub via: Option<SocketAddr>,
    /// This host's address that it came to: `destination`'s, but through a proxy.
    pub local: IpAddr,
}

impl Arrival {
    /// The way back: from the address it was sent to, to its source or the proxy before it, with no
    /// traffic class. For plain datagrams: what came through an association is answered by
    /// [`Io::reply_secure`].
    pub fn reply(&self) -> Route {
        Route {
            socket: self.socket,
            to: self.via.unwrap_or(self.source),
            from: Some(self.local),
            tos: 0,
            dont_fragment: false,
        }
    }
}

/// How a datagram leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The socket that sends it.
    pub socket: SocketKey,
    /// Where it goes.
    pub to: SocketAddr,
    /// The source address, if the socket is bound to the wildcard address and the choice shall not
    /// be the kernel's. Else ignored.
    pub from: Option<IpAddr>,
    /// DSCP (upper six bits) and ECN (lower two).
    pub tos: u8,
    /// Whether the DF bit is set; over IPv6: whether this host too must not fragment it. What is
    /// too long is then dropped, and reported through [`Service::icmp`] if the socket asked
    /// for errors.
    pub dont_fragment: bool,
}

/// One connection, as the service sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamInfo {
    /// Its key.
    pub key: StreamKey,
    /// The number that the service gave it; while it is being accepted: the listener's.
    pub tag: u64,
    /// The listener it came in by, or `None` for a stream that was handed in.
    pub listener: Option<ListenerKey>,
    /// The address at the other end; as the trusted proxy names it, if there is one between.
    pub peer: SocketAddr,
    /// The address at this end.
    pub local: SocketAddr,
    /// Whether it is TLS: its handshake is done.
    pub secure: bool,
}

/// Whether a connection may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may; its events carry this number.
    Accept {
        /// Any number; it comes back as [`StreamInfo::tag`].
        tag: u64,
    },
    /// It is reset.
    Refuse,
}
