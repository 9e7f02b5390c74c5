//! `ice-agent rendezvous`: two agents find each other in a room and exchange signals over HTTP with
//! long polls.
//!
//! - `POST /rooms/{room}/members` answers 201 and [`http::Joined`], the member's token, role and
//!   number; 409 if the room is full.
//! - `POST /rooms/{room}/signals` answers 204. The body is [`http::PostedSignals`] for the other
//!   member; 410 if that one is gone.
//! - `GET /rooms/{room}/signals?after=N&wait=S&peer=P` answers 200 and a [`Batch`]: at once if
//!   there is news, otherwise after at most `S` seconds.
//! - `DELETE /rooms/{room}/members` answers 204; the member leaves.
//!
//! All requests but the first carry `Authorization: Bearer TOKEN`. The room's id is 128 bits that
//! both agents derive from their shared secret ([`RoomKey`]). They seal signals with a key that the
//! rendezvous does not have: it sees addresses, times and lengths only.
//!
//! [`Limits`] bound rooms, seats of one address or network, and signals. Connections without a
//! member's token share a few slots, from which they evict each other; members' connections need
//! none. A member is present while it has a request open. Another agent may take its seat after
//! some seconds without one, so that an agent that was killed and restarted does not meet its own
//! stale member. A room is removed with its last member, or at the end of its lifetime.

mod accept;
mod caller;
mod descriptors;
pub mod http;
mod id;
mod limits;
mod prefix;
mod room;
mod rooms;
mod secret;
mod signal;
mod slots;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use ipnet::IpNet;

use accept::Service;
use caller::Trusted;
pub use id::{BadRoomId, RoomId};
pub use limits::{Limits, Refusal};
pub use room::{Batch, MemberToken, Peer, Role, Seated};
pub use rooms::Rooms;
pub use secret::{
    BadRoomName, BadRoomSecret, BadSeal, NumberedSignal, RoomKey, RoomName, RoomSecret,
};
pub use signal::{BadSignal, Signal};
use slots::Slots;
use tls::ServerTls;

use crate::interrupt::interrupted;
use crate::uri::zoned;
use crate::verdict::Verdict;

/// The command line of `ice-agent rendezvous`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address to listen on.
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:8088",
        value_parser = listen_address
    )]
    pub listen: SocketAddr,
    /// Serve https:// with the certificates in this PEM file, the server's own first. The file is
    /// read again when it changes.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// Private key of the certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
    /// Serve below this path, such as /meet, for a reverse proxy that does not remove it.
    #[arg(long, value_name = "PATH", default_value = "", value_parser = path)]
    pub path: String,
    /// Address or network of a reverse proxy that names its clients in X-Forwarded-For; may be
    /// repeated. Without this option, all clients of a proxy count as one.
    #[arg(long, value_name = "PREFIX", value_parser = network)]
    pub trust_forwarded_for: Vec<IpNet>,
    /// Address or network of a proxy whose connections start with a PROXY protocol header (version
    /// 1 or 2); may be repeated.
    #[arg(long, value_name = "PREFIX", value_parser = network)]
    pub trust_proxy_protocol: Vec<IpNet>,
    /// Maximum number of rooms.
    #[arg(
        long,
        value_name = "N",
        default_value_t = Limits::default().rooms,
        value_parser = at_least_one
    )]
    pub max_rooms: usize,
    /// Maximum number of seats for one client address (IPv6: one /64); four times as many for a /24
    /// (IPv6: /48).
    #[arg(
        long,
        value_name = "N",
        default_value_t = Limits::default().seats_per_prefix,
        value_parser = at_least_one
    )]
    pub max_seats_per_address: usize,
    /// Maximum number of signals that wait for one member.
    #[arg(
        long,
        value_name = "N",
        default_value_t = Limits::default().signals,
        value_parser = at_least_one
    )]
    pub max_signals: usize,
    /// Maximum lifetime of a room, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().lifetime.as_secs())]
    pub room_lifetime: u64,
}

