//! `[peers]`: the peers that clients may reach.

use std::str::FromStr;

use causeway_daemon::config::{Problem, network};
use causeway_relay::DeniedPeers;
use ipnet::IpNet;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::flags::Insecure;

/// The keys of `[peers]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Peers {
    /// The operator's rules. The first one that matches decides; the built-in deny list follows the
    /// last one.
    #[serde(default)]
    pub(crate) rules: Vec<PeerRule>,
    /// The response to a request for a denied peer.
    #[serde(with = "DeniedKey")]
    pub(crate) denied: DeniedPeers,
}

#[derive(Deserialize)]
#[serde(remote = "DeniedPeers", rename_all = "lowercase")]
enum DeniedKey {
    Refuse,
    Ignore,
}

/// The decision of a rule on the addresses that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Clients may reach them, even if the built-in list denies them.
    Allow,
    /// Clients may not reach them.
    Deny,
}

/// One rule: `allow 10.1.2.0/24`, `deny 198.51.100.7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerRule {
    pub(crate) verdict: Verdict,
    /// The addresses that it decides on: a network without host bits.
    pub(crate) network: IpNet,
}

impl FromStr for PeerRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "expected \"allow CIDR\" or \"deny CIDR\", such as \"allow 10.1.2.0/24\", \
                 found {text:?}"
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

impl Peers {
    /// Refuses rules that allow a whole family, in one piece or in several, without the flag that
    /// opens this hole by name.
    pub(super) fn check(&self, insecure: Insecure) -> Vec<Problem> {
        let allowed = self.rules.iter().filter(|rule| rule.verdict == Verdict::Allow);
        let allowed = IpNet::aggregate(&allowed.map(|rule| rule.network).collect());
        let whole_family = allowed.into_iter().find(|network| network.prefix_len() == 0);
        let problem = |network| {
            let what =
                format!("the rules allow {network}: clients could reach this host and its network");
            let hint = "allow only what they need, or allow everything by name: \
                        --insecure-allow-all-peers";
            Problem::new("peers.rules", what).hint(hint)
        };
        let forbidden = whole_family.filter(|_| !insecure.allow_all_peers);
        forbidden.map(problem).into_iter().collect()
    }
}
