//! `[[listen]]`: an address and its transports, the same for every service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use causeway_wire::Transport;
use ipnet::IpNet;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::error::Problem;
use super::network::{mapped_problem, networks};
use crate::addresses::Named;

/// One address with its transports.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// The address and port; `0.0.0.0` and `[::]` are all addresses of their family.
    pub address: SocketAddr,
    /// The transports that are bound to it; UDP and TCP if the key is not set.
    #[serde(default = "udp_and_tcp")]
    pub transports: Vec<Transport>,
    /// The proxies that name their clients by the PROXY protocol; none if the key is not set.
    #[serde(default)]
    pub proxy_protocol: ProxyProtocol,
}

/// The PROXY protocol, version 2, on one address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyProtocol {
    /// Addresses of the proxies: their header is accepted, and required.
    #[serde(deserialize_with = "proxies")]
    pub trusted: Vec<IpNet>,
}

/// Refuses an empty list, which would look like a listener behind proxies and work as one without.
fn proxies<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let trusted = networks(deserializer)?;
    match trusted.is_empty() {
        true => Err(D::Error::custom(
            "no proxy is named; write the addresses of your proxies, or leave proxy_protocol out",
        )),
        false => Ok(trusted),
    }
}

fn udp_and_tcp() -> Vec<Transport> {
    vec![Transport::Udp, Transport::Tcp]
}

impl Listen {
    /// A listener without proxies.
    pub fn new(address: SocketAddr, transports: Vec<Transport>) -> Listen {
        Listen { address, transports, proxy_protocol: ProxyProtocol::default() }
    }

    /// Whether `transport` is one of its transports.
    pub fn has(&self, transport: Transport) -> bool {
        self.transports.contains(&transport)
    }

    /// Listeners on all addresses of each family that this host has, at `port`, over `transports`.
    ///
    /// A socket bound to `[::]` tells whether the kernel has IPv6: a kernel without it must not
    /// keep the server from starting if the operator did not ask for IPv6. A host may get its first
    /// IPv6 address later, and a host without `::1` may have others (H55).
    pub fn everywhere(port: u16, transports: &[Transport]) -> Vec<Listen> {
        let listen = |ip: IpAddr| Listen::new((ip, port).into(), transports.to_vec());
        let mut all = vec![listen(Ipv4Addr::UNSPECIFIED.into())];
        if UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok() {
            all.push(listen(Ipv6Addr::UNSPECIFIED.into()));
        }
        all
    }

    /// The listeners of a configuration without `[[listen]]`: `port` over UDP and TCP, and with a
    /// certificate also `secure_port` over TLS and DTLS.
    pub fn defaults(port: u16, secure_port: u16, has_certificate: bool) -> Vec<Listen> {
        let mut all = Listen::everywhere(port, &[Transport::Udp, Transport::Tcp]);
        if has_certificate {
            all.extend(Listen::everywhere(secure_port, &[Transport::Tls, Transport::Dtls]));
        }
        all
    }

    /// The addresses of all listeners with their keys.
    pub fn named(all: &[Listen]) -> impl Iterator<Item = Named> {
        all.iter()
            .enumerate()
            .map(|(index, listen)| Named::new(format!("listen[{index}].address"), listen.address))
    }

    /// Describes for each `[::]` whether the server also serves IPv4 clients at its port: our IPv6
    /// sockets do not accept IPv4.
    pub fn describe_families(all: &[Listen]) -> Vec<String> {
        let wildcards =
            all.iter().filter(|listen| listen.address.ip() == IpAddr::from(Ipv6Addr::UNSPECIFIED));
        let line = |listen: &Listen| {
            let port = listen.address.port();
            let has_ipv4 = |transport: &&Transport| {
                let serves = |other: &&Listen| {
                    other.address.is_ipv4()
                        && other.address.port() == port
                        && other.has(**transport)
                };
                all.iter().any(|other| serves(&other))
            };
            let without: Vec<String> = listen
                .transports
                .iter()
                .filter(|transport| !has_ipv4(transport))
                .map(ToString::to_string)
                .collect();
            let without = without.join(", ");
            match without.is_empty() {
                true => format!("[::]:{port} serves IPv6 only; IPv4 has a listener of its own"),
                false => format!(
                    "[::]:{port} serves IPv6 only: no IPv4 over {without}; for IPv4 listen on 0.0.0.0:{port}, too"
                ),
            }
        };
        wildcards.map(line).collect()
    }

