//! The service behind the sockets: what a worker's loop calls.

use std::time::Duration;

use super::arrival::Arrival;
use super::associations::AssociationInfo;
use super::io::Io;
use super::rejection::Rejection;
use super::streams::StreamInfo;
use crate::clock::Sample;
use crate::keys::SocketKey;
use crate::packet::Packet;
use crate::tcp::{Malformed, StreamEnd};
use crate::udp::IcmpError;

/// The decisions behind a worker's sockets. [`EventLoop`](super::EventLoop) states when each method
/// is called.
///
/// No method may block or sleep: there is one thread for all of a worker's sockets.
pub trait Service {
    /// The messages that the control side sends to this worker.
    type Message;

    /// A datagram arrived.
    fn datagram(&mut self, now: Sample, arrival: &Arrival, packet: &mut Packet<'_>, io: &mut Io);

    /// A connection was accepted; through a proxy: its PROXY header has come. A refused one is
    /// reset at once, without a further call.
    fn accepted(&mut self, now: Sample, stream: &StreamInfo, io: &mut Io) -> Admission {
        let _ = (now, stream, io);
        Admission::Refuse
    }

    /// A connection's TLS handshake is done; its frames come decrypted. Not called for plain ones.
    fn secured(&mut self, now: Sample, stream: &StreamInfo, io: &mut Io) {
        let _ = (now, stream, io);
    }

    /// The length of the frame that `bytes` begin with, padding included; `None` if more bytes are
    /// needed to tell. 16 bytes must be enough: beyond that, the stream counts as malformed.
    /// `bytes` is what has arrived, from the first byte of a frame on, and at least one byte.
    ///
    /// # Errors
    /// [`Malformed`]: the bytes begin no frame. The stream is closed.
    fn frame_len(&mut self, stream: &StreamInfo, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        let _ = (stream, bytes);
        Err(Malformed)
    }

    /// A whole frame arrived, of the length that [`frame_len`](Self::frame_len) returned.
    fn frame(&mut self, now: Sample, stream: &StreamInfo, frame: &mut Packet<'_>, io: &mut Io) {
        let _ = (now, stream, frame, io);
    }

    /// A stream has sent only a part of a frame since its last whole frame; called again as more of
    /// it comes. Over TLS also for a part of a record.
    fn half_frame(&mut self, now: Sample, stream: &StreamInfo, io: &mut Io) {
        let _ = (now, stream, io);
    }

    /// The loop has refused something without asking, and counted it. The service decides what is
    /// logged.
    fn rejected(&mut self, now: Sample, rejection: &Rejection) {
        let _ = (now, rejection);
    }

    /// The peer or an error ended a stream. Its key is dead when this returns; what is queued on it
    /// until then is still written if the peer can read. Not called for streams that the service
    /// itself closed.
    fn closed(&mut self, now: Sample, stream: &StreamInfo, end: StreamEnd, io: &mut Io) {
        let _ = (now, stream, end, io);
    }

    /// The handshake of a DTLS association is done. A refused one is closed at once, without a
    /// further call.
    fn associated(&mut self, now: Sample, association: &AssociationInfo, io: &mut Io) -> Admission {
        let _ = (now, association, io);
        Admission::Refuse
    }

    /// The peer, an error, or a new association of the same addresses ended an association. Its key
    /// is dead when this returns. Not called for those that the service itself closed.
    fn dissociated(&mut self, now: Sample, association: &AssociationInfo, io: &mut Io) {
        let _ = (now, association, io);
    }

    /// An ICMP error came back for something that `socket` sent.
    fn icmp(&mut self, now: Sample, socket: SocketKey, tag: u64, error: &IcmpError, io: &mut Io) {
        let _ = (now, socket, tag, error, io);
    }

    /// A message arrived from the control side.
    fn message(&mut self, now: Sample, message: Self::Message, io: &mut Io);

    /// When [`timeout`](Self::timeout) is due, in monotonic time. Asked before each wait.
    fn next_deadline(&self) -> Option<Duration> {
        None
    }

    /// The deadline has passed.
    fn timeout(&mut self, now: Sample, io: &mut Io) {
        let _ = (now, io);
    }

    /// Everything that one wait brought has been served; what was queued leaves when this returns.
    fn after_batch(&mut self, now: Sample, io: &mut Io) {
        let _ = (now, io);
    }
}

/// Whether a connection may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It stays; its events carry this number.
    Accept {
        /// Any number; it comes back as [`StreamInfo::tag`].
        tag: u64,
    },
    /// It is closed: a stream by a reset, an association by close_notify.
    Refuse,
}
