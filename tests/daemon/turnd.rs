//! `turnd` with all transports on one port, and its clients.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;

use causeway_kit::port;
use causeway_relay::Transport;
use causeway_tests::daemon::certificates::{Certificates, KeyKind};
use causeway_tests::daemon::service::{self, Service};
use causeway_tests::daemon::talker::Talker;

const EVERY: [&str; 4] = ["udp", "tcp", "tls", "dtls"];
const ONE: &str = r#"["127.0.0.1"]"#;

/// A `turnd` that accepts clients over all transports, on one port.
pub(crate) struct Turnd {
    service: Service,
    certificates: Certificates,
}

impl Deref for Turnd {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.service
    }
}

impl Turnd {
    pub(crate) fn talker(&self, transport: Transport) -> Talker {
        Talker::new(transport, self.address, &self.certificates.root())
    }

    /// A client that connects to `address`, a proxy in front of the server.
    pub(crate) fn talker_through(&self, address: SocketAddr, transport: Transport) -> Talker {
        let mut talker = Talker::new(transport, address, &self.certificates.root());
        talker.client.five_tuple.server = self.address;
        talker
    }
}

/// A `turnd` whose peers may be on loopback, the only network that every machine has.
pub(crate) fn turnd() -> Turnd {
    turnd_with(r#""allow 127.0.0.0/8""#, "[net]\nworkers = 2\n")
}

/// [`turnd`] with these rules for peers and these further tables.
pub(crate) fn turnd_with(peers: &str, more: &str) -> Turnd {
    start(ONE, (&EVERY, ""), peers, more)
}

/// [`turnd`] over these transports only, with this further line in its `[[listen]]`.
pub(crate) fn turnd_listening(transports: &[&str], line: &str) -> Turnd {
    start(ONE, (transports, line), r#""allow 127.0.0.0/8""#, "")
}

/// A `turnd` that relays from both families, each on loopback.
pub(crate) fn turnd_of_both_families() -> Turnd {
    turnd_relaying_from(r#"["127.0.0.1", "::1"]"#, r#""allow 127.0.0.0/8", "allow ::1/128""#, 2)
}

/// A `turnd` that relays from these addresses, as `[relay]` names them. It has no limiter, because
/// its clients send more Binding requests than that answers.
pub(crate) fn turnd_relaying_from(relays: &str, peers: &str, workers: usize) -> Turnd {
    start(
        relays,
        (&EVERY, ""),
        peers,
        &format!("[limits]\nunauthenticated_per_prefix = \"off\"\n[net]\nworkers = {workers}\n"),
    )
}

fn start(relays: &str, (transports, line): (&[&str], &str), peers: &str, more: &str) -> Turnd {
    let certificates = Certificates::make(KeyKind::Ecdsa);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
    let listen = format!("address = \"{address}\"\n");
    let all = format!("{listen}transports = {transports:?}\n{line}");
    let config = service::turnd_config(address, peers, &format!("{}{more}", certificates.table()))
        .replacen(&listen, &all, 1);
    let config =
        config.replacen(r#"addresses = ["127.0.0.1"]"#, &format!("addresses = {relays}"), 1);
    Turnd { service: Service::start("turnd", address, &config), certificates }
}
