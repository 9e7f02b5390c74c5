//! Host candidates: a UDP socket on each address of this host (RFC 8445 §5.1.1.1).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use if_addrs::{IfOperStatus, Interface};
use tokio::net::UdpSocket;

use crate::discovery::source;

/// Maximum number of sockets: a host with hundreds of addresses would flood its peer with pairs.
const MAX_SOCKETS: usize = 16;

/// The addresses that become host candidates.
#[derive(Debug, Clone, Default)]
pub(super) struct HostPolicy {
    /// If not empty, only these addresses.
    pub only: Vec<IpAddr>,
    /// Whether loopback addresses are included.
    pub loopback: bool,
}

/// The sockets of the host candidates.
#[derive(Debug)]
pub(super) struct Bound {
    /// One socket for each address.
    pub sockets: Vec<UdpSocket>,
    /// Why addresses may be missing, if they may.
    pub incomplete: Option<String>,
}

/// Binds a socket to a free port of each address that may be a candidate.
///
/// # Errors
/// No address is known, or none could be bound.
pub(super) async fn bind(policy: &HostPolicy) -> io::Result<Bound> {
    let (addresses, incomplete) = match policy.only.as_slice() {
        [] => known_addresses(if_addrs::get_if_addrs(), policy.loopback)?,
        only => (only.iter().map(IpAddr::to_canonical).collect(), None),
    };
    let mut sockets = Vec::new();
    let mut last_error =
        io::Error::new(io::ErrorKind::AddrNotAvailable, "this host has no address to offer");
    for address in addresses.into_iter().take(MAX_SOCKETS) {
        match UdpSocket::bind(SocketAddr::new(address, 0)).await {
            Ok(socket) => sockets.push(socket),
            // An address that is still being configured, or went away since it was listed.
            Err(error) => last_error = error,
        }
    }
    if sockets.is_empty() { Err(last_error) } else { Ok(Bound { sockets, incomplete }) }
}

/// The addresses of the interfaces that may be candidates. Some sandboxes forbid the netlink socket
/// that lists interfaces (systemd's `RestrictAddressFamilies`, Android); then the source addresses
/// of the default routes are used, as browsers without access to devices do.
fn known_addresses(
    interfaces: io::Result<Vec<Interface>>,
    loopback: bool,
) -> io::Result<(Vec<IpAddr>, Option<String>)> {
    match interfaces {
        Ok(interfaces) => Ok((candidate_addresses(&interfaces, loopback), None)),
        Err(error) => {
            let addresses = default_addresses(loopback);
            if addresses.is_empty() {
                return Err(error);
            }
            let known: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            let what = format!(
                "the interfaces cannot be listed ({error}); offering {}; add others with --bind",
                known.join(", ")
            );
            Ok((addresses, Some(what)))
        }
    }
}

/// The source addresses of the default routes, and loopback if requested or if there is no other.
fn default_addresses(loopback: bool) -> Vec<IpAddr> {
    let sources = |destinations: [IpAddr; 2]| {
        destinations.into_iter().filter_map(source).filter(|ip| is_usable(*ip))
    };
    let mut addresses: Vec<IpAddr> = sources(ELSEWHERE).collect();
    if loopback || addresses.is_empty() {
        addresses.extend(sources([Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]));
    }
    addresses
}

/// Documentation addresses, to find a route. Nothing is sent to them.
const ELSEWHERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// The addresses of interfaces that are up, without those that peers cannot use.
// Deviation: RFC 8445 §5.1.1.1: loopback addresses are candidates if requested, or if there is no
// other: a demonstration needs calls between two agents on one host without a network.
fn candidate_addresses(interfaces: &[Interface], loopback: bool) -> Vec<IpAddr> {
    let up: Vec<IpAddr> = interfaces
        .iter()
        // Loopback and tunnel devices report Unknown.
        .filter(|interface| {
            matches!(interface.oper_status, IfOperStatus::Up | IfOperStatus::Unknown)
        })
        .map(Interface::ip)
        .filter(|ip| is_usable(*ip))
        .collect();
    let mut chosen: Vec<IpAddr> =
        up.iter().copied().filter(|ip| loopback || !ip.is_loopback()).collect();
    if chosen.is_empty() {
        chosen = up;
    }
    chosen.sort();
    chosen.dedup();
    chosen
}

