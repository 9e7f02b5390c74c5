//! The host of a server's URI: an address, perhaps with a zone, or a name.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::str::FromStr;

use hickory_resolver::proto::rr::Name;

use super::error::UriError;
use super::percent::percent_decoded;
use super::zone::{Zone, zoned};

/// Maximum length of a host name in DNS, in bytes.
const MAX_NAME: usize = 253;

/// The host of a URI: an address, or a name to resolve.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    Ip(IpAddr),
    /// A link-local address literal with its zone, which is valid on this host only.
    Zoned(Ipv6Addr, Zone),
    /// A name in lower-case ASCII; a name in another script as its A-labels (RFC 3986 §3.2.2 leads
    /// to IDNA).
    Name(String),
}

impl Host {
    /// The address, if the host is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(*ip),
            Self::Zoned(ip, _) => Some((*ip).into()),
            Self::Name(_) => None,
        }
    }

    /// The name, if the host is one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Ip(_) | Self::Zoned(..) => None,
            Self::Name(name) => Some(name),
        }
    }

    /// Adds the URI's zone, if it has one, to a socket address of this host.
    #[must_use]
    pub fn in_zone(&self, address: SocketAddr) -> SocketAddr {
        match (self, address) {
            (Self::Zoned(_, zone), SocketAddr::V6(address)) => {
                SocketAddrV6::new(*address.ip(), address.port(), 0, zone.index()).into()
            }
            _ => address,
        }
    }

    /// Parses the text between brackets. An IPv4-mapped address becomes the IPv4 address (H54).
    pub(super) fn literal(text: &str) -> Result<Self, UriError> {
        if text.contains('%') {
            let read = zoned(text).map(|(ip, zone)| Self::Zoned(ip, zone));
            return read.map_err(|reason| UriError::Zone { text: text.into(), reason });
        }
        text.parse::<Ipv6Addr>()
            .map(|ip| Self::Ip(ip.to_canonical()))
            .map_err(|_| UriError::Literal(format!("[{text}]")))
    }
}

/// `reg-name` or `IPv4address`: "If host matches the rule for IPv4address, then it should be
/// considered an IPv4 address literal and not a reg-name" (RFC 3986 §3.2.2).
impl FromStr for Host {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let bad = || UriError::Host(text.into());
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Ip(ip.into()));
        }
        let encoding = || UriError::Encoding(text.into());
        let decoded = percent_decoded(text).ok_or_else(encoding)?.to_string();
        let name = if decoded.is_ascii() {
            decoded
        } else {
            // Letters outside ASCII are not in the grammar without percent-encoding, but mean the
            // same.
            Name::from_utf8(&decoded).map_err(|_| bad())?.to_ascii()
        };
        let name = name.to_ascii_lowercase();
        let labels = name.strip_suffix('.').unwrap_or(&name);
        let named = |label: &str| {
            let letters =
                label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
            (1..=63).contains(&label.len())
                && letters
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // "1.2.3" and "10" are mistyped addresses, not names: no top-level domain is a number.
        let numeric =
            labels.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        if labels.len() > MAX_NAME || !labels.split('.').all(named) || numeric {
            return Err(bad());
        }
        Ok(Self::Name(name))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            // Deviation: RFC 7065 §3.1: the grammar has no zones; this is the form of RFC 6874 §2.
            Self::Zoned(ip, zone) => write!(f, "[{ip}%25{}]", zone.name()),
            Self::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}
