//! The `stun`, `stuns`, `turn` or `turns` URI of a server.

use std::fmt;
use std::str::FromStr;

use causeway_wire::Transport;

use super::error::UriError;
use super::host::Host;

/// The service that the URI names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    Stun,
    Turn,
}

/// `transport=` of a TURN URI. Together with the scheme it determines the [`Transport`] (RFC 5928
/// §3, table 1, and RFC 7350 §4.6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// UDP, or DTLS with `turns:`.
    Udp,
    /// TCP, or TLS with `turns:`.
    Tcp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        })
    }
}

/// A parsed URI. Its `Display` is the URI again, without defaults that it did not contain.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerUri {
    /// Whether the URI names a STUN or a TURN server.
    pub scheme: Scheme,
    /// Whether the scheme is `stuns` or `turns`: TLS or DTLS only.
    pub secure: bool,
    /// The host name or address.
    pub host: Host,
    /// The port, if the URI has one; otherwise it comes from DNS, or is the
    /// [default](Self::default_port).
    pub port: Option<u16>,
    /// `?transport=` of a TURN URI, if it has one.
    pub protocol: Option<Protocol>,
}

impl ServerUri {
    /// 3478, over TLS and DTLS 5349 (RFC 7064 §3.2, RFC 7065 §3.2, RFC 7350 §4.6.2).
    #[must_use]
    pub const fn default_port(transport: Transport) -> u16 {
        if transport.is_secure() { 5349 } else { 3478 }
    }

    /// The transport that the URI requires; `None` if the client may choose.
    #[must_use]
    pub const fn transport(&self) -> Option<Transport> {
        Some(match (self.secure, self.protocol) {
            (_, None) => return None,
            (false, Some(Protocol::Udp)) => Transport::Udp,
            (false, Some(Protocol::Tcp)) => Transport::Tcp,
            (true, Some(Protocol::Udp)) => Transport::Dtls,
            (true, Some(Protocol::Tcp)) => Transport::Tls,
        })
    }

    /// Registers the host name for redaction.
    pub fn learn(&self) {
        if let Some(name) = self.host.name() {
            crate::output::learn(crate::redact::Kind::Host, name);
        }
    }

    /// The scheme as text.
    #[must_use]
    pub const fn scheme_name(&self) -> &'static str {
        match (self.scheme, self.secure) {
            (Scheme::Stun, false) => "stun",
            (Scheme::Stun, true) => "stuns",
            (Scheme::Turn, false) => "turn",
            (Scheme::Turn, true) => "turns",
        }
    }
}

impl FromStr for ServerUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        // Checked first, since other errors repeat the text, which may contain a password here.
        if text.contains('@') {
            return Err(UriError::User);
        }
        let (scheme, rest) = text.split_once(':').ok_or_else(|| UriError::Scheme(text.into()))?;
        let (scheme, secure) = match scheme.to_ascii_lowercase().as_str() {
            "stun" => (Scheme::Stun, false),
            "stuns" => (Scheme::Stun, true),
            "turn" => (Scheme::Turn, false),
            "turns" => (Scheme::Turn, true),
            _ => return Err(UriError::Scheme(text.into())),
        };
        let (authority, query) = match rest.split_once('?') {
            Some((authority, query)) => (authority, Some(query)),
            None => (rest, None),
        };
        let protocol = match (scheme, query) {
            (_, None) => None,
            (Scheme::Stun, Some(query)) => return Err(UriError::StunQuery(query.into())),
            (Scheme::Turn, Some(query)) => Some(protocol(query, secure)?),
        };
        let (host, port) = host_and_port(authority)?;
        Ok(Self { scheme, secure, host, port, protocol })
    }
}

/// Parses the text after the question mark. `transport=` is a string of the grammar, so its case
/// does not matter.
fn protocol(query: &str, secure: bool) -> Result<Protocol, UriError> {
    let value = match query.split_at_checked("transport=".len()) {
        Some((key, value)) if key.eq_ignore_ascii_case("transport=") => value,
        _ => return Err(UriError::Query(query.into())),
    };
    let unreserved = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
    match value.to_ascii_lowercase().as_str() {
        "udp" => Ok(Protocol::Udp),
        "tcp" => Ok(Protocol::Tcp),
        // "The acceptable values for the transport name are extended with the addition of "dtls""
        // (RFC 7350 §4.6.2).
        "dtls" if secure => Ok(Protocol::Udp),
        // "If <transport> is defined but unknown, then the resolution MUST stop with an error" (RFC
        // 5928 §3).
        ext if !ext.is_empty() && ext.chars().all(unreserved) => {
            Err(UriError::Transport(value.into()))
        }
        _ => Err(UriError::Query(query.into())),
    }
}

