//! `[[listen]]`: an address and the transports bound to it, the same for every service.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::error::Problem;

/// A transport protocol between client and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// STUN's framing on a TCP stream.
    Tcp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        })
    }
}

impl<'de> Deserialize<'de> for Transport {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        match name.as_str() {
            "udp" => Ok(Transport::Udp),
            "tcp" => Ok(Transport::Tcp),
            "tls" | "dtls" => Err(D::Error::custom(format!("{name:?} is not built yet in this version; use udp or tcp"))),
            _ => Err(D::Error::unknown_variant(&name, &["udp", "tcp"])),
        }
    }
}

/// One address, with every transport that is bound to it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// The address and port; `0.0.0.0` and `[::]` are every address of their family.
    pub address: SocketAddr,
    /// What is bound to it; UDP and TCP where it is not said.
    #[serde(default = "udp_and_tcp")]
    pub transports: Vec<Transport>,
}

fn udp_and_tcp() -> Vec<Transport> {
    vec![Transport::Udp, Transport::Tcp]
}

impl Listen {
    /// Every address of each family that this host has, at `port`, over UDP and TCP.
    ///
    /// Whether the host has IPv6 is asked by binding a socket: a kernel without it must not keep the server from starting
    /// when nobody asked for IPv6.
    pub fn everywhere(port: u16) -> Vec<Listen> {
        let listen = |ip: IpAddr| Listen { address: (ip, port).into(), transports: udp_and_tcp() };
        let mut all = vec![listen(Ipv4Addr::UNSPECIFIED.into())];
        if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            all.push(listen(Ipv6Addr::UNSPECIFIED.into()));
        }
        all
    }

    /// Refuses an empty list of transports, port 0, and the same address and transport twice.
    pub fn problems(all: &[Listen]) -> Vec<Problem> {
        let mut seen = HashSet::new();
        let mut problems = Vec::new();
        for (index, listen) in all.iter().enumerate() {
            if listen.transports.is_empty() {
                let what = format!("no transport for {}", listen.address);
                problems.push(Problem::new(format!("listen[{index}].transports"), what).hint("name udp, tcp or both"));
            }
            if listen.address.port() == 0 {
                let key = format!("listen[{index}].address");
                problems.push(Problem::new(key, "port 0 is no port that a client could know").hint("3478 is STUN's own"));
            }
            let ip = listen.address.ip();
            if ip.is_multicast() || ip != ip.to_canonical() {
                let key = format!("listen[{index}].address");
                problems.push(Problem::new(key, format!("{ip} is no address of a host")).hint("write an IPv4 or an IPv6 address"));
            }
            for &transport in &listen.transports {
                if !seen.insert((listen.address, transport)) {
                    let what = format!("{transport} on {} is listened to twice", listen.address);
                    problems.push(Problem::new(format!("listen[{index}]"), what).hint("keep one of the two"));
                }
            }
        }
        problems
    }
}
