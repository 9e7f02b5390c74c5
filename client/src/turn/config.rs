use std::net::SocketAddr;
use std::time::Duration;

use causeway_wire::attribute::AddressFamily;

use crate::credentials::Credentials;
use crate::timing::Timing;
use crate::transmit::Transport;

/// Where and how a [`TurnClient`](crate::TurnClient) allocates.
#[derive(Clone, Debug)]
pub struct TurnConfig {
    /// The server.
    pub server: SocketAddr,
    /// How it is reached.
    pub transport: Transport,
    /// The long-term credential, which nearly every server demands.
    pub credentials: Option<Credentials>,
    /// LIFETIME to ask for; the server's default (10 minutes) without (RFC 8656 §7.1). Whole seconds.
    pub lifetime: Option<Duration>,
    /// REQUESTED-ADDRESS-FAMILY; the server's default (IPv4) without (RFC 8656 §7.1).
    pub family: Option<AddressFamily>,
    /// How patiently requests are repeated.
    pub timing: Timing,
    /// SOFTWARE, if it shall be told.
    pub software: Option<String>,
    /// Whether requests carry FINGERPRINT.
    pub fingerprint: bool,
}

impl TurnConfig {
    /// The usual: everything else as the server likes it.
    #[must_use]
    pub fn new(server: SocketAddr, transport: Transport, credentials: Option<Credentials>) -> Self {
        Self { server, transport, credentials, lifetime: None, family: None, timing: Timing::default(), software: None, fingerprint: false }
    }
}
