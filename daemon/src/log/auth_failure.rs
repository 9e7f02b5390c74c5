//! The event by which a firewall learns of failed authentications.
//!
//! It is part of the public interface and stays as it is: target `causeway::auth_failure`, level
//! WARN, message `authentication failed`, and the fields
//!
//! | field | meaning |
//! |---|---|
//! | `client` | the client's address as `log.redact` leaves it; a firewall needs `redact = "none"` |
//! | `port` | the client's port |
//! | `session` | the id that every line of this client's session carries, 16 hexadecimal digits |
//! | `reason` | `no-credentials-known`, …: a word from [`AuthFailure::reason`], never text from the wire |
//! | `code` | the STUN error code that was answered |
//! | `suppressed` | lines like this that were left out since the last one |
//!
//! At most 20 lines a second are written: a flood of wrong passwords must not fill a disk.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::rate::RateBound;
use super::redact::redacted;

/// The event's target: what a filter names.
pub const AUTH_FAILURE: &str = "causeway::auth_failure";

const LINES_PER_SECOND: u32 = 20;

static BOUND: RateBound = RateBound::new(LINES_PER_SECOND);
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// One request whose authentication failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthFailure {
    /// Where the request came from.
    pub client: SocketAddr,
    /// The session's id in the logs.
    pub session: u64,
    /// Why, in a fixed word: it is a constant, so that no text of the client's comes into the log.
    pub reason: &'static str,
    /// The STUN error code of the answer, such as 401.
    pub code: u16,
}

/// Logs `failure`, unless 20 of this second were. Cheap enough for a worker: no lock, no allocation
/// when suppressed.
pub fn auth_failure(failure: &AuthFailure) {
    if !BOUND.admit(START.elapsed().as_secs()) {
        return;
    }
    tracing::warn!(
        target: AUTH_FAILURE,
        client = %redacted(failure.client.ip()),
        port = failure.client.port(),
        session = format_args!("{:016x}", failure.session),
        reason = failure.reason,
        code = failure.code,
        suppressed = BOUND.take_suppressed(),
        "authentication failed"
    );
}

/// Lines of this event that were left out since the process started.
pub fn auth_failures_suppressed() -> u64 {
    BOUND.total_suppressed()
}

/// Says every ten seconds how many lines were left out since, of failures and of refusals, so that
/// the end of a flood is told too. Never ends.
pub async fn report_suppressed() {
    let mut every = tokio::time::interval(Duration::from_secs(10));
    loop {
        every.tick().await;
        say_suppressed();
        super::refusal::say_repeated();
    }
}

/// Says how many lines were left out since the last one, if any were.
pub(crate) fn say_suppressed() {
    let suppressed = BOUND.take_suppressed();
    if suppressed > 0 {
        tracing::warn!(target: AUTH_FAILURE, suppressed, "authentication failures were not logged singly");
    }
}
