//! Address ranges without a meaning on the public Internet.

use std::net::IpAddr;
use std::sync::LazyLock;

use causeway_wire::{Purpose, SPECIAL_PURPOSE};
use ipnet::IpNet;

/// Documentation ranges are not among them: in examples and labs they stand for public addresses,
/// and no other host can bind them.
static NETWORKS: LazyLock<Vec<(IpNet, &str)>> = LazyLock::new(|| {
    let ranges = SPECIAL_PURPOSE.iter().filter(|range| range.purpose == Purpose::NotPublic);
    let parse = |network: &str| network.parse().expect("the table holds networks");
    ranges.map(|range| (parse(range.network), range.name)).collect()
});

/// The name of the special-purpose range that `ip` lies in.
pub fn name(ip: IpAddr) -> Option<&'static str> {
    NETWORKS.iter().find(|(network, _)| network.contains(&ip)).map(|(_, name)| *name)
}
