//! `[protocol]`: the choices that the protocol leaves to the server.

use std::time::Duration;

use causeway_daemon::config::Problem;
use causeway_daemon::config::values::{duration, text_or_none};
use causeway_relay::ChannelPermission;
use causeway_wire::ChannelRange;
use serde::Deserialize;

/// Minimum of `protocol.nonce_lifetime`.
const MIN_NONCE_LIFETIME: Duration = Duration::from_secs(30);

/// The keys of `[protocol]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Protocol {
    /// The channel numbers that clients may bind.
    #[serde(with = "ChannelNumbersKey")]
    pub(crate) channel_numbers: ChannelRange,
    /// How long a peer with a channel is permitted (H46).
    #[serde(with = "ChannelPermissionKey")]
    pub(crate) channel_permission: ChannelPermission,
    /// The SOFTWARE attribute of responses, if they have one.
    #[serde(deserialize_with = "text_or_none")]
    pub(crate) software: Option<String>,
    /// How long a nonce is valid. A stale one is answered with a new one.
    #[serde(deserialize_with = "duration")]
    pub(crate) nonce_lifetime: Duration,
}

#[derive(Deserialize)]
#[serde(remote = "ChannelRange", rename_all = "lowercase")]
enum ChannelNumbersKey {
    Rfc8656,
    Rfc5766,
}

#[derive(Deserialize)]
#[serde(remote = "ChannelPermission", rename_all = "kebab-case")]
enum ChannelPermissionKey {
    WithChannel,
    Rfc8656,
}

impl Protocol {
    /// Checks the ranges of the keys.
    pub(super) fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        // RFC 8489 §14.14: "fewer than 128 characters".
        if self.software.as_ref().is_some_and(|text| text.chars().count() >= 128) {
            let what = "the text is too long; the maximum is 127 characters (RFC 8489)";
            problems.push(Problem::new("protocol.software", what));
        }
        if self.nonce_lifetime < MIN_NONCE_LIFETIME {
            let what = format!(
                "{:?} is too short; the minimum is {MIN_NONCE_LIFETIME:?}",
                self.nonce_lifetime
            );
            let hint = "clients would have to authenticate twice all the time";
            problems.push(Problem::new("protocol.nonce_lifetime", what).hint(hint));
        }
        problems
    }
}
