//! Free ports of loopback.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::process;

use anyhow::{Context, Result};

/// Below the ports that the kernel gives to clients and those that `turnd` relays from.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// So many different ports that are free for UDP and for TCP, on 127.0.0.1 and on 127.0.0.2.
pub(super) fn free<const N: usize>() -> Result<[u16; N]> {
    let is_free = |port: &u16| {
        [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)].into_iter().all(|ip| {
            TcpListener::bind((ip, *port)).is_ok() && UdpSocket::bind((ip, *port)).is_ok()
        })
    };
    // Two demonstrations at a time begin at different places.
    let start = process::id().wrapping_mul(61);
    let ports = (0..COUNT)
        .filter_map(|number| u16::try_from(FIRST + start.wrapping_add(number) % COUNT).ok());
    let free: Vec<u16> = ports.filter(is_free).take(N).collect();
    free.try_into().ok().context("too few ports of loopback are free")
}
