//! Servers as users name them: the `stun` and `turn` URIs (RFC 7064 §3.1, RFC 7065 §3.1).

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// The port of both schemes when the URI names none (RFC 7064 §3.2, RFC 7065 §3.2).
pub const DEFAULT_PORT: u16 = 3478;

/// Longest host name in octets, as DNS limits it.
const MAX_HOST: usize = 253;

/// Which service is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// STUN Binding.
    Stun,
    /// TURN.
    Turn,
}

/// The transport between this host and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        })
    }
}

/// A parsed `stun:` or `turn:` URI; its `Display` is the URI again, with every part written out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerUri {
    /// STUN or TURN.
    pub scheme: Scheme,
    /// A host name or an address, without brackets.
    pub host: String,
    /// The port, [`DEFAULT_PORT`] if the URI named none.
    pub port: u16,
    /// `?transport=` of a TURN URI; UDP otherwise.
    pub transport: Transport,
}

/// Why a text is not the URI of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Another scheme, or none.
    #[error("{0:?} starts with neither `stun:` nor `turn:`")]
    Scheme(String),
    /// `stuns` and `turns`.
    #[error("`{0}:` needs TLS, which this version does not speak; use `stun:` or `turn:`")]
    Secure(String),
    /// The host is missing, too long or has characters that no host has.
    #[error("{0:?} is no host name or address (an IPv6 address stands in brackets)")]
    Host(String),
    /// The port is no number from 1 to 65535.
    #[error("{0:?} is no port")]
    Port(String),
    /// A query other than `transport=udp` or `transport=tcp`, or a query on a `stun:` URI.
    #[error("{0:?} is not understood; a turn: URI may end in `?transport=udp` or `?transport=tcp`")]
    Query(String),
}

impl ServerUri {
    /// Resolves the host: every address that it has, in the resolver's order.
    ///
    /// # Errors
    /// The resolver's error, or `NotFound` if it has no answer.
    pub async fn resolve(&self) -> std::io::Result<Vec<SocketAddr>> {
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((self.host.as_str(), self.port)).await?.collect();
        if addresses.is_empty() {
            return Err(std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(addresses)
    }
}

impl FromStr for ServerUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let (scheme, rest) = text.split_once(':').ok_or_else(|| UriError::Scheme(text.into()))?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "stun" => Scheme::Stun,
            "turn" => Scheme::Turn,
            "stuns" | "turns" => return Err(UriError::Secure(scheme.into())),
            _ => return Err(UriError::Scheme(text.into())),
        };
        let (authority, query) = match rest.split_once('?') {
            Some((authority, query)) => (authority, Some(query)),
            None => (rest, None),
        };
        let transport = match (scheme, query.map(str::to_ascii_lowercase).as_deref()) {
            (_, None) | (Scheme::Turn, Some("transport=udp")) => Transport::Udp,
            (Scheme::Turn, Some("transport=tcp")) => Transport::Tcp,
            (_, Some(_)) => return Err(UriError::Query(query.unwrap_or_default().into())),
        };
        let (host, port) = split_authority(authority)?;
        Ok(Self { scheme, host: host.into(), port, transport })
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split_authority(authority: &str) -> Result<(&str, u16), UriError> {
    let bad_host = || UriError::Host(authority.into());
    let (host, port) = if let Some(bracketed) = authority.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']').ok_or_else(bad_host)?;
        host.parse::<Ipv6Addr>().map_err(|_| bad_host())?;
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port),
            None if rest.is_empty() => None,
            None => return Err(bad_host()),
        };
        (host, port)
    } else {
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if host.is_empty() || host.len() > MAX_HOST || !host.chars().all(named) {
            return Err(bad_host());
        }
        (host, port)
    };
    let port = match port {
        None => DEFAULT_PORT,
        Some(digits) => match digits.parse::<u16>() {
            Ok(port) if port > 0 && digits.bytes().all(|b| b.is_ascii_digit()) => port,
            _ => return Err(UriError::Port(digits.into())),
        },
    };
    Ok((host, port))
}

impl fmt::Display for ServerUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Stun => "stun",
            Scheme::Turn => "turn",
        };
        if self.host.contains(':') {
            write!(f, "{scheme}:[{}]:{}", self.host, self.port)?;
        } else {
            write!(f, "{scheme}:{}:{}", self.host, self.port)?;
        }
        match self.scheme {
            Scheme::Stun => Ok(()),
            Scheme::Turn => write!(f, "?transport={}", self.transport),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ServerUri, UriError> {
        text.parse()
    }

    #[test]
    fn rfc7065_3_1_every_part_is_read_and_written_back() {
        let uri = parse("turn:turn.example.org:3479?transport=tcp").unwrap();
        assert_eq!((uri.scheme, uri.host.as_str(), uri.port), (Scheme::Turn, "turn.example.org", 3479));
        assert_eq!(uri.transport, Transport::Tcp);
        assert_eq!(uri.to_string(), "turn:turn.example.org:3479?transport=tcp");
        assert_eq!(parse("TURN:h?transport=UDP").unwrap().to_string(), "turn:h:3478?transport=udp");
    }

    #[test]
    fn rfc7064_3_2_the_default_port_is_3478() {
        assert_eq!(parse("stun:192.0.2.1").unwrap().port, 3478);
        assert_eq!(parse("turn:[2001:db8::1]").unwrap().to_string(), "turn:[2001:db8::1]:3478?transport=udp");
    }

    #[test]
    fn what_is_no_uri_of_a_server_is_refused_by_part() {
        assert!(matches!(parse("example.org"), Err(UriError::Scheme(_))));
        assert!(matches!(parse("http:example.org"), Err(UriError::Scheme(_))));
        assert!(matches!(parse("turns:example.org"), Err(UriError::Secure(_))));
        for host in ["turn:", "turn::3478", "turn:a b", "turn://host", "turn:[::1", "turn:[::1]x", "turn:user@host"] {
            assert!(matches!(parse(host), Err(UriError::Host(_))), "{host}");
        }
        for port in ["turn:h:", "turn:h:0", "turn:h:65536", "turn:h:+80", "turn:::1"] {
            assert!(parse(port).is_err(), "{port}");
        }
        assert!(matches!(parse("stun:h?transport=udp"), Err(UriError::Query(_))));
        assert!(matches!(parse("turn:h?transport=sctp"), Err(UriError::Query(_))));
    }

    #[tokio::test]
    async fn an_address_resolves_to_itself() {
        let addresses = parse("stun:127.0.0.1:7").unwrap().resolve().await.unwrap();
        assert_eq!(addresses, ["127.0.0.1:7".parse().unwrap()]);
    }
}
