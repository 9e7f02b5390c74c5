//! Waiting until a program has bound its port, inside a namespace that the test itself is not in.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use causeway_kit::Process;

use crate::LabError;

/// A transport protocol, for [`wait_port`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A bound UDP socket.
    Udp,
    /// A listening TCP socket.
    Tcp,
}

/// Waits until a socket is bound to `address` in the namespace of `process` (not necessarily by
/// this program).
///
/// # Errors
/// [`LabError::Program`] when that does not happen in time, or when the program ended before.
pub fn wait_port(
    process: &mut Process,
    transport: Transport,
    address: SocketAddr,
    timeout: Duration,
) -> Result<(), LabError> {
    let table = match transport {
        Transport::Udp => format!("/proc/{}/net/udp", process.pid()),
        Transport::Tcp => format!("/proc/{}/net/tcp", process.pid()),
    };
    let what = format!("{transport:?} socket on {address}");
    process.wait_until(&what, timeout, || {
        let sockets = std::fs::read_to_string(&table).unwrap_or_default();
        is_bound(&sockets, transport, address)
    })?;
    Ok(())
}

/// Whether the text of `/proc/net/udp` or `/proc/net/tcp` shows a socket that receives on
/// `address`.
fn is_bound(sockets: &str, transport: Transport, address: SocketAddr) -> bool {
    // TCP_LISTEN, and what an unconnected UDP socket shows (TCP_CLOSE).
    let state = if transport == Transport::Tcp { "0A" } else { "07" };
    let IpAddr::V4(ip) = address.ip() else { return false };
    // The kernel prints the address as it lies in memory, read as a number of this machine.
    let exact = format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port());
    let any = format!("00000000:{:04X}", address.port());
    sockets.lines().skip(1).any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next();
        (local == Some(&exact) || local == Some(&any)) && fields.nth(1) == Some(state)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bound_ports_are_read_from_the_kernels_table() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let text = |transport| {
            let name = if transport == Transport::Tcp { "tcp" } else { "udp" };
            std::fs::read_to_string(format!("/proc/self/net/{name}")).unwrap()
        };
        // The table is no snapshot: while other sockets of the host come and go, a reading may miss
        // one.
        let is_listed =
            |transport, address| (0..100).any(|_| is_bound(&text(transport), transport, address));
        let free: SocketAddr = "127.0.0.9:9".parse().unwrap();
        assert!(is_listed(Transport::Udp, socket.local_addr().unwrap()));
        assert!(is_listed(Transport::Tcp, listener.local_addr().unwrap()));
        assert!(!is_listed(Transport::Udp, free) && !is_listed(Transport::Tcp, free));
    }
}
