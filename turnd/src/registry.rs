//! This node's report to the fleet: where clients reach it from outside.

use std::net::{IpAddr, SocketAddr};

use causeway_daemon::config::special_purpose;
use causeway_daemon::tls::Tls;
use causeway_store::NodeReport;

use crate::config::{Config, RelayAddress};

/// The part of the report that stays the same while the process lives.
pub(crate) fn report(config: &Config) -> NodeReport {
    let interfaces = || match if_addrs::get_if_addrs() {
        Ok(interfaces) => interfaces.iter().map(if_addrs::Interface::ip).collect(),
        Err(error) => {
            tracing::warn!(%error, "the interfaces' addresses cannot be read: the registry names none of them");
            Vec::new()
        }
    };
    NodeReport {
        addresses: addresses(config, interfaces),
        tls_name: config.tls.as_ref().and_then(tls_name).unwrap_or_default(),
        allocations: 0,
        capacity: (config.relay.addresses.len() * config.relay.ports.len()) as u64,
        state: "serving".into(),
    }
}

/// Each transport at each address that a client can be sent to. A listener that only proxies reach has none that we know.
fn addresses(config: &Config, interfaces: impl Fn() -> Vec<IpAddr>) -> Vec<(String, SocketAddr)> {
    let mut found = Vec::new();
    for listen in config.listen.iter().filter(|listen| listen.proxy_protocol.trusted.is_empty()) {
        let reached = outside(listen.address.ip(), &config.relay.addresses, &interfaces);
        let places = reached.iter().map(|ip| SocketAddr::new(*ip, listen.address.port()));
        for place in places {
            found.extend(listen.transports.iter().map(|transport| (transport.to_string(), place)));
        }
    }
    found
}

/// A listener's address as clients see it: the external one of the relay's addresses, where it is one of them or all of its family; or else,
/// of all, the interfaces' addresses that the Internet reaches, or those that the network does.
fn outside(listened: IpAddr, relays: &[RelayAddress], interfaces: impl Fn() -> Vec<IpAddr>) -> Vec<IpAddr> {
    if !listened.is_unspecified() {
        let relay = relays.iter().find(|relay| relay.bound == listened);
        return vec![relay.map_or(listened, |relay| relay.advertised)];
    }
    let same_family = |ip: &IpAddr| ip.is_ipv4() == listened.is_ipv4();
    let advertised: Vec<IpAddr> = relays.iter().map(|relay| relay.advertised).filter(same_family).collect();
    if !advertised.is_empty() {
        return advertised;
    }
    let local = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local(),
    };
    let usable: Vec<IpAddr> = interfaces().into_iter().filter(same_family).filter(|ip| !local(ip)).collect();
    let public: Vec<IpAddr> = usable.iter().copied().filter(|ip| special_purpose::name(*ip).is_none()).collect();
    if public.is_empty() { usable } else { public }
}

/// A name that the first certificate is for, as ALTERNATE-DOMAIN wants one: no wildcard and no address.
fn tls_name(tls: &Tls) -> Option<String> {
    let identities = tls.identities();
    identities.first()?.names().find(|name| !name.starts_with("*.") && name.parse::<IpAddr>().is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(text: &str) -> Vec<IpAddr> {
        text.split_whitespace().map(|ip| ip.parse().unwrap()).collect()
    }

    fn seen(listened: &str, relays: &str, interfaces: &str) -> Vec<IpAddr> {
        let relays = relays.split_whitespace().map(|relay| {
            let (bound, advertised) = relay.split_once('=').unwrap_or((relay, relay));
            RelayAddress { bound: bound.parse().unwrap(), advertised: advertised.parse().unwrap() }
        });
        outside(listened.parse().unwrap(), &relays.collect::<Vec<_>>(), || ips(interfaces))
    }

    #[test]
    fn a_sibling_is_told_what_clients_see() {
        let relays = "10.0.0.7=203.0.113.7 10.0.0.8=203.0.113.8 2001:db8::7";
        assert_eq!(seen("10.0.0.7", relays, ""), ips("203.0.113.7"), "behind a 1:1 NAT");
        assert_eq!(seen("192.0.2.1", relays, ""), ips("192.0.2.1"));
        assert_eq!(seen("0.0.0.0", relays, "127.0.0.1 10.0.0.7"), ips("203.0.113.7 203.0.113.8"), "a wildcard");
        assert_eq!(seen("::", relays, "::1 2600::1"), ips("2001:db8::7"));
        let interfaces = "127.0.0.1 ::1 fe80::1 10.0.0.7 8.8.4.4 2600::1 fd00::1";
        assert_eq!(seen("::", "10.0.0.7", interfaces), ips("2600::1"), "no relay of this family");
        assert_eq!(seen("0.0.0.0", "2001:db8::7", interfaces), ips("8.8.4.4"));
        assert_eq!(seen("0.0.0.0", "2001:db8::7", "127.0.0.1 10.0.0.7 169.254.0.1"), ips("10.0.0.7"), "inside a network");
    }
}
