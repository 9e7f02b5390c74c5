//! Redaction of addresses in logs.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;

use ipnet::{Ipv4Net, Ipv6Net};
use serde::Deserialize;

/// The values of `log.redact`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RedactKind {
    /// Whole addresses.
    None,
    /// The /24 or the /48 of the address.
    Prefix,
    /// A keyed hash: one address has one word until the process ends, and the word does not reveal
    /// it.
    Hash,
}

impl RedactKind {
    /// The redaction of this kind, with a new key where it needs one.
    pub fn redaction(self) -> Redaction {
        match self {
            RedactKind::None => Redaction::None,
            RedactKind::Prefix => Redaction::Prefix,
            RedactKind::Hash => Redaction::Hash(RandomState::new()),
        }
    }
}

/// A [`RedactKind`] with its key.
#[derive(Clone, Debug, Default)]
pub enum Redaction {
    /// Whole addresses.
    #[default]
    None,
    /// The /24 or /48 of the address.
    Prefix,
    /// SipHash under a random key of this process.
    Hash(RandomState),
}

static INSTALLED: OnceLock<Redaction> = OnceLock::new();

pub(super) fn install(redaction: Redaction) {
    // A second start of the log fails before it reaches this line: the first setting stays.
    let _ = INSTALLED.set(redaction);
}

impl Redaction {
    /// Wraps `address` so that it is displayed with this redaction.
    pub fn show<A>(&self, address: A) -> Redacted<'_, A> {
        Redacted { redaction: self, address }
    }

    fn fmt_ip(&self, ip: IpAddr, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, ip.to_canonical()) {
            (Redaction::None, _) => write!(f, "{ip}"),
            (Redaction::Prefix, IpAddr::V4(ip)) => {
                write!(f, "{}", Ipv4Net::new_assert(ip, 24).trunc())
            }
            (Redaction::Prefix, IpAddr::V6(ip)) => {
                write!(f, "{}", Ipv6Net::new_assert(ip, 48).trunc())
            }
            (Redaction::Hash(key), ip) => write!(f, "#{:016x}", key.hash_one(ip)),
        }
    }
}

/// An address that is displayed with a redaction.
#[derive(Clone, Copy, Debug)]
pub struct Redacted<'a, A> {
    redaction: &'a Redaction,
    address: A,
}

/// Wraps `address` so that it is displayed with the redaction of the log: `%redacted(client)`.
pub fn redacted<A>(address: A) -> Redacted<'static, A> {
    static NONE: Redaction = Redaction::None;
    INSTALLED.get().unwrap_or(&NONE).show(address)
}

impl fmt::Display for Redacted<'_, IpAddr> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.redaction.fmt_ip(self.address, f)
    }
}

impl fmt::Display for Redacted<'_, SocketAddr> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Redaction::None = self.redaction {
            return write!(f, "{}", self.address);
        }
        self.redaction.fmt_ip(self.address.ip(), f)?;
        write!(f, " port {}", self.address.port())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(kind: RedactKind, address: &str) -> String {
        kind.redaction().show(address.parse::<SocketAddr>().unwrap()).to_string()
    }

    #[test]
    fn h42_addresses_can_be_truncated() {
        assert_eq!(shown(RedactKind::None, "203.0.113.77:5000"), "203.0.113.77:5000");
        assert_eq!(shown(RedactKind::Prefix, "203.0.113.77:5000"), "203.0.113.0/24 port 5000");
        assert_eq!(
            shown(RedactKind::Prefix, "[2001:db8:1:2::3]:5000"),
            "2001:db8:1::/48 port 5000"
        );
        assert_eq!(shown(RedactKind::Prefix, "[::ffff:203.0.113.77]:1"), "203.0.113.0/24 port 1");
    }

    #[test]
    fn h42_hashes_are_stable_within_a_process_and_differ_between_keys() {
        let ip: IpAddr = "203.0.113.77".parse().unwrap();
        let redaction = RedactKind::Hash.redaction();
        let hash = redaction.show(ip).to_string();
        assert_eq!(hash, redaction.show(ip).to_string());
        assert!(hash.starts_with('#') && hash.len() == 17 && !hash.contains("203"), "{hash}");
        assert_ne!(hash, RedactKind::Hash.redaction().show(ip).to_string());
        assert_ne!(hash, redaction.show("203.0.113.78".parse::<IpAddr>().unwrap()).to_string());
    }
}