/// Serves until interrupted. Prints the address on standard output when it listens.
///
/// # Errors
/// The address cannot be bound, or the certificate cannot be used.
pub async fn run(args: Args) -> anyhow::Result<Verdict> {
    let limits = Limits {
        rooms: descriptors::rooms_that_fit(args.max_rooms)?,
        seats_per_prefix: args.max_seats_per_address,
        signals: args.max_signals,
        lifetime: Duration::from_secs(args.room_lifetime),
        ..Limits::default()
    };
    let tls = match (args.tls_certificate, args.tls_key) {
        (Some(certificate), Some(key)) => Some(ServerTls::start(certificate, key)?),
        _ => None,
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let listener = tokio::net::TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    causeway_cli::answer_line(format_args!(
        "rendezvous listening on {scheme}://{}{}",
        listener.local_addr()?,
        args.path
    ))?;
    let service = Service {
        slots: Slots::new(),
        trusted: Arc::new(Trusted {
            forwarded_for: args.trust_forwarded_for,
            proxy_protocol: args.trust_proxy_protocol,
        }),
        tls,
        router: http::router(&args.path, limits),
    };
    tokio::select! {
        () = accept::serve(listener, service) => Ok(Verdict::Yes),
        ended = interrupted() => {
            ended?;
            Ok(Verdict::Yes)
        }
    }
}

/// Parses `ADDRESS:PORT`; a link-local address needs its zone, as in `[fe80::1%eth0]:8088`.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let zone_and_port = text
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]:"))
        .filter(|(host, _)| host.contains('%'));
    let Some((host, port)) = zone_and_port else {
        return text.parse().map_err(|_| {
            "expected an address and a port, as in 127.0.0.1:8088 or [::1]:8088".into()
        });
    };
    let (ip, zone) = zoned(host)?;
    let port = port.parse().map_err(|_| format!("{port:?} is not a port"))?;
    Ok(std::net::SocketAddrV6::new(ip, port, 0, zone.index()).into())
}

/// Parses a path such as `/meet`. A trailing slash is ignored, and `/` means no path.
fn path(text: &str) -> Result<String, String> {
    let path = text.trim_end_matches('/');
    let allowed =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~' | b'/');
    if path.is_empty()
        || (path.starts_with('/') && !path.contains("//") && path.bytes().all(allowed))
    {
        Ok(path.to_owned())
    } else {
        Err("expected `/` and then letters, digits, `-`, `_`, `.`, `~` or `/`".into())
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("0 is too small; the minimum is 1".into()),
        Ok(number) => Ok(number),
        Err(_) => Err("expected a number".into()),
    }
}

/// Parses an address or a network. A single IPv4-mapped address becomes the IPv4 address.
fn network(text: &str) -> Result<IpNet, String> {
    let address =
        || text.parse::<std::net::IpAddr>().ok().map(|address| IpNet::from(address.to_canonical()));
    match text.parse::<IpNet>().ok().or_else(address) {
        Some(IpNet::V6(network)) if network.addr().to_ipv4_mapped().is_some() => {
            Err(format!("{text}: write the IPv4 network, as in 192.0.2.0/24"))
        }
        Some(network) if network.prefix_len() == 0 => {
            Err("this would trust every client; write the addresses of your proxies".into())
        }
        Some(network) if network != network.trunc() => {
            Err(format!("the address has bits after the prefix; write {}", network.trunc()))
        }
        Some(network) => Ok(network),
        None => Err("expected an address or a network, as in 192.0.2.1 or 192.0.2.0/24".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listen_address_may_have_a_zone() {
        for (text, read) in [
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("[::1]:2", "[::1]:2"),
            ("[fe80::1%1]:3", "[fe80::1%1]:3"),
        ] {
            assert_eq!(listen_address(text).unwrap().to_string(), read);
        }
        for bad in ["127.0.0.1", "[fe80::1%no-such-interface]:1", "[fe80::1%1]:x", "localhost:1"] {
            assert!(listen_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_is_one_that_a_proxy_can_hand_on() {
        for (text, read) in
            [("", ""), ("/", ""), ("/meet", "/meet"), ("/meet/", "/meet"), ("/a/b-c", "/a/b-c")]
        {
            assert_eq!(path(text).unwrap(), read);
        }
        for bad in ["meet", "/a//b", "/{x}", "/a?b", "/ü"] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn h44_limits_that_keep_everybody_out_and_trust_in_everybody_are_refused() {
        assert!(network("0.0.0.0/0").is_err() && network("::/0").is_err());
        assert_eq!(
            (at_least_one("1"), at_least_one("0").is_err(), at_least_one("x").is_err()),
            (Ok(1), true, true)
        );
    }

    #[test]
    fn h54_a_network_has_one_form() {
        assert_eq!(network("::ffff:192.0.2.1").unwrap().to_string(), "192.0.2.1/32");
        assert_eq!(network("192.0.2.0/24").unwrap().to_string(), "192.0.2.0/24");
        assert!(network("::ffff:10.0.0.0/104").unwrap_err().contains("write the IPv4 network"));
        assert!(network("proxy.example").is_err());
        assert!(network("10.0.0.1/8").unwrap_err().contains("write 10.0.0.0/8"));
    }
}
