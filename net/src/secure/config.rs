//! What an operator sets: the limits on handshakes (H13, H14), and what the server offers.

use std::sync::Arc;
use std::time::Duration;

use super::Identity;

/// Limits on the handshakes of all clients together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandshakeLimits {
    /// Maximum number of handshakes under way, over all workers and both protocols.
    pub half_open: usize,
    /// Maximum number of them per prefix: an IPv4 address, an IPv6 /64.
    pub half_open_per_prefix: usize,
    /// How long a handshake may take.
    pub time: Duration,
    /// Maximum number of DTLS handshakes that begin in a second, over all workers; one second's
    /// worth may come at once.
    pub dtls_per_second: u32,
}

impl Default for HandshakeLimits {
    fn default() -> Self {
        Self {
            half_open: 4_096,
            half_open_per_prefix: 64,
            time: Duration::from_secs(5),
            dtls_per_second: 2_000,
        }
    }
}

/// The certificates and protocols of new handshakes.
#[derive(Debug, Clone)]
pub struct Offer {
    /// At least one. A client that names a server gets the first identity that is for this name
    /// and whose key it can verify; any other client gets the first of all.
    pub identities: Vec<Arc<Identity>>,
    /// The protocols of ALPN, the preferred first, such as `stun.turn`. A client that offers none
    /// is served; a client that offers only others is refused.
    pub alpn: &'static [&'static [u8]],
}
