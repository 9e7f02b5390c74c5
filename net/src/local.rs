//! Finding out from the kernel's routing whether an address is this host's at present.
//!
//! That takes no netlink socket, which sandboxes forbid, and no list of addresses, which is stale
//! as soon as it is read. A connected UDP socket sends nothing; its route tells:
//! - The source is the destination itself: the address is local. That is not so for each local
//!   address: the source of the second address of a subnet is the first, and that of `127.0.0.2` is
//!   `127.0.0.1`.
//! - The route leads through the loopback device: its MTU is that of the route to a loopback
//!   address, which no other device has (65,535 bytes and more), unless it was changed.
//! - The address can be bound. `ip_nonlocal_bind` lets any address be bound; then one that cannot
//!   be a host's can be bound, too.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

/// Minimum MTU of the loopback device as Linux makes it. IPv4 reports at most this.
const LOOPBACK_MTU: libc::c_int = 65_535;
/// Addresses that no host has: class E, and the discard prefix.
const UNASSIGNED: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(240, 0, 0, 1), Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1));
/// Nothing is sent to it.
const PORT: u16 = 9;

/// Whether `ip` is an address of this host now. It makes a handful of system calls, none of which
/// waits.
///
/// # Errors
/// The kernel or a sandbox refuses to tell.
pub fn is_local(ip: IpAddr) -> io::Result<bool> {
    let ip = ip.to_canonical();
    let Some((source, mtu)) = route(ip)? else { return Ok(false) };
    if source == ip {
        return Ok(true);
    }
    let through_loopback =
        || route(loopback(ip)).map(|route| route.is_some_and(|(_, loopback)| loopback == mtu));
    match can_bind(ip)? {
        true => Ok(!can_bind(unassigned(ip))? || through_loopback()?),
        // Every address of a prefix with a local route (AnyIP); for IPv6 such an address cannot be
        // bound.
        false => Ok(mtu >= LOOPBACK_MTU && through_loopback()?),
    }
}

/// The address from which this host sends to `destination`; `None` where it has no route. Nothing
/// is sent.
///
/// # Errors
/// The kernel or a sandbox refuses to tell.
pub fn source_towards(destination: IpAddr) -> io::Result<Option<IpAddr>> {
    Ok(route(destination.to_canonical())?.map(|(source, _)| source))
}

/// The source address and the MTU of the route to an address; `None` where there is none.
fn route(destination: IpAddr) -> io::Result<Option<(IpAddr, libc::c_int)>> {
    let any: IpAddr = if destination.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = match UdpSocket::bind((any, 0)) {
        Ok(socket) => socket,
        // A kernel without IPv6 has no such address.
        Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) && destination.is_ipv6() => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    match socket.connect((destination, PORT)) {
        Ok(()) => Ok(Some((socket.local_addr()?.ip(), mtu(&socket, destination.is_ipv4())?))),
        Err(error) if has_no_route(&error, destination) => Ok(None),
        Err(error) => Err(error),
    }
}

fn has_no_route(error: &io::Error, destination: IpAddr) -> bool {
    match error.kind() {
        ErrorKind::NetworkUnreachable
        | ErrorKind::HostUnreachable
        | ErrorKind::AddrNotAvailable => true,
        // A broadcast address, which no host has; for any other address it is a refusal.
        ErrorKind::PermissionDenied => {
            error.raw_os_error() == Some(libc::EACCES) && !destination.is_loopback()
        }
        // A link-local address without its interface.
        ErrorKind::InvalidInput => destination.is_ipv6(),
        _ => false,
    }
}

fn mtu(connected: &UdpSocket, is_ipv4: bool) -> io::Result<libc::c_int> {
    let (level, name) = if is_ipv4 {
        (libc::IPPROTO_IP, libc::IP_MTU)
    } else {
        (libc::IPPROTO_IPV6, libc::IPV6_MTU)
    };
    let (mut mtu, mut len): (libc::c_int, _) = (0, size_of::<libc::c_int>() as libc::socklen_t);
    // SAFETY: the descriptor is open while `connected` is borrowed, and the kernel writes at most
    // `len` bytes to `mtu`.
    let outcome = unsafe {
        libc::getsockopt(connected.as_raw_fd(), level, name, (&raw mut mtu).cast(), &raw mut len)
    };
    if outcome == 0 { Ok(mtu) } else { Err(io::Error::last_os_error()) }
}

fn can_bind(ip: IpAddr) -> io::Result<bool> {
    match UdpSocket::bind(SocketAddr::new(ip, 0)) {
        Ok(_) => Ok(true),
        Err(error)
            if matches!(error.kind(), ErrorKind::AddrNotAvailable | ErrorKind::InvalidInput) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn loopback(of_family: IpAddr) -> IpAddr {
    if of_family.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() }
}

fn unassigned(of_family: IpAddr) -> IpAddr {
    if of_family.is_ipv4() { UNASSIGNED.0.into() } else { UNASSIGNED.1.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h55_every_loopback_address_is_local_and_no_documentation_address_is() {
        for (ip, local) in [
            ("127.0.0.1", true),
            ("127.0.0.2", true),
            ("127.255.255.254", true),
            ("::ffff:127.0.0.3", true),
            ("::1", true),
            ("192.0.2.77", false),
            ("240.0.0.1", false),
            ("2001:db8::77", false),
            ("100::1", false),
            ("fe80::77", false),
            ("255.255.255.255", false),
        ] {
            assert_eq!(is_local(ip.parse().unwrap()).unwrap(), local, "{ip}");
        }
    }

    #[test]
    fn the_source_towards_loopback_is_loopback() {
        assert_eq!(source_towards([127, 0, 0, 9].into()).unwrap(), Some([127, 0, 0, 1].into()));
    }
}
