//! `ice-agent nat` at a site: what it says of the NAT in front of it.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

use crate::{Filtering, LabError, Mapping, NatKind, Process, Site, binary};

/// How long each test waits in vain; datagrams cross the lab in microseconds, but the machine may be busy.
const TEST_TIMEOUT: &str = "1.5";
const END: Duration = Duration::from_secs(60);

/// What the lab reads of `ice-agent nat --json`. `None` where it says `unknown` or `null`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Recognition {
    /// The classic name, as RFC 3489 has it.
    pub classic: String,
    /// The mapping's name.
    pub mapping: String,
    /// The filter's name.
    pub filtering: String,
    /// Whether addresses are translated.
    pub nat: Option<bool>,
    /// The host's own address and port in the first test.
    pub local: Option<SocketAddr>,
    /// What the server saw.
    pub mapped: Option<SocketAddr>,
    /// Whether the two ports are equal.
    pub port_preserved: Option<bool>,
    /// The server's address and port that were asked.
    pub server: SocketAddr,
    /// Whether the server answers over TCP, where it does not over UDP.
    pub tcp: Option<bool>,
}

/// Runs `ice-agent nat` at `site`.
///
/// # Errors
/// [`LabError`] when it cannot be run or its answer cannot be read. That it says no is an answer.
pub fn recognise(site: &Site, server: SocketAddr) -> Result<Recognition, LabError> {
    let mut command = site.client.namespace.command(binary("ice-agent")?);
    command.args(["nat", "--json", "--timeout", TEST_TIMEOUT, "--server", &server.to_string()]);
    let finished = Process::start("ice-agent nat", command)?.finish(END)?;
    serde_json::from_str(&finished.output).map_err(|error| LabError::Unexpected(format!("ice-agent nat --json: {error} in:\n{finished}")))
}

/// What `ice-agent nat` must say behind a NAT of this kind. Ports that chance decides are taken from `seen`.
#[must_use]
pub fn expected(kind: NatKind, site: &Site, server: SocketAddr, seen: &Recognition) -> Recognition {
    let udp = kind.promise().udp;
    let port = |address: Option<SocketAddr>| address.map_or(0, |address| address.port());
    // A random port may be any; that it is not the local one is `port_preserved`.
    let mapped_port = port(if kind == NatKind::Symmetric { seen.mapped } else { seen.local });
    Recognition {
        classic: classic(kind).to_owned(),
        mapping: udp.map_or("unknown", |udp| mapping(udp.mapping)).to_owned(),
        filtering: udp.map_or("unknown", |udp| filtering(udp.filtering)).to_owned(),
        nat: udp.map(|_| kind.promise().translated),
        local: udp.map(|_| SocketAddr::new(site.client.address(), port(seen.local))),
        mapped: udp.map(|_| SocketAddr::new(site.public_address(), mapped_port)),
        port_preserved: udp.map(|udp| udp.port_preserved),
        server,
        tcp: if udp.is_none() { Some(true) } else { None },
    }
}

fn classic(kind: NatKind) -> &'static str {
    match kind {
        NatKind::None => "open-internet",
        NatKind::FullCone => "full-cone",
        NatKind::AddressRestricted => "address-restricted-cone",
        NatKind::PortRestricted => "port-restricted-cone",
        NatKind::Symmetric => "symmetric",
        NatKind::TcpOnly => "udp-blocked",
    }
}

fn mapping(mapping: Mapping) -> &'static str {
    match mapping {
        Mapping::EndpointIndependent => "endpoint-independent",
        Mapping::AddressDependent => "address-dependent",
        Mapping::AddressAndPortDependent => "address-and-port-dependent",
    }
}

fn filtering(filtering: Filtering) -> &'static str {
    match filtering {
        Filtering::EndpointIndependent => "endpoint-independent",
        Filtering::AddressDependent => "address-dependent",
        Filtering::AddressAndPortDependent => "address-and-port-dependent",
    }
}
