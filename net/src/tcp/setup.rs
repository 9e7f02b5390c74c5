//! The stages of a connection before its first frame.

use std::time::Duration;

use super::Outgoing;
use crate::client_limit::LimitGuard;

/// The setup of a connection: its proxy's header, its first byte or its TLS handshake has not come
/// yet.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) stage: Stage,
    /// When it will have taken too long (monotonic). `None`: the service has its own timeout.
    pub(crate) deadline: Option<Duration>,
    /// Bytes of the handshaker for the client.
    pub(crate) flight: Outgoing,
}

/// How far a setup is.
#[derive(Debug)]
pub(crate) enum Stage {
    /// A trusted proxy's header, of which this much has come.
    ProxyHeader(Vec<u8>),
    /// Nothing has come from the client.
    FirstByte,
    /// The handshaker has the connection.
    Handshake {
        /// Given back with the stage.
        _guard: LimitGuard,
        /// Whether it has bytes that it has not replied to yet. Until then no more are read.
        awaits_reply: bool,
    },
}

impl Setup {
    pub(crate) fn new(stage: Stage, deadline: Option<Duration>) -> Box<Self> {
        Box::new(Self { stage, deadline, flight: Outgoing::default() })
    }

    /// Whether the handshaker's reply must come before more is read.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Handshake { awaits_reply: true, .. })
    }
}