/// Excludes the addresses of RFC 8445 §5.1.1.1, and link-local addresses, which mean nothing
/// without an interface.
fn is_usable(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            !ip.is_unspecified() && !ip.is_link_local() && !ip.is_multicast() && !ip.is_broadcast()
        }
        IpAddr::V6(ip) => {
            let site_local = ip.segments()[0] & 0xffc0 == 0xfec0;
            let v4_compatible = ip.segments()[..6] == [0; 6] && !ip.is_loopback();
            !ip.is_unspecified()
                && !ip.is_unicast_link_local()
                && !ip.is_multicast()
                && !site_local
                && !v4_compatible
                && ip.to_ipv4_mapped().is_none()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use if_addrs::{IfAddr, Ifv4Addr};

    fn interface(address: &str, oper_status: IfOperStatus) -> Interface {
        let ip = address.parse().unwrap();
        Interface {
            name: "test".into(),
            addr: IfAddr::V4(Ifv4Addr {
                ip,
                netmask: [255, 0, 0, 0].into(),
                prefixlen: 8,
                broadcast: None,
            }),
            index: None,
            oper_status,
            is_p2p: false,
            #[cfg(windows)]
            adapter_name: String::new(),
        }
    }

    fn texts(addresses: &[IpAddr]) -> Vec<String> {
        addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn loopback_only_when_asked_for_or_alone() {
        let both = [
            interface("127.0.0.1", IfOperStatus::Unknown),
            interface("10.0.0.1", IfOperStatus::Up),
        ];
        assert_eq!(texts(&candidate_addresses(&both, false)), ["10.0.0.1"]);
        assert_eq!(texts(&candidate_addresses(&both, true)), ["10.0.0.1", "127.0.0.1"]);
        assert_eq!(texts(&candidate_addresses(&both[..1], false)), ["127.0.0.1"]);
    }

    #[test]
    fn interfaces_that_are_down_offer_nothing() {
        let interfaces =
            [interface("10.0.0.1", IfOperStatus::Down), interface("10.0.0.2", IfOperStatus::Up)];
        assert_eq!(texts(&candidate_addresses(&interfaces, false)), ["10.0.0.2"]);
    }

    #[test]
    fn rfc8445_5_1_1_1_exceptions_are_no_candidates() {
        for bad in [
            "fe80::1",
            "fec0::1",
            "::ffff:10.0.0.1",
            "::10.0.0.1",
            "::",
            "ff02::1",
            "169.254.3.4",
            "0.0.0.0",
        ] {
            assert!(!is_usable(bad.parse().unwrap()), "{bad}");
        }
        for good in ["2001:db8::1", "fd00::1", "::1", "10.0.0.1", "192.0.2.1"] {
            assert!(is_usable(good.parse().unwrap()), "{good}");
        }
    }

    #[test]
    fn h55_without_a_list_of_interfaces_the_addresses_of_the_routes_are_offered() {
        let refused = || Err(io::Error::from_raw_os_error(97));
        let (addresses, incomplete) = known_addresses(refused(), true).unwrap();
        assert!(addresses.contains(&Ipv4Addr::LOCALHOST.into()), "{addresses:?}");
        let told = incomplete.unwrap();
        assert!(told.contains("--bind") && told.contains("127.0.0.1"), "{told}");
        let (addresses, _) = known_addresses(refused(), false).unwrap();
        assert!(!addresses.is_empty(), "loopback where there is no other");
    }

    #[tokio::test]
    async fn only_what_is_asked_for_is_bound() {
        let policy = HostPolicy { only: vec!["127.0.0.1".parse().unwrap()], loopback: false };
        let sockets = bind(&policy).await.unwrap().sockets;
        assert_eq!(sockets.len(), 1);
        assert!(sockets[0].local_addr().unwrap().ip().is_loopback());
        let absent = HostPolicy { only: vec!["192.0.2.77".parse().unwrap()], loopback: false };
        assert!(bind(&absent).await.is_err());
    }
}
