use std::net::{IpAddr, SocketAddr};

use causeway_relay::{PeerPolicy, Rule};

use crate::config::{Config, Verdict};

/// The operator's rules, with what this server knows of itself: its listeners on every address that they can be reached at (H5), and its
/// relay addresses (H8).
pub(crate) fn peer_policy(config: &Config) -> PeerPolicy {
    let rules: Vec<Rule> =
        config.peers.rules.iter().map(|rule| Rule { allow: rule.verdict == Verdict::Allow, net: rule.network }).collect();
    let outside = config.relay.addresses.iter().filter(|relay| relay.bound != relay.advertised).map(|relay| relay.advertised);
    let interfaces: Vec<IpAddr> = match if_addrs::get_if_addrs() {
        Ok(interfaces) => interfaces.iter().map(if_addrs::Interface::ip).chain(outside).collect(),
        Err(error) => {
            tracing::warn!(%error, "the host's addresses cannot be listed; listeners on wildcard addresses are not kept from clients");
            outside.collect()
        }
    };
    let listeners = config.own_endpoints().into_iter().flat_map(|endpoint| reachable_at(endpoint, &interfaces)).collect();
    let relays = config.relay.addresses.iter().flat_map(|relay| [relay.bound, relay.advertised]).collect();
    PeerPolicy::new(&rules, listeners, relays, config.relay.ports.clone())
}

/// A wildcard endpoint is reached at every address of its family, and behind a 1:1 NAT so is any other at the outer address.
fn reachable_at(endpoint: SocketAddr, interfaces: &[IpAddr]) -> Vec<SocketAddr> {
    let same_family = interfaces.iter().filter(|ip| ip.is_ipv4() == endpoint.is_ipv4());
    if endpoint.ip().is_loopback() {
        return vec![endpoint];
    }
    same_family.map(|ip| SocketAddr::new(*ip, endpoint.port())).chain([endpoint]).collect()
}