/// Parses `host [ ":" port ]`. The port may be empty (RFC 3986 §3.2.3), which means no port.
fn host_and_port(authority: &str) -> Result<(Host, Option<u16>), UriError> {
    if authority.starts_with("//") {
        return Err(UriError::Slashes(authority.into()));
    }
    if authority.contains(['/', '#']) {
        return Err(UriError::Path(authority.into()));
    }
    let (host, port) = if let Some(bracketed) = authority.strip_prefix('[') {
        let literal = || UriError::Literal(authority.into());
        let (address, rest) = bracketed.split_once(']').ok_or_else(literal)?;
        let port = match rest.strip_prefix(':') {
            None if !rest.is_empty() => return Err(literal()),
            port => port,
        };
        (Host::literal(address)?, port)
    } else {
        if authority.bytes().filter(|b| *b == b':').count() > 1 {
            return Err(UriError::Brackets(authority.into()));
        }
        let (name, port) = match authority.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (authority, None),
        };
        if name.is_empty() {
            return Err(UriError::NoHost(authority.into()));
        }
        (name.parse()?, port)
    };
    let port = match port {
        None | Some("") => None,
        Some(digits) => match digits.parse::<u16>() {
            Ok(port) if port > 0 && digits.bytes().all(|b| b.is_ascii_digit()) => Some(port),
            _ => return Err(UriError::Port(digits.into())),
        },
    };
    Ok((host, port))
}

