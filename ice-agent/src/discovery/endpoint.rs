//! The result of discovery: endpoints, each with a transport and addresses.

use std::fmt;
use std::net::SocketAddr;

use causeway_wire::Transport;

use super::order::Families;

/// One server as DNS names it. All its addresses offer the same service, so the first that answers
/// is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The transport to the server.
    pub transport: Transport,
    /// The addresses in the order in which to try them (RFC 8305 §4); never empty.
    pub addresses: Vec<SocketAddr>,
    /// The records that led here, for the report: `SRV _turns._tcp.example.org → t1.example.org`;
    /// `None` if the URI itself has the address.
    pub via: Option<String>,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.transport)?;
        if let Some(via) = &self.via {
            write!(f, " via {via}")?;
        }
        f.write_str(" → ")?;
        for (at, address) in self.addresses.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{address}")?;
        }
        Ok(())
    }
}

/// The result of resolving a URI.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovered {
    /// The endpoints in the order in which to try them; never empty.
    pub endpoints: Vec<Endpoint>,
    /// Notes about failed queries and unused records, in sentences.
    pub notes: Vec<String>,
    /// The family whose answer was late (RFC 8305 §3), to try if none of these addresses works.
    pub late: Option<Families>,
}

impl Discovered {
    /// Every address with its transport, in the order in which to try them.
    pub fn attempts(&self) -> impl Iterator<Item = (Transport, SocketAddr)> {
        self.endpoints.iter().flat_map(|endpoint| {
            endpoint.addresses.iter().map(|address| (endpoint.transport, *address))
        })
    }
}

impl fmt::Display for Discovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, endpoint) in self.endpoints.iter().enumerate() {
            let separator = if at > 0 { "; " } else { "" };
            write!(f, "{separator}{endpoint}")?;
        }
        Ok(())
    }
}
