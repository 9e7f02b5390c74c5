//! The client of a connection: the remote address, or the one that a trusted proxy names.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::HeaderMap;
use causeway_cli::complain;
use ipnet::IpNet;
use proxy_header::{ParseConfig, ProxyHeader};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::slots::Slot;

/// The header in which HTTP proxies name their clients, the nearest last.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// Maximum size of a PROXY header, in bytes; version 2 with the usual extensions is shorter.
const MAX_PROXY_HEADER: usize = 4_096;
/// How often an incomplete header is checked again.
const PROXY_HEADER_PAUSE: Duration = Duration::from_millis(5);

/// The trusted proxies, by option.
#[derive(Debug, Clone, Default)]
pub(super) struct Trusted {
    /// Proxies that name their clients in `X-Forwarded-For`.
    pub(super) forwarded_for: Vec<IpNet>,
    /// Proxies whose connections start with a PROXY protocol header.
    pub(super) proxy_protocol: Vec<IpNet>,
}

impl Trusted {
    pub(super) fn forwards(&self, address: IpAddr) -> bool {
        covers(&self.forwarded_for, address)
    }

    pub(super) fn speaks_proxy_protocol(&self, address: IpAddr) -> bool {
        covers(&self.proxy_protocol, address)
    }
}

fn covers(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// The connection of a request.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// The remote address, or the client that the PROXY header names.
    pub(super) address: IpAddr,
    pub(super) trusted: Arc<Trusted>,
    pub(super) slot: Arc<Slot>,
}

impl Caller {
    /// The client's address. On a trusted proxy's connection it is the last address in
    /// `X-Forwarded-For` that is not a trusted proxy's.
    pub(super) fn client(&self, headers: &HeaderMap) -> IpAddr {
        static IS_REPORTED: AtomicBool = AtomicBool::new(false);
        let own = self.address.to_canonical();
        let values = headers.get_all(FORWARDED_FOR);
        if !self.trusted.forwards(own) {
            if values.iter().next().is_some() && !IS_REPORTED.swap(true, Ordering::Relaxed) {
                complain(format_args!(
                    "rendezvous: X-Forwarded-For from {own} is ignored; if that is your proxy, \
                    give \
                                         --trust-forwarded-for {own}"
                ));
            }
            return own;
        }
        let named = values
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        let named: Vec<&str> = named.map(str::trim).filter(|text| !text.is_empty()).collect();
        for text in named.into_iter().rev() {
            // An entry that is not an address was written by a client, so the entries before it
            // cannot be trusted.
            let Some(address) = address(text) else { return own };
            if !self.trusted.forwards(address) {
                return address;
            }
        }
        own
    }
}

/// Parses `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1` or `[2001:db8::1]:443`.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let parsed =
        bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    parsed.map(|address: IpAddr| address.to_canonical())
}

/// Reads a PROXY protocol header, version 1 or 2, and returns the client that it names; `None` if
/// the connection is the proxy's own.
///
/// # Errors
/// Why the header is missing or invalid, in words.
pub(super) async fn read_proxy_header(stream: &mut TcpStream) -> Result<Option<IpAddr>, String> {
    let mut header = vec![0; MAX_PROXY_HEADER];
    let config = ParseConfig::default();
    loop {
        // Peek, since the bytes after the header belong to HTTP or TLS.
        let there = stream.peek(&mut header).await.map_err(|error| error.to_string())?;
        match ProxyHeader::parse(&header[..there], config) {
            Ok((parsed, length)) => {
                let client =
                    parsed.proxied_address().map(|addresses| addresses.source.ip().to_canonical());
                stream
                    .read_exact(&mut header[..length])
                    .await
                    .map_err(|error| error.to_string())?;
                return Ok(client);
            }
            Err(proxy_header::Error::BufferTooShort) if there == 0 => {
                return Err("the connection ended".into());
            }
            Err(proxy_header::Error::BufferTooShort) if there < MAX_PROXY_HEADER => {
                tokio::time::sleep(PROXY_HEADER_PAUSE).await;
            }
            Err(_) => return Err("the first bytes are not a PROXY protocol header".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::slots::Slots;
    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let trusted =
            Trusted { forwarded_for: vec!["10.0.0.0/8".parse().unwrap()], ..Trusted::default() };
        let address = peer.parse().unwrap();
        let caller = Caller {
            address,
            trusted: Arc::new(trusted),
            slot: Arc::new(Slots::new().enter(None)),
        };
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        caller.client(&headers).to_string()
    }

    #[test]
    fn only_a_named_proxy_is_believed() {
        assert_eq!(client("192.0.2.9", &["198.51.100.1"]), "192.0.2.9");
        assert_eq!(client("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn what_a_client_wrote_before_its_proxy_does_not_count() {
        assert_eq!(client("10.0.0.1", &["203.0.113.5, 198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["203.0.113.5", "198.51.100.1, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["203.0.113.5, unknown, 10.0.0.2"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(client("10.0.0.1", &["198.51.100.1:4711"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["::ffff:198.51.100.1"]), "198.51.100.1");
    }
}
