use std::fmt;
use std::net::SocketAddr;

use super::order::Families;
use crate::transport::target::Transport;

/// One server as DNS names it: its addresses are the same service, and the first that answers is as
/// good as any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// How it is spoken to.
    pub transport: Transport,
    /// Where, in the order in which to try (RFC 8305 §4); never empty.
    pub addresses: Vec<SocketAddr>,
    /// What led there, for people: `SRV _turns._tcp.example.org → t1.example.org`; `None` if the
    /// URI itself has the address.
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

/// What a URI leads to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovered {
    /// One after the other to be tried; never empty.
    pub endpoints: Vec<Endpoint>,
    /// What could not be found out, and was gone on without; sentences for people.
    pub notes: Vec<String>,
    /// The family of addresses that was not waited for (RFC 8305 §3): what is left to try when
    /// none of these serves.
    pub late: Option<Families>,
}

impl Discovered {
    /// Every address with its transport, one after the other.
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
