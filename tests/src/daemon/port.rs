//! Free ports of loopback.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the ports that the kernel gives to clients and those that `turnd` relays from: nobody
/// takes one by chance.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// A port that is free for UDP and for TCP, on 127.0.0.1 and on 127.0.0.2, and was not given out
/// before.
#[must_use]
pub fn free() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..100 {
        // Two runs at a time begin at different places.
        let number =
            process::id().wrapping_mul(61).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + number % COUNT).expect("all of them are below 32,000");
        let is_free = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)]
            .into_iter()
            .all(|ip| TcpListener::bind((ip, port)).is_ok() && UdpSocket::bind((ip, port)).is_ok());
        if is_free {
            return port;
        }
    }
    panic!("no port is free for UDP and TCP");
}
