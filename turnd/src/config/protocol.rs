//! `[protocol]`: what the protocol leaves to the server.

use std::time::Duration;

use causeway_daemon::config::Problem;
use causeway_daemon::config::values::Interval;
use causeway_relay::ChannelPermission;
use serde::Deserialize;

/// The keys of `[protocol]`, as written.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ProtocolSchema {
    channel_numbers: ChannelNumbers,
    channel_permission: PermissionSchema,
    software: String,
    nonce_lifetime: Interval,
}

impl Default for ProtocolSchema {
    fn default() -> Self {
        ProtocolSchema {
            channel_numbers: ChannelNumbers::default(),
            channel_permission: PermissionSchema::default(),
            software: String::new(),
            nonce_lifetime: Interval::seconds(3_600),
        }
    }
}

/// The numbers that a channel may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ChannelNumbers {
    /// 0x4000–0x4FFF, RFC 8656 §12.
    #[default]
    Rfc8656,
    /// 0x4000–0x7FFE, for clients of RFC 5766.
    Rfc5766,
}

/// How long a peer with a channel is permitted, as written.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PermissionSchema {
    #[default]
    WithChannel,
    Rfc8656,
}

/// Choices of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Protocol {
    /// The numbers that a channel may have.
    pub(crate) channel_numbers: ChannelNumbers,
    /// How long a peer with a channel is permitted (H46).
    pub(crate) channel_permission: ChannelPermission,
    /// The SOFTWARE attribute of answers, if they have one.
    pub(crate) software: Option<String>,
    /// After so long a nonce is stale, and the client is given another.
    pub(crate) nonce_lifetime: Duration,
}

impl ProtocolSchema {
    pub(super) fn resolve(self) -> Result<Protocol, Vec<Problem>> {
        let mut problems = Vec::new();
        // RFC 8489 §14.14: "fewer than 128 characters".
        if self.software.chars().count() >= 128 {
            problems.push(Problem::new(
                "protocol.software",
                "128 characters or more; RFC 8489 allows fewer",
            ));
        }
        if self.nonce_lifetime.0 < Duration::from_secs(30) {
            let what = "less than 30 s: clients would be sent away all the time";
            problems.push(Problem::new("protocol.nonce_lifetime", what));
        }
        let software = Some(self.software).filter(|text| !text.is_empty());
        let channel_permission = match self.channel_permission {
            PermissionSchema::WithChannel => ChannelPermission::WithChannel,
            PermissionSchema::Rfc8656 => ChannelPermission::Rfc8656,
        };
        let (channel_numbers, nonce_lifetime) = (self.channel_numbers, self.nonce_lifetime.0);
        let protocol = Protocol { channel_numbers, channel_permission, software, nonce_lifetime };
        if problems.is_empty() { Ok(protocol) } else { Err(problems) }
    }
}
