use std::io;
use std::time::Duration;

use causeway_client::{Failure, RequestError, SendError};
use causeway_wire::ErrorCode;
use serde::Serialize;

use crate::discovery::DiscoveryError;
use crate::net::OpenError;
use crate::net::turn_leg::SendFailure;

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The request came to nothing.
    #[error("{0}")]
    Failed(#[from] Failure),
    /// The socket could not send or receive.
    #[error("{0}")]
    Socket(#[from] io::Error),
    /// There is no leg to the server.
    #[error("{0}")]
    Open(OpenError),
    /// The server is not to be found.
    #[error("{0}")]
    Discovery(#[from] DiscoveryError),
    /// The request was not even sent.
    #[error("{0}")]
    Request(#[from] RequestError),
    /// The data was not even sent.
    #[error("{0}")]
    Send(#[from] SendError),
    /// The allocation is gone.
    #[error("the allocation was lost")]
    Lost,
    /// Relayed data did not arrive.
    #[error("no relayed datagram arrived")]
    NothingRelayed,
    /// More relayed data was lost than is allowed.
    #[error("{0:.1} % of the relayed datagrams were lost")]
    Loss(f64),
}

impl From<OpenError> for StepError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Socket(error) => Self::Socket(error),
            error => Self::Open(error),
        }
    }
}

impl From<SendFailure> for StepError {
    fn from(failure: SendFailure) -> Self {
        match failure {
            SendFailure::Client(error) => Self::Send(error),
            SendFailure::Io(error) => Self::Socket(error),
        }
    }
}

impl StepError {
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

/// One step of the check, as it went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// The RFC's name of the method, or what is done.
    pub name: &'static str,
    /// Whether it went well.
    pub ok: bool,
    /// How long it took.
    pub ms: f64,
    /// What came of it, for people.
    pub detail: String,
    /// The STUN error code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// The server's reason phrase, or what happened otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Step {
    /// A step that went well.
    pub(super) fn passed(name: &'static str, took: Duration, detail: impl Into<String>) -> Self {
        Self {
            name,
            ok: true,
            ms: milliseconds(took),
            detail: detail.into(),
            code: None,
            reason: None,
        }
    }

    /// A step that did not.
    pub(super) fn failed(name: &'static str, took: Duration, error: &StepError) -> Self {
        let (code, reason) = match error.stun() {
            Some((code, reason)) => (Some(code), reason),
            None => (None, error.to_string()),
        };
        Self {
            name,
            ok: false,
            ms: milliseconds(took),
            detail: error.to_string(),
            code,
            reason: Some(reason),
        }
    }
}

/// With three decimals: no clock here is better.
pub(super) fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
