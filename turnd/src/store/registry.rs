//! This node's report to the fleet: the addresses at which clients reach it from outside.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use causeway_daemon::config::{Listen, special_purpose};
use causeway_net::secure::Identity;
use causeway_net::source_towards;
use causeway_store::NodeReport;

use crate::config::{Config, RelayAddress};

/// The data of this node's report. Each report is built from the current state, because addresses
/// come and go, and certificates are renewed (H55).
#[derive(Default)]
pub(crate) struct Registered {
    listen: Vec<Listen>,
    relays: Vec<RelayAddress>,
    capacity: u64,
    tls_name: TlsName,
    interfaces: Interfaces,
}

impl Registered {
    pub(crate) fn new(config: &Config) -> Self {
        let tls_name = TlsName::default();
        if let Some(tls) = &config.tls {
            tls_name.set(&tls.identities());
        }
        Self {
            listen: config.listen.clone(),
            relays: config.relay.addresses.clone(),
            capacity: (config.relay.addresses.len() * config.relay.ports.len()) as u64,
            tls_name,
            interfaces: Interfaces::default(),
        }
    }

    /// The TLS name, for the task that updates it when certificates change.
    pub(crate) fn tls_name(&self) -> TlsName {
        self.tls_name.clone()
    }

    /// Builds the report.
    pub(crate) fn report(&mut self, allocations: u64) -> NodeReport {
        let Self { listen, relays, interfaces, .. } = self;
        NodeReport {
            addresses: addresses(listen, relays, || interfaces.list()),
            tls_name: self.tls_name.get(),
            allocations,
            capacity: self.capacity,
            state: "serving".into(),
        }
    }
}

/// The name that clients verify over TLS and DTLS; empty for none.
#[derive(Clone, Default)]
pub(crate) struct TlsName(Arc<Mutex<String>>);

impl TlsName {
    /// Takes the name from the current certificates.
    pub(crate) fn set(&self, identities: &[Arc<Identity>]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            tls_name(identities).unwrap_or_default();
    }

