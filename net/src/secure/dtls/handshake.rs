//! One handshake, from the ClientHello with the right cookie to the association.

use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::ssl::{self, ErrorCode, Ssl, SslContext, SslStream};

use super::ffi;
use super::pipe::Pipe;
use super::records::Records;
use crate::secure::Failure;

/// Maximum length of a datagram of a flight, in bytes: it passes tunnels, and links with the
/// minimum MTU of IPv6.
const MTU: u32 = 1_200;

/// A handshake under way.
///
/// Each call borrows a [`Pipe`], reads the datagram in it, and leaves the datagrams to send in it.
pub(crate) struct Handshake {
    stream: SslStream<Pipe>,
}

/// The state of a handshake after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It waits for the client's next flight.
    Pending,
    Done,
    Failed(Failure),
}

impl Handshake {
    /// Begins with the client's second ClientHello, which is in the pipe and has the right cookie.
    pub(crate) fn begin(context: &SslContext, pipe: &mut Pipe) -> Result<(Self, Step), Failure> {
        let mut ssl = Ssl::new(context).map_err(|_| OUR_FAULT)?;
        ssl.set_mtu(MTU).map_err(|_| OUR_FAULT)?;
        ssl.set_accept_state();
        let stream = SslStream::new(ssl, Pipe::default()).map_err(|_| OUR_FAULT)?;
        let mut handshake = Self { stream };
        if !pipe.lend(&mut handshake.stream, ffi::listen) {
            return Err(Failure::Refused("the hello cannot be read"));
        }
        let step = pipe.lend(&mut handshake.stream, proceed);
        Ok((handshake, step))
    }

    /// Takes the datagram in the pipe.
    pub(crate) fn advance(&mut self, pipe: &mut Pipe) -> Step {
        pipe.lend(&mut self.stream, proceed)
    }

    /// How long until the flight is sent again, if the client does not answer.
    pub(crate) fn patience(&self) -> Option<Duration> {
        ffi::time_left(self.stream.ssl())
    }

    /// Sends the flight again, if it is due.
    pub(crate) fn resend(&mut self, pipe: &mut Pipe) -> Step {
        pipe.clear();
        let sent = pipe.lend(&mut self.stream, ffi::resend);
        if sent { Step::Pending } else { Step::Failed(Failure::Slow) }
    }

    /// The records of the association, once the handshake is done.
    pub(crate) fn into_records(self) -> Records {
        // As in `Pipe::lend`. The pipe that the stream has of its own is empty.
        let _ = ErrorStack::get();
        Records::new(self.stream)
    }
}

fn proceed(stream: &mut SslStream<Pipe>) -> Step {
    match stream.do_handshake() {
        Ok(()) => Step::Done,
        Err(error) if matches!(error.code(), ErrorCode::WANT_READ | ErrorCode::WANT_WRITE) => {
            Step::Pending
        }
        Err(error) => Step::Failed(blame(&error)),
    }
}

/// The failure when OpenSSL refuses a valid call.
const OUR_FAULT: Failure = Failure::Refused("internal error");

/// OpenSSL reports the peer's alerts as reasons from this number on.
const ALERTS: libc::c_int = 1_000;

fn blame(error: &ssl::Error) -> Failure {
    let errors = error.ssl_error().map(|stack| stack.errors()).unwrap_or_default();
    let words = |error: &openssl::error::Error| error.reason().unwrap_or("unknown");
    match errors.iter().find(|one| one.reason_code() >= ALERTS) {
        Some(alert) => Failure::Alert(words(alert)),
        None => Failure::Refused(errors.first().map_or("no DTLS", words)),
    }
}
