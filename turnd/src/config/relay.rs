//! `[relay]`: the addresses and ports that peers see.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use causeway_daemon::config::values::PortRange;
use causeway_daemon::config::{External, Listen, Problem, Scope, mapped_problem};
use serde::Deserialize;

use super::RelayAddress;

/// The keys of `[relay]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RelaySchema {
    #[serde(default)]
    addresses: Vec<IpAddr>,
    #[serde(default)]
    external: External,
    ports: PortRange,
    scope: Scope,
}

/// The addresses and ports to relay from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Relay {
    /// Never empty, none twice, none a wildcard.
    pub(crate) addresses: Vec<RelayAddress>,
    /// The ports of each address.
    pub(crate) ports: RangeInclusive<u16>,
    /// Whether the relay is for the Internet or for a private network.
    pub(crate) scope: Scope,
}

impl Relay {
    /// A line for each address, for `--check-config`.
    pub(super) fn describe(&self) -> Vec<String> {
        let ports = format!("{}-{}", self.ports.start(), self.ports.end());
        let scope = self.scope;
        let line = |address: &RelayAddress| match address.bound == address.advertised {
            true => format!("relays from {}, ports {ports}, {scope}", address.bound),
            false => format!(
                "relays from {}, seen as {}, ports {ports}, {scope}",
                address.bound, address.advertised
            ),
        };
        self.addresses.iter().map(line).collect()
    }
}

impl RelaySchema {
    /// Pairs each address with its external one. Without addresses, the relay uses those of the
    /// listeners that are bound to one address.
    pub(super) fn resolve(self, listen: &[Listen]) -> Result<Relay, Vec<Problem>> {
        let mut problems = Vec::new();
        let bound = match self.addresses.is_empty() {
            true => listened_on(listen),
            false => self.addresses,
        };
        if bound.is_empty() {
            let what = "no address to relay from, and no listener is bound to one address";
            let hint = "name the address that peers see: --relay-address 203.0.113.7";
            problems.push(Problem::new("relay.addresses", what).hint(hint));
        }
        for (index, &ip) in bound.iter().enumerate() {
            problems.extend(bound_problem(ip, bound[..index].contains(&ip)));
        }
        problems.extend(ports_problem(&self.ports.0));
        let addresses = match self.external.pair("relay.external", "relay.addresses", &bound) {
            Ok(addresses) => addresses,
            Err(mut found) => {
                problems.append(&mut found);
                Vec::new()
            }
        };
        if self.scope == Scope::Public {
            problems.extend(addresses.iter().filter_map(private_problem));
        }
        let relay = Relay { addresses, ports: self.ports.0, scope: self.scope };
        if problems.is_empty() { Ok(relay) } else { Err(problems) }
    }
}

fn listened_on(listen: &[Listen]) -> Vec<IpAddr> {
    let mut named: Vec<IpAddr> =
        listen.iter().map(|listen| listen.address.ip()).filter(|ip| !ip.is_unspecified()).collect();
    named.sort();
    named.dedup();
    named
}

fn bound_problem(ip: IpAddr, again: bool) -> Option<Problem> {
    let problem = |what: String| Problem::new("relay.addresses", what);
    if ip.is_unspecified() {
        let what = format!("{ip} is every address; a peer needs one that it can send to");
        let hint = "name the address that peers see: --relay-address 203.0.113.7";
        return Some(problem(what).hint(hint));
    }
    if ip.is_multicast() || ip == IpAddr::from([255; 4]) {
        return Some(problem(format!("{ip} is not a host's address")));
    }
    if let Some(mapped) = mapped_problem("relay.addresses", ip) {
        return Some(mapped);
    }
    again.then(|| problem(format!("{ip} is named twice")).hint("keep one of the two"))
}

/// RFC 8656 §7.2: "the TURN server SHOULD NOT allocate ports in the range 0 - 1023".
fn ports_problem(ports: &RangeInclusive<u16>) -> Option<Problem> {
    (*ports.start() < 1_024).then(|| {
        let what = format!(
            "{} is a well-known port, which a relay must not give to clients",
            ports.start()
        );
        Problem::new("relay.ports", what).hint("start at 1024 or above")
    })
}

/// H44: an address that the Internet cannot reach, on a relay for the Internet.
fn private_problem(address: &RelayAddress) -> Option<Problem> {
    let range = address.private_range()?;
    let what = format!("{} ({range}) cannot be reached from the Internet", address.advertised);
    Some(match address.bound == address.advertised {
        true => {
            let hint = "behind 1:1 NAT name the external address (--external-address); in a private \
                        network set relay.scope = \"private\"";
            Problem::new("relay.addresses", what).hint(hint)
        }
        false => Problem::new("relay.external", what)
            .hint("name the external address, or set relay.scope = \"private\""),
    })
}
