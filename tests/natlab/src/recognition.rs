//! `ice-agent nat` at a site: what it says of the NAT in front of it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;

use crate::{Filtering, LabError, Mapping, NatKind, Process, Site, UdpBehaviour, binary};

/// How long each request is waited for; datagrams cross the lab in microseconds, but the machine
/// may be busy.
const TEST_TIMEOUT: &str = "1.5";
const END: Duration = Duration::from_secs(60);

/// The part of `ice-agent nat --json` that the lab reads. `None` stands for `unknown` and `null`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Recognition {
    /// The classic name of RFC 3489.
    pub classic: String,
    /// The mapping's RFC 4787 name.
    pub mapping: String,
    /// The filter's RFC 4787 name.
    pub filtering: String,
    /// Whether addresses are translated.
    pub nat: Option<bool>,
    /// The host's own address and port in the first test.
    pub local: Option<SocketAddr>,
    /// The source address that the server saw.
    pub mapped: Option<SocketAddr>,
    /// How ports were mapped in the tests.
    pub ports: Option<Ports>,
    /// Whether the NAT turns datagrams around that are meant for its own outside.
    pub hairpin: Option<bool>,
    /// The server's address and port that were asked.
    pub server: SocketAddr,
    /// Whether the server answers over TCP, where it does not over UDP.
    pub tcp: Option<bool>,
    /// Remarks on the results.
    #[serde(default)]
    pub notes: Vec<String>,
    /// IPv6, where both families were measured.
    pub other_family: Option<Box<Recognition>>,
}

/// Number of sockets whose port was kept towards all destinations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Ports {
    /// Sockets that were mapped.
    pub sockets: u32,
    /// Those that kept their port.
    pub kept: u32,
    /// Those that kept it towards some destinations only.
    pub partly: u32,
    /// Destinations that told of it.
    pub destinations: u32,
}

/// Runs `ice-agent nat` at `site`.
///
/// # Errors
/// [`LabError`] when it cannot be run or its answer cannot be read. That it says no is an answer.
pub fn recognise(site: &Site, server: SocketAddr) -> Result<Recognition, LabError> {
    recognise_by(site, &[server])
}

/// [`recognise`] by several servers: one of each family.
///
/// # Errors
/// As [`recognise`].
pub fn recognise_by(site: &Site, servers: &[SocketAddr]) -> Result<Recognition, LabError> {
    let mut command = site.client.namespace.command(binary("ice-agent")?);
    command.args(["nat", "--json", "--timeout", TEST_TIMEOUT]);
    for server in servers {
        command.args(["--server", &server.to_string()]);
    }
    let finished = Process::start("ice-agent nat", command)?.finish(END)?;
    serde_json::from_str(&finished.output).map_err(|error| {
        LabError::Unexpected(format!("ice-agent nat --json: {error} in:\n{finished}"))
    })
}

/// The result that `ice-agent nat` must report behind a NAT of this kind. Random ports are taken
/// from `seen`.
#[must_use]
pub fn expected(kind: NatKind, site: &Site, server: SocketAddr, seen: &Recognition) -> Recognition {
    let promise = kind.promise();
    let translated = promise.translated.then(|| site.public_address());
    expected_of(promise.udp, site.client.address(), translated, server, seen)
}

/// The result that it must report for this behaviour without hairpinning. Addresses are translated
/// to `translated`, if that is an address.
#[must_use]
pub fn expected_of(
    udp: Option<UdpBehaviour>,
    own: IpAddr,
    translated: Option<IpAddr>,
    server: SocketAddr,
    seen: &Recognition,
) -> Recognition {
    let port = |address: Option<SocketAddr>| address.map_or(0, |address| address.port());
    // A random port may be any; that it is not the local one is in `ports`.
    let mapped_port =
        port(if udp.is_some_and(|udp| udp.port_preserved) { seen.local } else { seen.mapped });
    Recognition {
        classic: classic(udp, translated.is_some()).to_owned(),
        mapping: udp.map_or("unknown", |udp| mapping(udp.mapping)).to_owned(),
        filtering: udp.map_or("unknown", |udp| filtering(udp.filtering)).to_owned(),
        nat: udp.map(|_| translated.is_some()),
        local: udp.map(|_| SocketAddr::new(own, port(seen.local))),
        mapped: udp.map(|_| SocketAddr::new(translated.unwrap_or(own), mapped_port)),
        // How many sockets there were is the agent's affair.
        ports: seen.ports.filter(|_| udp.is_some()).map(|seen| Ports {
            kept: if udp.is_some_and(|udp| udp.port_preserved) { seen.sockets } else { 0 },
            ..seen
        }),
        // What a symmetric NAT would turn around cannot be told: the port that it has for itself is
        // unknown.
        hairpin: udp
            .filter(|udp| udp.mapping == Mapping::EndpointIndependent)
            .and_then(|_| translated.map(|_| false)),
        server,
        tcp: if udp.is_none() { Some(true) } else { None },
        // What it says in words is not for everyone to repeat.
        notes: seen.notes.clone(),
        other_family: None,
    }
}

fn classic(udp: Option<UdpBehaviour>, translated: bool) -> &'static str {
    let Some(udp) = udp else { return "udp-blocked" };
    match (translated, udp.mapping, udp.filtering) {
        (false, _, Filtering::EndpointIndependent) => "open-internet",
        (false, ..) => "symmetric-udp-firewall",
        (true, Mapping::EndpointIndependent, Filtering::EndpointIndependent) => "full-cone",
        (true, Mapping::EndpointIndependent, Filtering::AddressDependent) => {
            "address-restricted-cone"
        }
        (true, Mapping::EndpointIndependent, Filtering::AddressAndPortDependent) => {
            "port-restricted-cone"
        }
        (true, ..) => "symmetric",
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
