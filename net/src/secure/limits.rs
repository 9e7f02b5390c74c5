//! How many handshakes may be under way, and for how long (H13, H14).

use std::time::Duration;

/// What those who begin handshakes may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandshakeLimits {
    /// Handshakes under way, over all workers and both protocols.
    pub half_open: usize,
    /// Those of one prefix among them: an IPv4 address, an IPv6 /64.
    pub half_open_per_prefix: usize,
    /// How long a handshake may take.
    pub time: Duration,
    /// DTLS handshakes that may begin in a second, over all workers; a second's worth may come at
    /// once.
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
