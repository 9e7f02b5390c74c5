//! Which servers are reached through a proxy: `--proxy`, or the environment's variables.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::{IpNet, Ipv4Net};

use super::proxy::{BadProxy, HttpProxy};

/// A proxy, and the servers that are reached without it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    proxy: Option<HttpProxy>,
    direct: Vec<Direct>,
    note: Option<String>,
}

/// An entry of `no_proxy`: `host`, or `host:port` for one port only.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Direct {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    Everything,
    Network(IpNet),
    /// A domain and all names below it.
    Domain(String),
}

/// An environment variable has an invalid value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct BadVariable {
    name: &'static str,
    error: BadProxy,
}

impl fmt::Display for BadVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}: {} (use --no-proxy to ignore it)", self.name, self.error)
    }
}

impl Proxies {
    /// Uses this proxy for every server.
    #[must_use]
    pub fn always(proxy: HttpProxy) -> Self {
        Self { proxy: Some(proxy), ..Self::default() }
    }

    #[must_use]
    pub fn never() -> Self {
        Self::default()
    }

    /// Reads `https_proxy`, otherwise `all_proxy`, and the exceptions in `no_proxy`; each in lower
    /// or upper case.
    ///
    /// # Errors
    /// A variable has an invalid value. A proxy of another kind in `all_proxy`, such as SOCKS, may
    /// be meant for other programs: it is ignored, and a [note](Self::note) says so.
    pub fn from_environment() -> Result<Self, BadVariable> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, BadVariable> {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let (mut proxy, mut note) = (None, None);
        for name in ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            let Some(value) = set(name) else { continue };
            match value.trim().parse::<HttpProxy>() {
                Ok(found) => {
                    proxy = Some(found);
                    break;
                }
                Err(BadProxy::Scheme(scheme)) if name.eq_ignore_ascii_case("all_proxy") => {
                    note.get_or_insert(format!(
                        "note: ${name} names a {scheme} proxy, which is not supported, so TCP and \
                         TLS use no proxy; name an HTTP proxy with --proxy, or give --no-proxy"
                    ));
                }
                Err(error) => return Err(BadVariable { name, error }),
            }
        }
        let direct = set("no_proxy").or_else(|| set("NO_PROXY")).unwrap_or_default();
        let direct = direct
            .split([',', ' '])
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(Direct::read)
            .collect();
        let note = note.filter(|_| proxy.is_none());
        Ok(Self { proxy, direct, note })
    }

    /// A note for the user about a variable that is ignored.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// The proxy for a server with this address and port and, if known, this name.
    #[must_use]
    pub fn to(&self, address: SocketAddr, name: Option<&str>) -> Option<&HttpProxy> {
        let proxy = self.proxy.as_ref()?;
        let name = name.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let is_direct = self.direct.iter().any(|entry| entry.covers(address, name.as_deref()));
        (!is_direct).then_some(proxy)
    }

    /// The same rules, but loopback addresses use no proxy.
    #[must_use]
    pub fn except_loopback(mut self) -> Self {
        let loopback: [IpNet; 2] = [
            IpNet::new_assert([127, 0, 0, 0].into(), 8),
            IpNet::new_assert(std::net::Ipv6Addr::LOCALHOST.into(), 128),
        ];
        self.direct
            .extend(loopback.map(|network| Direct { hosts: Hosts::Network(network), port: None }));
        self
    }
}

impl Direct {
    fn read(entry: &str) -> Self {
        // In `[address]:port` the port follows the brackets, in `name:port` the only colon.
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, digits)) if !host.contains(':') || host.ends_with(']') => {
                match digits.parse() {
                    Ok(port) => (host, Some(port)),
                    Err(_) => (entry, None),
                }
            }
            _ => (entry, None),
        };
        Self { hosts: Hosts::read(host), port }
    }

    fn covers(&self, address: SocketAddr, name: Option<&str>) -> bool {
        self.port.is_none_or(|port| port == address.port()) && self.hosts.cover(address.ip(), name)
    }
}

impl Hosts {
    fn read(entry: &str) -> Self {
        if entry == "*" {
            return Self::Everything;
        }
        let bare = entry.trim_start_matches('[').trim_end_matches(']');
        match (bare.parse::<IpNet>(), bare.parse::<IpAddr>()) {
            (Ok(network), _) => Self::Network(unmapped(network)),
            (_, Ok(ip)) => Self::Network(ip.to_canonical().into()),
            _ => {
                Self::Domain(entry.trim_start_matches("*.").trim_matches('.').to_ascii_lowercase())
            }
        }
    }

    fn cover(&self, address: IpAddr, name: Option<&str>) -> bool {
        match self {
            Self::Everything => true,
            Self::Network(network) => network.contains(&address.to_canonical()),
            Self::Domain(domain) => name.is_some_and(|name| {
                name == domain
                    || name.strip_suffix(domain.as_str()).is_some_and(|host| host.ends_with('.'))
            }),
        }
    }
}

