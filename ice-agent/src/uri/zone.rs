//! Link-local addresses with their zone: `fe80::1%eth0` (RFC 4007 §11).

use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};

/// A zone of this host: an interface's name or number, and the system's index for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Zone {
    name: String,
    index: u32,
}

impl Zone {
    /// The text after the percent sign.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The scope id for socket addresses.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }
}

/// Parses `ADDRESS%ZONE`. In a URI the percent sign is written as `%25` (RFC 6874 §2), but a plain
/// one is accepted too (RFC 6874 §3).
///
/// # Errors
/// The reason, without the text.
pub fn zoned(text: &str) -> Result<(Ipv6Addr, Zone), &'static str> {
    let (address, zone) = text.split_once('%').ok_or("the zone is missing")?;
    let zone = zone.strip_prefix("25").filter(|name| !name.is_empty()).unwrap_or(zone);
    let ip: Ipv6Addr = address.parse().map_err(|_| "the text before `%` is not an IPv6 address")?;
    if !ip.is_unicast_link_local() {
        return Err("only link-local addresses (fe80::/10) have a zone");
    }
    let is_unreserved =
        |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'.' | b'_' | b'~');
    if zone.is_empty() || !zone.bytes().all(is_unreserved) {
        return Err("the zone is not the name of an interface");
    }
    // The system resolves an address with a zone from its interfaces, without DNS.
    let resolved =
        (format!("{ip}%{zone}"), 0).to_socket_addrs().ok().and_then(|mut found| found.next());
    match resolved {
        Some(SocketAddr::V6(address)) if address.scope_id() > 0 => {
            Ok((ip, Zone { name: zone.to_owned(), index: address.scope_id() }))
        }
        _ => Err("this host has no such interface"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6874_2_a_zone_is_read_in_both_ways_of_writing() {
        // The loopback interface has a number on every system; its name differs.
        for text in ["fe80::1%1", "fe80::1%251"] {
            let (ip, zone) = zoned(text).unwrap();
            assert_eq!(
                (ip.to_string().as_str(), zone.name(), zone.index()),
                ("fe80::1", "1", 1),
                "{text}"
            );
        }
        #[cfg(target_os = "linux")]
        assert_eq!(zoned("fe80::1%25lo").unwrap().1, Zone { name: "lo".into(), index: 1 });
    }

    #[test]
    fn what_is_no_zone_of_this_host_is_refused() {
        for (text, reason) in [
            ("fe80::1", "zone is missing"),
            ("fe80::1%", "not the name"),
            ("fe80::1%a/b", "not the name"),
            ("fe80::1%25no-such-interface", "no such interface"),
            ("2001:db8::1%lo", "only link-local"),
            ("192.0.2.1%lo", "not an IPv6"),
        ] {
            let error = zoned(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
