//! Warnings about limits that end the calls of clients in use. Without them, the operator would see
//! the effect only minutes into a call.

use std::time::Duration;

use super::limits::Limits;

/// Minimum lifetime of allocations that known clients need: libjuice refreshes after nine minutes,
/// whatever the granted lifetime; turn-client-proto fails on a shorter lifetime; ice4j never
/// refreshes, so that its first grant is its last.
const LIFETIME: Duration = Duration::from_secs(600);
/// Minimum lifetime of a nonce: werift repeats a request that got a 438 with the stale nonce.
const NONCE_LIFETIME: Duration = Duration::from_secs(3600);

/// A warning for each key that ends calls of known clients, with its value and the clients.
pub(crate) fn warnings(limits: &Limits, nonce_lifetime: Duration) -> Vec<String> {
    let mut warnings = Vec::new();
    let (default, maximum) = (limits.relay.default_lifetime, limits.relay.max_lifetime);
    if maximum < LIFETIME {
        warnings.push(format!(
            "limits.max_lifetime: {maximum:?} is below 10 minutes: calls of libjuice, \
             turn-client-proto and ice4j end early"
        ));
    } else if default < LIFETIME {
        warnings.push(format!(
            "limits.default_lifetime: {default:?} is below 10 minutes: calls of ice4j end early"
        ));
    }
    if nonce_lifetime < NONCE_LIFETIME {
        warnings.push(format!(
            "protocol.nonce_lifetime: {nonce_lifetime:?} is below 1 hour: calls of werift end when \
             their nonce is stale"
        ));
    }
    warnings
}
