//! One address of one server, and how to reach it.

use std::net::SocketAddr;

use causeway_client::TurnConfig;
use causeway_wire::Transport;

use super::proxy::HttpProxy;
use crate::credentials::Credentials;

/// One address of one server, and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The transport to the server.
    pub transport: Transport,
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
        TurnConfig::new(self.address, self.transport, credentials.map(Credentials::for_client))
    }
}
