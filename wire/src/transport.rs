//! The transport protocol between a client and a server, in one type for the whole workspace.

use std::fmt;
use std::str::FromStr;

/// The transport protocol between a client and a server (RFC 8489 §6.2, RFC 8656 §3.1).
///
/// Written and parsed as `udp`, `tcp`, `tls` or `dtls`; with the feature `serde`, serialized the
/// same way. `as usize` numbers the transports in the order of [`Transport::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// UDP: one message in each datagram.
    Udp,
    /// TCP: messages follow each other on a connection.
    Tcp,
    /// TLS over TCP: a connection, encrypted.
    Tls,
    /// DTLS over UDP: datagrams, encrypted.
    Dtls,
}

/// The error of parsing a [`Transport`] from a name that is not one of the four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownTransport;

impl Transport {
    /// All transports, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Udp, Self::Tcp, Self::Tls, Self::Dtls];

    /// The names of [`Transport::ALL`], in the same order.
    pub const NAMES: [&str; 4] =
        [Self::Udp.name(), Self::Tcp.name(), Self::Tls.name(), Self::Dtls.name()];

    /// Whether messages follow each other on a connection (TCP and TLS): requests are sent once
    /// (RFC 8489 §6.2.2) and ChannelData is padded (RFC 8656 §12.5).
    #[inline]
    #[must_use]
    pub const fn is_stream(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }

    /// Whether messages are encrypted and the server shows a certificate (TLS and DTLS).
    #[inline]
    #[must_use]
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Dtls)
    }

    /// The name in configuration files, URIs, metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Dtls => "dtls",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Transport {
    type Err = UnknownTransport;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|transport| transport.name() == name).ok_or(UnknownTransport)
    }
}

impl fmt::Display for UnknownTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown transport; the transports are udp, tcp, tls and dtls")
    }
}

impl std::error::Error for UnknownTransport {}

#[cfg(feature = "serde")]
mod serialization {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::{Serialize, Serializer};

    use super::Transport;

    impl Serialize for Transport {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str(self.name())
        }
    }

    impl<'de> Deserialize<'de> for Transport {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let name = String::deserialize(deserializer)?;
            name.parse().map_err(|_| D::Error::unknown_variant(&name, &Self::NAMES))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_numbers_and_parsing_agree() {
        for (number, transport) in Transport::ALL.into_iter().enumerate() {
            assert_eq!(transport as usize, number);
            assert_eq!(Transport::NAMES[number], transport.to_string());
            assert_eq!(transport.name().parse(), Ok(transport));
        }
        assert_eq!("UDP".parse::<Transport>(), Err(UnknownTransport));
        assert_eq!(size_of::<Transport>(), 1);
    }
}
