//! Who has which address in the lab.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The server's; RFC 5780 needs two of a family.
pub(crate) const SERVER_IPV4: [Ipv4Addr; 2] =
    [Ipv4Addr::new(80, 80, 80, 2), Ipv4Addr::new(80, 80, 80, 3)];
pub(crate) const SERVER_IPV6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0x2a02, 0x80, 0, 0, 0, 0, 0, 2), Ipv6Addr::new(0x2a02, 0x80, 0, 0, 0, 0, 0, 3)];

/// The public IPv4 address of a site.
pub(crate) fn public(site: u8) -> Ipv4Addr {
    Ipv4Addr::new(45, 11 + site, 0, 2)
}

/// A site's own, behind its last NAT. Private networks differ, so that no host candidate is by
/// chance also an address of the other side.
pub(crate) fn private(site: u8) -> Ipv4Addr {
    if site == 0 { Ipv4Addr::new(10, 0, 0, 2) } else { Ipv4Addr::new(192, 168, site, 2) }
}

/// A customer's of a provider that has a NAT (RFC 6598).
pub(crate) fn at_provider(site: u8) -> Ipv4Addr {
    Ipv4Addr::new(100, 64, site, 2)
}

/// The IPv6 address of a site's box.
pub(crate) fn box_ipv6(site: u8) -> Ipv6Addr {
    Ipv6Addr::new(0x2a02, 0x45, site.into(), 0, 0, 0, 0, 2)
}

/// The IPv6 address of a site's client.
pub(crate) fn client_ipv6(site: u8) -> Ipv6Addr {
    Ipv6Addr::new(0x2a02, 0x45, site.into(), 1, 0, 0, 0, 2)
}

/// The network that an address is in: a /24 or a /64.
pub(crate) fn network(address: IpAddr) -> IpNet {
    match address {
        IpAddr::V4(ip) => IpNet::V4(Ipv4Net::new_assert(ip, 24)),
        IpAddr::V6(ip) => IpNet::V6(Ipv6Net::new_assert(ip, 64)),
    }
}

/// The gateway of that network: its first address.
pub(crate) fn gateway(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            Ipv4Addr::new(a, b, c, 1).into()
        }
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 1).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_are_the_first_of_their_networks() {
        assert_eq!(gateway(private(3).into()), "192.168.3.1".parse::<IpAddr>().unwrap());
        assert_eq!(gateway(client_ipv6(3).into()), "2a02:45:3:1::1".parse::<IpAddr>().unwrap());
        assert_eq!(network(client_ipv6(3).into()).to_string(), "2a02:45:3:1::2/64");
    }
}