/// Turns a prefix of IPv4-mapped addresses into the IPv4 prefix (H54).
fn unmapped(network: IpNet) -> IpNet {
    let IpNet::V6(mapped) = network else { return network };
    let length = mapped.prefix_len().checked_sub(96);
    let found = mapped
        .addr()
        .to_ipv4_mapped()
        .zip(length)
        .and_then(|(ip, length)| Ipv4Net::new(ip, length).ok());
    found.map_or(network, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Result<Proxies, BadVariable> {
        let variables: Vec<(String, String)> =
            variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Proxies::from_variables(|name| {
            variables.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone())
        })
    }

    fn to(proxies: &Proxies, address: &str, name: Option<&str>) -> Option<String> {
        proxies.to(SocketAddr::new(address.parse().unwrap(), 3478), name).map(ToString::to_string)
    }

    #[test]
    fn the_first_variable_that_is_set_names_the_proxy() {
        assert_eq!(environment(&[]).unwrap(), Proxies::never());
        let both =
            environment(&[("https_proxy", "http://a:1"), ("all_proxy", "http://b:2")]).unwrap();
        assert_eq!(to(&both, "192.0.2.1", None).unwrap(), "http://a:1");
        let all = environment(&[("https_proxy", " "), ("ALL_PROXY", "b:2")]).unwrap();
        assert_eq!(to(&all, "192.0.2.1", None).unwrap(), "http://b:2");
        let error = environment(&[("https_proxy", "https://h:1")]).unwrap_err().to_string();
        assert!(error.starts_with("$https_proxy") && error.contains("--no-proxy"), "{error}");
    }

    #[test]
    fn h56_a_socks_proxy_is_told_and_not_passed_over_silently() {
        let socks = environment(&[("all_proxy", "socks5h://anna:s3cret@h:1080")]).unwrap();
        let note = socks.note().unwrap();
        assert!(
            note.contains("$all_proxy names a socks5h proxy") && !note.contains("s3cret"),
            "{note}"
        );
        assert_eq!(to(&socks, "192.0.2.1", None), None);
        let with_http =
            environment(&[("https_proxy", "http://a:1"), ("all_proxy", "socks5h://h:1080")])
                .unwrap();
        assert_eq!(
            (with_http.note(), to(&with_http, "192.0.2.1", None).as_deref()),
            (None, Some("http://a:1"))
        );
    }

    #[test]
    fn no_proxy_may_name_a_port() {
        let list = "example.org:3478,192.0.2.1:3479,[2001:db8::1]:3478,*:99,::2";
        let proxies = environment(&[("https_proxy", "http://p:1"), ("no_proxy", list)]).unwrap();
        let direct = |address: &str, name| proxies.to(address.parse().unwrap(), name).is_none();
        assert!(
            direct("203.0.113.1:3478", Some("turn.example.org"))
                && !direct("203.0.113.1:443", Some("turn.example.org"))
        );
        assert!(direct("192.0.2.1:3479", None) && !direct("192.0.2.1:3478", None));
        assert!(direct("[2001:db8::1]:3478", None) && !direct("[2001:db8::1]:443", None));
        assert!(direct("203.0.113.1:99", None) && direct("[::2]:1", None));
    }

    #[test]
    fn no_proxy_names_domains_addresses_and_networks() {
        let list = "example.org, .example.net,*.example.com, \
            192.0.2.1,198.51.100.0/24,[2001:db8::1],2001:db8:1::/48";
        let proxies = environment(&[("https_proxy", "http://p:1"), ("NO_PROXY", list)]).unwrap();
        for (address, name) in [
            ("203.0.113.1", Some("example.org")),
            ("203.0.113.1", Some("Turn.Example.Org.")),
            ("203.0.113.1", Some("a.b.example.net")),
            ("203.0.113.1", Some("a.example.com")),
            ("192.0.2.1", None),
            ("198.51.100.77", Some("other.test")),
            ("2001:db8::1", None),
            ("2001:db8:1::9", None),
        ] {
            assert_eq!(to(&proxies, address, name), None, "{address} {name:?}");
        }
        for (address, name) in [
            ("203.0.113.1", Some("badexample.org")),
            ("192.0.2.2", None),
            ("2001:db8::2", Some("example.de")),
        ] {
            assert!(to(&proxies, address, name).is_some(), "{address} {name:?}");
        }
        let mapped = environment(&[
            ("https_proxy", "http://p:1"),
            ("no_proxy", "::ffff:192.0.2.1,::ffff:10.0.0.0/104"),
        ])
        .unwrap();
        for address in ["192.0.2.1", "::ffff:192.0.2.1", "10.9.9.9"] {
            assert_eq!(to(&mapped, address, None), None, "H54: {address}");
        }
        let star = environment(&[("https_proxy", "http://p:1"), ("no_proxy", "*")]).unwrap();
        assert_eq!(to(&star, "192.0.2.1", None), None);
    }

    #[test]
    fn loopback_is_behind_a_proxy_only_if_it_was_named_for_every_server() {
        let named = Proxies::always("http://p:1".parse().unwrap());
        assert!(to(&named, "127.0.0.1", None).is_some());
        let told = named.except_loopback();
        assert_eq!((to(&told, "127.0.0.1", None), to(&told, "::1", None)), (None, None));
    }
}
