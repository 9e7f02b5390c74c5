//! `[peers]`: whom clients may reach.

use std::str::FromStr;

use causeway_daemon::config::{Problem, network};
use causeway_relay::DeniedPeers;
use ipnet::IpNet;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::flags::Insecure;

/// The keys of `[peers]`, as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PeersSchema {
    rules: Vec<PeerRule>,
    denied: DeniedSchema,
}

/// What a client is answered that asks for a denied peer, as written.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DeniedSchema {
    #[default]
    Refuse,
    Ignore,
}

/// The operator's rules: the first that matches decides, and the built-in deny list stands behind
/// the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peers {
    /// In the order in which they are asked.
    pub(crate) rules: Vec<PeerRule>,
    /// What a client is answered that asks for a denied peer.
    pub(crate) denied: DeniedPeers,
}

/// What a rule says of the addresses that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// They may be peers, even if the built-in list denies them.
    Allow,
    /// They may not.
    Deny,
}

/// One rule: `allow 10.1.2.0/24`, `deny 198.51.100.7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerRule {
    /// What it says.
    pub(crate) verdict: Verdict,
    /// Of whom: a network without host bits.
    pub(crate) network: IpNet,
}

impl FromStr for PeerRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "expected \"allow CIDR\" or \"deny CIDR\", such as \"allow 10.1.2.0/24\", found {text:?}"
            )
        };
        let (verdict, address) = text.trim().split_once(char::is_whitespace).ok_or_else(wrong)?;
        let verdict = match verdict {
            "allow" => Verdict::Allow,
            "deny" => Verdict::Deny,
            _ => return Err(wrong()),
        };
        let network = network(address)?;
        Ok(PeerRule { verdict, network })
    }
}

impl<'de> Deserialize<'de> for PeerRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl PeersSchema {
    /// Refuses rules that allow a whole family, in one piece or in several, unless the hole is
    /// opened by name.
    pub(super) fn resolve(self, insecure: Insecure) -> Result<Peers, Vec<Problem>> {
        let allowed = self
            .rules
            .iter()
            .filter(|rule| rule.verdict == Verdict::Allow)
            .map(|rule| rule.network);
        let everything = IpNet::aggregate(&allowed.collect())
            .into_iter()
            .find(|network| network.prefix_len() == 0);
        match everything {
            Some(network) if !insecure.allow_all_peers => {
                let what = format!(
                    "the rules allow {network}: clients could reach this host and its network"
                );
                let hint = "allow only what they need, or open the hole by name: --insecure-allow-all-peers";
                Err(vec![Problem::new("peers.rules", what).hint(hint)])
            }
            _ => {
                let denied = match self.denied {
                    DeniedSchema::Refuse => DeniedPeers::Refuse,
                    DeniedSchema::Ignore => DeniedPeers::Ignore,
                };
                Ok(Peers { rules: self.rules, denied })
            }
        }
    }
}
