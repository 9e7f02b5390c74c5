//! What this server offers to those who begin a handshake.

use std::sync::Arc;

use super::Identity;

/// The certificates and protocols of new handshakes.
#[derive(Debug, Clone)]
pub struct Offer {
    /// At least one. A client that names a server gets the first identity that is for this name
    /// and whose key it can verify; any other client the first of all.
    pub identities: Vec<Arc<Identity>>,
    /// The protocols of ALPN, the preferred first, such as `stun.turn`. A client that offers none
    /// is served; one that offers others only is refused.
    pub alpn: &'static [&'static [u8]],
}
