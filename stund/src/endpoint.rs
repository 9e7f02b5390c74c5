//! The transport addresses that stund answers on, and what clients are told of them.

use std::net::SocketAddr;

use causeway_daemon::config::Listen;
use causeway_daemon::service::listeners::Wanted;
use causeway_wire::binding::Usage;

use crate::config::Config;

/// One address and port, with what RFC 5780 calls the alternate of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// The address that it is bound to.
    pub(crate) local: SocketAddr,
    /// The same address as clients see it: RESPONSE-ORIGIN, SOURCE-ADDRESS.
    pub(crate) advertised: SocketAddr,
    /// OTHER-ADDRESS as clients see it; none for plain STUN.
    pub(crate) other: Option<SocketAddr>,
}

impl Endpoint {
    /// The usage of RFC 5780 §6.1 only where there is an alternate address: without one,
    /// OTHER-ADDRESS is unknown and a change is answered with 420.
    pub(crate) fn usage(&self) -> Usage {
        self.other.map_or(Usage::Binding, |other| Usage::NatDiscovery { other })
    }

    /// Logs that it is listened on.
    pub(crate) fn log(&self) {
        let Self { local, advertised, other } = self;
        let advertised = (advertised != local).then(|| tracing::field::display(advertised));
        tracing::info!(%local, advertised, other = other.map(tracing::field::display), "listening");
    }
}

/// All endpoints, each once, and what is to be bound for them: the tag of a listener is the index
/// of its endpoint.
pub(crate) fn all(config: &Config) -> (Vec<Endpoint>, Vec<Wanted>) {
    let (mut endpoints, mut wanted) = (Vec::new(), Vec::new());
    let mut add = |key: String, listen: Listen, other: Option<SocketAddr>| {
        let tag = endpoints.len() as u64;
        let local = listen.address;
        let outside = |address| config.outside.of(address);
        let (advertised, other) = (outside(local), other.map(outside));
        endpoints.push(Endpoint { local, advertised, other });
        wanted.push(Wanted { key, listen, tag });
    };
    for pair in &config.nat_discovery {
        for local in pair.endpoints() {
            let other = pair
                .endpoints()
                .into_iter()
                .find(|other| other.ip() != local.ip() && other.port() != local.port());
            add("nat_discovery".into(), Listen::new(local, pair.transports.clone()), other);
        }
    }
    for (index, listen) in config.listen.iter().enumerate() {
        if config.nat_discovery.iter().all(|pair| pair.primary != listen.address) {
            add(format!("listen[{index}].address"), listen.clone(), None);
        }
    }
    (endpoints, wanted)
}