    fn get(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Lists the addresses of this host's interfaces.
struct Interfaces {
    read: fn() -> io::Result<Vec<IpAddr>>,
    /// Whether a failure was logged already.
    has_warned: bool,
}

impl Default for Interfaces {
    fn default() -> Self {
        Self {
            read: || Ok(if_addrs::get_if_addrs()?.iter().map(if_addrs::Interface::ip).collect()),
            has_warned: false,
        }
    }
}

impl Interfaces {
    /// All addresses. If a netlink socket is not allowed, the source addresses of the default
    /// routes.
    fn list(&mut self) -> Vec<IpAddr> {
        match (self.read)() {
            Ok(addresses) => addresses,
            Err(error) => {
                if !std::mem::replace(&mut self.has_warned, true) {
                    tracing::warn!(
                        %error,
                        "cannot list interface addresses; registering those of the default routes"
                    );
                }
                SOMEWHERE
                    .into_iter()
                    .filter_map(|elsewhere| source_towards(elsewhere).ok().flatten())
                    .collect()
            }
        }
    }
}

/// Documentation addresses, as destinations of the default routes; no packet is sent.
const SOMEWHERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// Each transport at each address at which clients reach it. The outer address of a listener behind
/// proxies is unknown, so it has none.
fn addresses(
    listeners: &[Listen],
    relays: &[RelayAddress],
    mut interfaces: impl FnMut() -> Vec<IpAddr>,
) -> Vec<(String, SocketAddr)> {
    let mut found = Vec::new();
    for listen in listeners.iter().filter(|listen| listen.proxy_protocol.trusted.is_empty()) {
        let reached = outside(listen.address.ip(), relays, &mut interfaces);
        let places = reached.iter().map(|ip| SocketAddr::new(*ip, listen.address.port()));
        for place in places {
            found.extend(listen.transports.iter().map(|transport| (transport.to_string(), place)));
        }
    }
    found
}

/// A listener's addresses as clients see them. A relay address, or a wildcard whose family has
/// relay addresses, is seen as the advertised ones. Another wildcard is seen at the public
/// interface addresses, or at all of them if none is public.
fn outside(
    listened: IpAddr,
    relays: &[RelayAddress],
    interfaces: impl FnOnce() -> Vec<IpAddr>,
) -> Vec<IpAddr> {
    if !listened.is_unspecified() {
        let relay = relays.iter().find(|relay| relay.bound == listened);
        return vec![relay.map_or(listened, |relay| relay.advertised)];
    }
    let same_family = |ip: &IpAddr| ip.is_ipv4() == listened.is_ipv4();
    let advertised: Vec<IpAddr> =
        relays.iter().map(|relay| relay.advertised).filter(same_family).collect();
    if !advertised.is_empty() {
        return advertised;
    }
    let local = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local(),
    };
    let usable: Vec<IpAddr> =
        interfaces().into_iter().filter(same_family).filter(|ip| !local(ip)).collect();
    let public: Vec<IpAddr> =
        usable.iter().copied().filter(|ip| special_purpose::name(*ip).is_none()).collect();
    if public.is_empty() { usable } else { public }
}

/// A name of the first certificate that ALTERNATE-DOMAIN can carry: no wildcard and no address.
fn tls_name(identities: &[Arc<Identity>]) -> Option<String> {
    identities
        .first()?
        .names()
        .find(|name| !name.starts_with("*.") && name.parse::<IpAddr>().is_err())
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
    fn h55_a_report_names_the_addresses_of_its_moment() {
        static ADDRESSES: Mutex<&str> = Mutex::new("8.8.4.4");
        let config =
            crate::config::configured(&["--listen", "0.0.0.0:3478", "--relay-address", "2600::1"])
                .unwrap();
        let mut registered = Registered::new(&config);
        registered.interfaces.read = || Ok(ips(*ADDRESSES.lock().unwrap()));
        let mut udp = || {
            registered
                .report(0)
                .addresses
                .into_iter()
                .filter(|(name, _)| name == "udp")
                .map(|(_, at)| at.ip())
                .collect()
        };
        let (before, after): (Vec<IpAddr>, Vec<IpAddr>) = (udp(), {
            *ADDRESSES.lock().unwrap() = "8.8.4.4 9.9.9.10";
            udp()
        });
        assert_eq!((before, after), (ips("8.8.4.4"), ips("8.8.4.4 9.9.9.10")));
    }

    #[test]
    fn h55_without_a_list_the_addresses_of_the_routes_are_named() {
        let mut interfaces =
            Interfaces { read: || Err(io::Error::from_raw_os_error(97)), has_warned: false };
        assert!(interfaces.list().iter().all(|ip| !ip.is_unspecified()) && interfaces.has_warned);
    }

    #[test]
    fn a_sibling_is_told_what_clients_see() {
        let relays = "10.0.0.7=203.0.113.7 10.0.0.8=203.0.113.8 2001:db8::7";
        assert_eq!(seen("10.0.0.7", relays, ""), ips("203.0.113.7"), "behind a 1:1 NAT");
        assert_eq!(seen("192.0.2.1", relays, ""), ips("192.0.2.1"));
        assert_eq!(
            seen("0.0.0.0", relays, "127.0.0.1 10.0.0.7"),
            ips("203.0.113.7 203.0.113.8"),
            "a wildcard"
        );
        assert_eq!(seen("::", relays, "::1 2600::1"), ips("2001:db8::7"));
        let interfaces = "127.0.0.1 ::1 fe80::1 10.0.0.7 8.8.4.4 2600::1 fd00::1";
        assert_eq!(seen("::", "10.0.0.7", interfaces), ips("2600::1"), "no relay of this family");
        assert_eq!(seen("0.0.0.0", "2001:db8::7", interfaces), ips("8.8.4.4"));
        assert_eq!(
            seen("0.0.0.0", "2001:db8::7", "127.0.0.1 10.0.0.7 169.254.0.1"),
            ips("10.0.0.7"),
            "inside a network"
        );
    }
}