    /// Refuses an empty list, an entry without transports, port 0, a transport that is listed
    /// twice, a socket that two entries share, and TLS or DTLS without a certificate.
    pub fn problems(all: &[Listen], has_certificate: bool) -> Vec<Problem> {
        let mut problems = Vec::new();
        if all.is_empty() {
            problems.push(
                Problem::new("listen", "the list is empty")
                    .hint("name an address, or leave the key out"),
            );
        }
        for (index, listen) in all.iter().enumerate() {
            problems.extend(listen.own_problems(index, has_certificate));
            problems.extend(listen.shared_with(&all[..index], index));
        }
        problems
    }

    fn own_problems(&self, index: usize, has_certificate: bool) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut problem = |key: &str, what: String, hint: &str| {
            problems.push(Problem::new(format!("listen[{index}].{key}"), what).hint(hint));
        };
        if self.transports.is_empty() {
            problem(
                "transports",
                format!("{} has no transport", self.address),
                "write any of udp, tcp, tls, dtls",
            );
        }
        if self.address.port() == 0 {
            problem(
                "address",
                "port 0 is chosen by the kernel, and clients could not know it".into(),
                "write a port, such as 3478",
            );
        }
        let ip = self.address.ip();
        if ip.is_multicast() {
            problem(
                "address",
                format!("{ip} is not an address of a host"),
                "write an IPv4 or an IPv6 address",
            );
        }
        for (at, transport) in self.transports.iter().enumerate() {
            if self.transports[..at].contains(transport) {
                problem(
                    "transports",
                    format!("{transport} is listed twice for {}", self.address),
                    "keep one of the two",
                );
            }
        }
        if let Some(secure) =
            self.transports.iter().find(|transport| transport.is_secure() && !has_certificate)
        {
            problem(
                "transports",
                format!("{secure} needs a certificate"),
                "set tls.certificate and tls.key",
            );
        }
        let trusts_all =
            self.proxy_protocol.trusted.iter().any(|trusted| trusted.prefix_len() == 0);
        if trusts_all {
            let hint = "write the addresses of your proxies";
            problem(
                "proxy_protocol.trusted",
                "a prefix of length 0 trusts every address to name its client".into(),
                hint,
            );
        }
        if !self.proxy_protocol.trusted.is_empty() && self.has(Transport::Dtls) {
            let what = "a proxy cannot put its header before DTLS".into();
            problem("proxy_protocol", what, "give dtls a [[listen]] and a port of its own");
        }
        problems.extend(mapped_problem(&format!("listen[{index}].address"), ip));
        problems
    }

    /// UDP and DTLS share a socket, and so do TCP and TLS: one entry must list all of them.
    fn shared_with(&self, earlier: &[Listen], index: usize) -> Option<Problem> {
        let socket = |transport: &Transport| matches!(transport, Transport::Tcp | Transport::Tls);
        let same = |listen: &&Listen| {
            listen.address == self.address
                && self
                    .transports
                    .iter()
                    .any(|one| listen.transports.iter().any(|other| socket(one) == socket(other)))
        };
        earlier.iter().find(same).map(|_| {
            let what = format!("an earlier entry has {}, too", self.address);
            let hint = "list all transports of a port in one entry: transports = [\"udp\", \"tcp\", \"tls\", \"dtls\"]";
            Problem::new(format!("listen[{index}].address"), what).hint(hint)
        })
    }
}
