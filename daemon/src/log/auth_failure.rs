//! The event that tells a firewall of failed authentications.
//!
//! It is a public interface and does not change: target `causeway::auth_failure`, level
//! WARN, message `authentication failed`, and the fields
//!
//! | field | meaning |
//! |---|---|
//! | `client` | the client's address as `log.redact` has it; a firewall needs `none` |
//! | `port` | the client's port |
//! | `session` | the id that every line of this client's session carries, 16 hexadecimal digits |
//! | `reason` | `no-credentials-known`, …: a word of [`AuthFailure::reason`], no text of a client |
//! | `code` | the STUN error code of the response |
//! | `suppressed` | number of such lines suppressed since the last one |
//!
//! At most 20 lines per second are written, so that a flood of wrong passwords does not fill a
//! disk.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::rate::RateLimit;
use super::redact::redacted;

/// The target of the event, by which a filter names it.
pub const AUTH_FAILURE: &str = "causeway::auth_failure";

/// Maximum lines per second.
const LINES_PER_SECOND: u32 = 20;

static LIMIT: RateLimit = RateLimit::new(LINES_PER_SECOND);
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// One request whose authentication failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthFailure {
    /// The source address of the request.
    pub client: SocketAddr,
    /// The session's id in the logs.
    pub session: u64,
    /// The reason, in a fixed word: it is a constant, so that no text from the client gets into the
    /// log.
    pub reason: &'static str,
    /// The STUN error code of the response, such as 401.
    pub code: u16,
}

/// Logs `failure`, unless this second has 20 lines already. Cheap enough for a worker: no lock, and
/// no allocation when suppressed.
pub fn auth_failure(failure: &AuthFailure) {
    if !LIMIT.admit(START.elapsed().as_secs()) {
        return;
    }
    tracing::warn!(
        target: AUTH_FAILURE,
        client = %redacted(failure.client.ip()),
        port = failure.client.port(),
        session = format_args!("{:016x}", failure.session),
        reason = failure.reason,
        code = failure.code,
        suppressed = LIMIT.take_suppressed(),
        "authentication failed"
    );
}

/// Number of lines of this event that were suppressed since the process started.
pub fn auth_failures_suppressed() -> u64 {
    LIMIT.total_suppressed()
}

/// Logs every ten seconds how many lines of failures and refusals were suppressed since, so that
/// the log also shows the end of a flood. Never ends.
pub async fn report_suppressed() {
    let mut every = tokio::time::interval(Duration::from_secs(10));
    loop {
        every.tick().await;
        say_suppressed();
        super::refusal::say_repeated();
    }
}

/// Logs how many lines were suppressed since the last one, if any were.
pub(crate) fn say_suppressed() {
    let suppressed = LIMIT.take_suppressed();
    if suppressed > 0 {
        tracing::warn!(target: AUTH_FAILURE, suppressed, "authentication failures suppressed");
    }
}
