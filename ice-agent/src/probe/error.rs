//! Why a request to a server, or a step of the check, failed.

use std::io;

use causeway_client::{Failure, RequestError, SendError};
use causeway_wire::ErrorCode;

use crate::discovery::DiscoveryError;
use crate::transport::OpenError;
use crate::transport::turn::SendFailure;

/// Why a request to a server, or a step of the check, failed.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The server refused the request, or did not answer it.
    #[error("{0}")]
    Failed(#[from] Failure),
    /// The socket could not send or receive.
    #[error("{0}")]
    Socket(#[from] io::Error),
    /// The handshake with the server failed.
    #[error("{0}")]
    Open(OpenError),
    /// No address of the server was found.
    #[error("{0}")]
    Discovery(#[from] DiscoveryError),
    /// The client did not accept the request, so it was not sent.
    #[error("{0}")]
    Request(#[from] RequestError),
    /// The client did not accept the data, so it was not sent.
    #[error("{0}")]
    Send(#[from] SendError),
    /// The server does not know the allocation any longer.
    #[error("the allocation was lost")]
    Lost,
    /// No relayed datagram arrived.
    #[error("no relayed datagram arrived")]
    NothingRelayed,
    /// More relayed datagrams were lost than `--max-loss` allows; the loss in per cent.
    #[error("{0:.1} % of the relayed datagrams were lost")]
    Loss(f64),
}

impl From<OpenError> for ProbeError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Socket(error) => Self::Socket(error),
            error => Self::Open(error),
        }
    }
}

impl From<SendFailure> for ProbeError {
    fn from(failure: SendFailure) -> Self {
        match failure {
            SendFailure::Client(error) => Self::Send(error),
            SendFailure::Io(error) => Self::Socket(error),
        }
    }
}

impl ProbeError {
    /// The STUN error code, if a server answered with one.
    #[must_use]
    pub fn stun_code(&self) -> Option<ErrorCode> {
        match self {
            Self::Failed(Failure::Refused(refusal)) => Some(refusal.code),
            _ => None,
        }
    }

    /// The STUN error code and reason phrase, if a server answered with one.
    #[must_use]
    pub fn stun(&self) -> Option<(u16, String)> {
        let Self::Failed(Failure::Refused(refusal)) = self else { return None };
        let reason =
            if refusal.reason.is_empty() { refusal.code.reason() } else { &refusal.reason };
        Some((refusal.code.number(), reason.into()))
    }
}
