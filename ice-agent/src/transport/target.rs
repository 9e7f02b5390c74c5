//! One address of one server, and how to reach it.

use std::fmt;
use std::net::SocketAddr;

use causeway_client::TurnConfig;

use super::proxy::HttpProxy;
use crate::credentials::Credentials;

/// The transport between this host and a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
    /// A stream under TLS 1.2 or 1.3.
    Tls,
    /// Datagrams under DTLS 1.2.
    Dtls,
}

impl Transport {
    /// Whether the server shows a certificate.
    #[must_use]
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Dtls)
    }

    /// The client's view of the transport: whether requests are retransmitted and frames padded.
    #[must_use]
    pub const fn for_client(self) -> causeway_client::Transport {
        match self {
            Self::Udp | Self::Dtls => causeway_client::Transport::Udp,
            Self::Tcp | Self::Tls => causeway_client::Transport::Tcp,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Dtls => "dtls",
        })
    }
}

/// One address of one server, and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The transport to the server.
    pub transport: Transport,
    /// The server's address.
    pub address: SocketAddr,
    /// The name that the certificate must have and that SNI sends: the URI's host, or
    /// ALTERNATE-DOMAIN (RFC 8489 §10). Without a name, the address. Not used over UDP and TCP.
    pub server_name: Option<String>,
    /// The proxy for connections; not used over UDP and DTLS.
    pub proxy: Option<HttpProxy>,
}

impl Target {
    /// A target without a name and without a proxy.
    #[must_use]
    pub const fn direct(transport: Transport, address: SocketAddr) -> Self {
        Self { transport, address, server_name: None, proxy: None }
    }

    /// The configuration of an ordinary allocation at this server.
    #[must_use]
    pub fn turn_config(&self, credentials: Option<&Credentials>) -> TurnConfig {
        TurnConfig::new(
            self.address,
            self.transport.for_client(),
            credentials.map(Credentials::for_client),
        )
    }
}
