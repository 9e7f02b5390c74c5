//! What a connection goes through before its frames come.

use std::time::Duration;

use super::Outgoing;
use crate::client_limit::LimitGuard;

/// A connection of which it is not known yet what it speaks, or whose TLS handshake is under way.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) stage: Stage,
    /// When it will have taken too long (monotonic). None: the service watches over it.
    pub(crate) deadline: Option<Duration>,
    /// What the handshaker has to say to the client.
    pub(crate) flight: Outgoing,
}

/// How far it is.
#[derive(Debug)]
pub(crate) enum Stage {
    /// This much of a trusted proxy's header has come.
    ProxyHeader(Vec<u8>),
    /// Nothing has come from the client.
    FirstByte,
    /// The handshaker has the connection.
    Handshake {
        /// Given back with the stage.
        _place: LimitGuard,
        /// Whether it has bytes that it has not answered yet. Until then no more are read.
        asked: bool,
    },
}

impl Opening {
    pub(crate) fn new(stage: Stage, deadline: Option<Duration>) -> Box<Self> {
        Box::new(Self { stage, deadline, flight: Outgoing::default() })
    }

    /// Whether the handshaker is to answer before more is read.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Handshake { asked: true, .. })
    }
}
