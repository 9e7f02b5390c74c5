//! Limits that end calls of clients in use, said at the start: a call shows them only after
//! minutes.

use std::time::Duration;

use super::limits::Limits;

/// libjuice refreshes after nine minutes, whatever it was granted; turn-client-proto takes a
/// shorter lifetime for the end; ice4j never refreshes, and lives as long as its first grant.
const LIFETIME: Duration = Duration::from_secs(600);
/// werift repeats a request answered 438 with the nonce that was stale.
const NONCE_LIFETIME: Duration = Duration::from_secs(3600);

/// What the configuration does to known clients: the key, its value, and whose calls end.
pub(crate) fn warnings(limits: &Limits, nonce_lifetime: Duration) -> Vec<String> {
    let mut warnings = Vec::new();
    if limits.max_lifetime < LIFETIME {
        let max_lifetime = limits.max_lifetime;
        warnings.push(format!(
            "limits.max_lifetime: {max_lifetime:?} is below 10 minutes: calls of libjuice, turn-client-proto and ice4j end early"
        ));
    } else if limits.default_lifetime < LIFETIME {
        let default_lifetime = limits.default_lifetime;
        warnings.push(format!("limits.default_lifetime: {default_lifetime:?} is below 10 minutes: calls of ice4j end early"));
    }
    if nonce_lifetime < NONCE_LIFETIME {
        warnings
            .push(format!("protocol.nonce_lifetime: {nonce_lifetime:?} is below 1 hour: calls of werift end when their nonce is stale"));
    }
    warnings
}
