//! Addresses and prefixes in the configuration: each has one form (H54).

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};
use serde::de::{Deserialize, Deserializer, Error};

use super::error::Problem;

/// Length of the prefix of IPv4-mapped addresses.
const MAPPED_PREFIX: u8 = 96;

/// Reads a prefix, or an address, which is a prefix of full length.
///
/// # Errors
/// The text is not a prefix, has bits after the prefix, or is an IPv4 prefix in IPv4-mapped form,
/// which no client's or peer's address would match. The error says what to write instead.
pub fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let network = parsed.map_err(|_| {
        format!("expected an address or a prefix such as \"10.1.2.0/24\", found {text:?}")
    })?;
    if let Some(unmapped) = unmapped(network) {
        return Err(format!(
            "found {text:?}, an IPv4 prefix in IPv6 form; write {}",
            short(unmapped.trunc())
        ));
    }
    if network.trunc() != network {
        return Err(format!(
            "found {text:?}, whose address has bits after the prefix; write {}",
            network.trunc()
        ));
    }
    Ok(network)
}

/// Reads a list of prefixes, each as [`network`] does; for `#[serde(deserialize_with)]`.
///
/// # Errors
/// As [`network`].
pub fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    Vec::<String>::deserialize(deserializer)?
        .iter()
        .map(|text| network(text).map_err(D::Error::custom))
        .collect()
}

/// Refuses an IPv4 address that is written as IPv6: it would never equal an address of a client.
pub fn mapped_problem(key: &str, ip: IpAddr) -> Option<Problem> {
    let canonical = ip.to_canonical();
    (ip != canonical).then(|| {
        Problem::new(key, format!("{ip} is an IPv4 address in IPv6 form"))
            .hint(format!("write {canonical}"))
    })
}

/// The IPv4 prefix that an IPv6 prefix stands for, if it contains IPv4-mapped addresses only.
fn unmapped(network: IpNet) -> Option<IpNet> {
    let IpNet::V6(network) = network else { return None };
    let length = network.prefix_len().checked_sub(MAPPED_PREFIX)?;
    let ip = Ipv6Addr::to_ipv4_mapped(&network.addr())?;
    Ipv4Net::new(ip, length).ok().map(IpNet::V4)
}

/// The text of a prefix; of an address, if it has the full length.
fn short(network: IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h54_an_ipv4_prefix_in_ipv6_form_is_refused_with_what_to_write() {
        for (text, write) in [
            ("::ffff:10.0.0.0/104", "write 10.0.0.0/8"),
            ("::ffff:10.1.2.3/104", "write 10.0.0.0/8"),
            ("::ffff:0:0/96", "write 0.0.0.0/0"),
            ("::ffff:192.0.2.7", "write 192.0.2.7"),
            ("::FFFF:c000:0207/128", "write 192.0.2.7"),
            ("10.1.2.3/8", "write 10.0.0.0/8"),
            ("2001:db8::1/32", "write 2001:db8::/32"),
        ] {
            let error = network(text).unwrap_err();
            assert!(error.ends_with(write), "{text}: {error}");
        }
    }

    #[test]
    fn a_prefix_in_its_one_form_is_read() {
        for text in ["10.0.0.0/8", "2001:db8::/32", "::/0", "::/64", "64:ff9b::/96", "0.0.0.0/0"] {
            assert_eq!(network(text).unwrap().to_string(), text);
        }
        assert_eq!(network("192.0.2.7").unwrap().to_string(), "192.0.2.7/32");
        assert!(network("10.0.0.0/33").unwrap_err().contains("10.1.2.0/24"));
    }
}
