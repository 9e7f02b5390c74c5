//! Socket addresses as the kernel writes them, and their one canonical form.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// The canonical form of an address (H54): an IPv4-mapped one becomes IPv4. Every address from the
/// kernel passes here, and `proxy` does the same with those of headers, so that limits, tables and
/// logs see one client as one.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip if ip == address.ip() => address, // with its zone
        ip => SocketAddr::new(ip, address.port()),
    }
}

/// Lets `socket` bind `local` although this host does not have it (IP_FREEBIND); no privilege is
/// needed.
pub(crate) fn set_freebind(socket: &socket2::Socket, local: SocketAddr) -> std::io::Result<()> {
    if local.is_ipv6() { socket.set_freebind_v6(true) } else { socket.set_freebind_v4(true) }
}

/// Room for either family's socket address (28 bytes, where `sockaddr_storage` has 128).
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) union RawAddress {
    family: libc::sa_family_t,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// The room that a [`RawAddress`] gives the kernel.
pub(crate) const RAW_ADDRESS_LEN: libc::socklen_t = size_of::<RawAddress>() as libc::socklen_t;

impl RawAddress {
    pub(crate) const EMPTY: Self = Self {
        v6: libc::sockaddr_in6 {
            sin6_family: 0,
            sin6_port: 0,
            sin6_flowinfo: 0,
            sin6_addr: libc::in6_addr { s6_addr: [0; 16] },
            sin6_scope_id: 0,
        },
    };

    /// Writes `address`. Returns its length in bytes.
    pub(crate) fn set(&mut self, address: SocketAddr) -> libc::socklen_t {
        match address {
            SocketAddr::V4(address) => {
                self.v4 = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: address.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
                    sin_zero: [0; 8],
                };
                size_of::<libc::sockaddr_in>() as libc::socklen_t
            }
            SocketAddr::V6(address) => {
                self.v6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: address.port().to_be(),
                    sin6_flowinfo: address.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                    sin6_scope_id: address.scope_id(),
                };
                size_of::<libc::sockaddr_in6>() as libc::socklen_t
            }
        }
    }

    pub(crate) fn is_ipv6(&self) -> bool {
        // SAFETY: every member begins with the family.
        unsafe { libc::c_int::from(self.family) == libc::AF_INET6 }
    }

    /// Reads what the kernel wrote, in [`canonical`] form. `None`: neither IPv4 nor IPv6.
    pub(crate) fn read(&self) -> Option<SocketAddr> {
        // SAFETY: every member begins with the family, and every bit pattern of the members is
        // valid.
        unsafe {
            match libc::c_int::from(self.family) {
                libc::AF_INET => Some(SocketAddr::V4(SocketAddrV4::new(
                    Ipv4Addr::from(self.v4.sin_addr.s_addr.to_ne_bytes()),
                    u16::from_be(self.v4.sin_port),
                ))),
                libc::AF_INET6 => Some(canonical(SocketAddr::V6(SocketAddrV6::new(
                    Ipv6Addr::from(self.v6.sin6_addr.s6_addr),
                    u16::from_be(self.v6.sin6_port),
                    0, // no flow label: with it, one client would look like several
                    self.v6.sin6_scope_id,
                )))),
                _ => None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_survive_the_trip() {
        for text in ["192.0.2.1:3478", "[2001:db8::1]:3478", "[fe80::1%7]:9"] {
            let address: SocketAddr = text.parse().unwrap();
            let mut raw = RawAddress::EMPTY;
            raw.set(address);
            assert_eq!(raw.read(), Some(address));
        }
        assert_eq!(RawAddress::EMPTY.read(), None);
    }

    #[test]
    fn h54_a_mapped_address_is_the_ipv4_address_that_it_is() {
        let mut raw = RawAddress::EMPTY;
        raw.set("[::ffff:192.0.2.1]:3478".parse().unwrap());
        assert_eq!(raw.read(), Some("192.0.2.1:3478".parse().unwrap()));
    }
}
