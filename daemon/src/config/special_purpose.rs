//! Address ranges without a meaning on the public Internet.

use std::net::IpAddr;
use std::sync::LazyLock;

use ipnet::IpNet;

/// From the IANA special-purpose registries, without the documentation ranges: in examples and labs
/// they stand for public addresses, and no other host can bind them.
const RANGES: [(&str, &str); 19] = [
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "carrier-grade NAT"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "protocol assignments"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "benchmarking"),
    ("240.0.0.0/4", "reserved"),
    ("::1/128", "loopback"),
    ("64:ff9b:1::/48", "local translation"),
    ("100::/64", "discard"),
    ("2001::/32", "Teredo"),
    ("2002::/16", "6to4"),
    ("5f00::/16", "segment routing"),
    ("fc00::/7", "unique local"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
];

static NETWORKS: LazyLock<Vec<(IpNet, &str)>> = LazyLock::new(|| {
    let parse = |&(text, name): &(&str, &'static str)| {
        (text.parse().expect("the table holds networks"), name)
    };
    RANGES.iter().map(parse).collect()
});

/// The name of the special-purpose range that `ip` lies in.
pub fn name(ip: IpAddr) -> Option<&'static str> {
    NETWORKS.iter().find(|(network, _)| network.contains(&ip)).map(|(_, name)| *name)
}
