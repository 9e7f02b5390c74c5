//! Which server, how it is reached, and through what.

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

    /// What the sans-IO client needs to know of it: whether requests are repeated and frames
    /// padded.
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

/// One address of one server, and the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// How it is reached.
    pub transport: Transport,
    /// Where it is.
    pub address: SocketAddr,
    /// The name that its certificate must have and that SNI asks for: the host of the URI, or
    /// ALTERNATE-DOMAIN (RFC 8489 §10). The address without. Not used over UDP and TCP.
    pub server_name: Option<String>,
    /// Connections go through it; not used over UDP and DTLS.
    pub proxy: Option<HttpProxy>,
}

impl Target {
    /// The way without a name and a proxy.
    #[must_use]
    pub const fn direct(transport: Transport, address: SocketAddr) -> Self {
        Self { transport, address, server_name: None, proxy: None }
    }

    /// The usual allocation at this server.
    #[must_use]
    pub fn turn_config(&self, credentials: Option<&Credentials>) -> TurnConfig {
        TurnConfig::new(
            self.address,
            self.transport.for_client(),
            credentials.map(Credentials::for_client),
        )
    }
}
