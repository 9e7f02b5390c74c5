//! The wait for configured addresses that this host does not have yet: addresses from
//! DHCP, during the duplicate address detection of IPv6, or virtual ones that move between hosts.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use tokio::time::Instant;

use crate::workers::Net;

/// How long the wait pauses between two checks.
const PAUSE: Duration = Duration::from_millis(100);

/// ENODEV: the zone of a link-local address names an interface that does not exist.
const NO_DEVICE: i32 = 19;

/// An address to be bound, with the key that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The key: `listen[0].address`.
    pub key: String,
    /// The address; its port does not matter here.
    pub address: SocketAddr,
}

impl Named {
    /// An address with its key.
    pub fn new(key: impl Into<String>, address: SocketAddr) -> Self {
        Self { key: key.into(), address }
    }
}

/// Waits until this host has all addresses, at most for `net.address_wait`. With `net.freebind` it
/// does not need them.
///
/// # Errors
/// A line for each address that is still missing, with its key and the remedy.
pub async fn wait(named: &[Named], net: &Net) -> Result<(), String> {
    if net.freebind {
        return Ok(());
    }
    wait_until(named, net.address_wait.unwrap_or_default(), is_missing).await
}

async fn wait_until(
    named: &[Named],
    patience: Duration,
    is_missing: impl Fn(SocketAddr) -> bool,
) -> Result<(), String> {
    let missing = || named.iter().filter(|named| is_missing(named.address)).collect::<Vec<_>>();
    let mut left = missing();
    if left.is_empty() {
        return Ok(());
    }
    let start = Instant::now();
    if !patience.is_zero() {
        let addresses: Vec<String> =
            left.iter().map(|named| format!("{} ({})", named.address.ip(), named.key)).collect();
        tracing::warn!(
            addresses = addresses.join(", "),
            ?patience,
            "waiting for addresses that this host does not have yet"
        );
    }
    while !left.is_empty() && start.elapsed() < patience {
        tokio::time::sleep(PAUSE.min(patience - start.elapsed())).await;
        left = missing();
    }
    if left.is_empty() {
        tracing::info!(waited = ?start.elapsed(), "this host has all addresses now");
        return Ok(());
    }
    Err(left.into_iter().map(|named| complaint(named, patience)).collect::<Vec<_>>().join("\n"))
}

fn complaint(Named { key, address }: &Named, patience: Duration) -> String {
    let ip = address.ip();
    if patience.is_zero() {
        return format!(
            "{key}: {ip} is not an address of this host; assign it to an interface, or have the \
             server wait for it (net.address_wait = \"30s\") or bind it anyway (net.freebind = true)"
        );
    }
    format!(
        "{key}: {ip} is not an address of this host, even after {patience:?} (net.address_wait); \
         assign it to an interface, raise net.address_wait, or have the server bind it anyway \
         (net.freebind = true)"
    )
}

/// Whether this host lacks the address. The listener reports any other fault of it.
fn is_missing(mut address: SocketAddr) -> bool {
    address.set_port(0);
    let Err(error) = UdpSocket::bind(address) else { return false };
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(NO_DEVICE)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn named() -> Vec<Named> {
        vec![
            Named::new("listen[0].address", "127.0.0.1:3478".parse().unwrap()),
            Named::new("relay.addresses", "192.0.2.7:0".parse().unwrap()),
            Named::new("listen[1].address", "[2001:db8::7]:3478".parse().unwrap()),
        ]
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_comes_in_time_ends_the_wait() {
        let start = Instant::now();
        let comes = |address: SocketAddr| {
            !address.ip().is_loopback() && start.elapsed() < Duration::from_secs(7)
        };
        assert_eq!(wait_until(&named(), Duration::from_secs(30), comes).await, Ok(()));
        assert!((7..8).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_come_is_named_with_its_key_and_the_cure() {
        let start = Instant::now();
        let error = wait_until(&named(), Duration::from_secs(30), is_missing).await.unwrap_err();
        assert_eq!(start.elapsed(), Duration::from_secs(30));
        let lines: Vec<_> = error.lines().collect();
        assert_eq!(lines.len(), 2, "{error}");
        assert!(lines[0].starts_with("relay.addresses: 192.0.2.7 is not an address of this host, even after 30s (net.address_wait)"));
        assert!(
            lines[1].starts_with("listen[1].address: 2001:db8::7 is not")
                && lines[1].contains("net.freebind = true")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_wait_the_start_ends_at_once() {
        let (start, looks) = (Instant::now(), AtomicU32::new(0));
        let is_missing = |address| looks.fetch_add(1, Ordering::Relaxed) < 3 && is_missing(address);
        let error = wait_until(&named(), Duration::ZERO, is_missing).await.unwrap_err();
        assert!(
            start.elapsed().is_zero() && error.contains("net.address_wait = \"30s\""),
            "{error}"
        );
    }
}