impl fmt::Display for ServerUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme_name(), self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        match self.protocol {
            Some(protocol) => write!(f, "?transport={protocol}"),
            None => Ok(()),
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
        assert_eq!(
            (uri.scheme, uri.secure, uri.host.name(), uri.port),
            (Scheme::Turn, false, Some("turn.example.org"), Some(3479))
        );
        assert_eq!(uri.transport(), Some(Transport::Tcp));
        for same in [
            "turn:turn.example.org:3479?transport=tcp",
            "turns:example.org",
            "turns:example.org?transport=udp",
            "stun:192.0.2.1",
            "stuns:example.org:443",
            "turn:[2001:db8::1]:3478",
            "turn:[2001:db8::1]?transport=udp",
        ] {
            assert_eq!(parse(same).unwrap().to_string(), same);
        }
    }

    #[test]
    fn rfc7065_a_the_examples_of_the_table() {
        for (text, secure, port, protocol) in [
            ("turn:example.org", false, None, None),
            ("turns:example.org", true, None, None),
            ("turn:example.org:8000", false, Some(8000), None),
            ("turn:example.org?transport=udp", false, None, Some(Protocol::Udp)),
            ("turn:example.org?transport=tcp", false, None, Some(Protocol::Tcp)),
            ("turns:example.org?transport=tcp", true, None, Some(Protocol::Tcp)),
        ] {
            let uri = parse(text).unwrap();
            assert_eq!(
                (uri.secure, uri.host.name(), uri.port, uri.protocol),
                (secure, Some("example.org"), port, protocol),
                "{text}"
            );
        }
    }

    #[test]
    fn rfc7350_4_6_2_the_transport_is_made_of_scheme_and_parameter() {
        for (text, transport) in [
            ("turn:h", None),
            ("turn:h?transport=udp", Some(Transport::Udp)),
            ("turn:h?transport=tcp", Some(Transport::Tcp)),
            ("turns:h?transport=tcp", Some(Transport::Tls)),
            ("turns:h?transport=udp", Some(Transport::Dtls)),
            ("turns:h?transport=dtls", Some(Transport::Dtls)),
        ] {
            assert_eq!(parse(text).unwrap().transport(), transport, "{text}");
        }
        assert_eq!(parse("turn:h?transport=dtls"), Err(UriError::Transport("dtls".into())));
    }

    #[test]
    fn rfc7064_3_2_the_default_ports() {
        assert_eq!(
            [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Dtls]
                .map(ServerUri::default_port),
            [3478, 3478, 5349, 5349]
        );
    }

    #[test]
    fn rfc7065_3_1_case_matters_nowhere() {
        let uri = parse("TURNS:Example.ORG?Transport=TCP").unwrap();
        assert_eq!(uri.to_string(), "turns:example.org?transport=tcp");
    }

    #[test]
    fn rfc7065_3_1_a_port_may_be_empty() {
        assert_eq!(parse("turn:h:").unwrap(), parse("turn:h").unwrap());
        assert_eq!(parse("turn:[::1]:").unwrap().port, None);
        assert_eq!(parse("turn:h:03478").unwrap().port, Some(3478));
    }

    #[test]
    fn rfc7065_3_1_percent_encoded_names() {
        assert_eq!(parse("turn:ex%61mple.org").unwrap().host.name(), Some("example.org"));
        assert_eq!(
            parse("turn:b%C3%BCcher.example").unwrap().host.name(),
            Some("xn--bcher-kva.example")
        );
        for bad in ["turn:ex%6", "turn:ex%zz", "turn:%FF.example"] {
            assert!(matches!(parse(bad), Err(UriError::Encoding(_))), "{bad}");
        }
        // An encoded separator is part of the name, and no valid name contains one.
        assert!(matches!(parse("turn:h%3A80"), Err(UriError::Host(_))));
    }

    #[test]
    fn rfc6874_2_a_link_local_server_has_a_zone() {
        let uri = parse("turn:[fe80::1%1]:3479?transport=tcp").unwrap();
        assert_eq!(uri.to_string(), "turn:[fe80::1%251]:3479?transport=tcp");
        assert_eq!(parse(&uri.to_string()).unwrap(), uri);
        assert_eq!(uri.host.ip(), Some("fe80::1".parse().unwrap()));
        let address = uri.host.in_zone("[fe80::1]:3479".parse().unwrap());
        assert_eq!(address.to_string(), "[fe80::1%1]:3479");
    }

    #[test]
    fn names_and_literals() {
        assert_eq!(parse("stun:192.0.2.1").unwrap().host, Host::Ip("192.0.2.1".parse().unwrap()));
        assert_eq!(
            parse("stun:[::FFFF:192.0.2.1]").unwrap().host.ip(),
            Some("192.0.2.1".parse().unwrap())
        );
        assert_eq!(parse("stun:example.org.").unwrap().host.name(), Some("example.org."));
        assert_eq!(parse("stun:my_host").unwrap().host.name(), Some("my_host"));
    }

    #[test]
    fn what_is_no_uri_of_a_server_is_refused_by_part() {
        type Is = fn(&UriError) -> bool;
        let long = format!("turn:{}.example", "a".repeat(64));
        let cases: &[(&str, Is)] = &[
            ("example.org", |e| matches!(e, UriError::Scheme(_))),
            ("http:example.org", |e| matches!(e, UriError::Scheme(_))),
            (":example.org", |e| matches!(e, UriError::Scheme(_))),
            ("turn://host", |e| matches!(e, UriError::Slashes(_))),
            ("turn:user@host", |e| matches!(e, UriError::User)),
            ("turn:", |e| matches!(e, UriError::NoHost(_))),
            ("turn::3478", |e| matches!(e, UriError::NoHost(_))),
            ("turn:?transport=udp", |e| matches!(e, UriError::NoHost(_))),
            ("turn:[]", |e| matches!(e, UriError::Literal(_))),
            ("turn:[::1", |e| matches!(e, UriError::Literal(_))),
            ("turn:[::1]x", |e| matches!(e, UriError::Literal(_))),
            ("turn:[192.0.2.1]", |e| matches!(e, UriError::Literal(_))),
            ("turn:[fe80::1%25no-such-interface]", |e| matches!(e, UriError::Zone { .. })),
            ("turn:[2001:db8::1%251]", |e| matches!(e, UriError::Zone { .. })),
            ("turn:[v1.x]", |e| matches!(e, UriError::Literal(_))),
            ("turn:2001:db8::1", |e| matches!(e, UriError::Brackets(_))),
            ("turn:a b", |e| matches!(e, UriError::Host(_))),
            ("turn:a..b", |e| matches!(e, UriError::Host(_))),
            ("turn:-a.example", |e| matches!(e, UriError::Host(_))),
            ("turn:192.0.2", |e| matches!(e, UriError::Host(_))),
            ("turn:192.0.2.256", |e| matches!(e, UriError::Host(_))),
            ("turn:host!", |e| matches!(e, UriError::Host(_))),
            (&long, |e| matches!(e, UriError::Host(_))),
            ("turn:h:0", |e| matches!(e, UriError::Port(_))),
            ("turn:h:65536", |e| matches!(e, UriError::Port(_))),
            ("turn:h:+80", |e| matches!(e, UriError::Port(_))),
            ("turn:h:80/path", |e| matches!(e, UriError::Path(_))),
            ("turn:h#f", |e| matches!(e, UriError::Path(_))),
            ("stun:h?transport=udp", |e| matches!(e, UriError::StunQuery(_))),
            ("turn:h?transport=sctp", |e| matches!(e, UriError::Transport(_))),
            ("turn:h?transport=", |e| matches!(e, UriError::Query(_))),
            ("turn:h?", |e| matches!(e, UriError::Query(_))),
            ("turn:h?x=udp", |e| matches!(e, UriError::Query(_))),
            ("turn:h?transport=udp&x", |e| matches!(e, UriError::Query(_))),
        ];
        for (text, is) in cases {
            let error = parse(text).expect_err(text);
            assert!(is(&error), "{text}: {error}");
        }
    }
}
