//! The transport addresses that stund answers on, and their sockets.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use causeway_daemon::config::{ProxyProtocol, Transport};
use causeway_daemon::memory;
use causeway_net::{Listener, TrustedProxies, UdpOptions, UdpSocket, steering};
use causeway_wire::binding::Usage;

use crate::config::Config;

/// One address and port, with what RFC 5780 calls the alternate of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Where it is bound.
    pub(crate) local: SocketAddr,
    /// What it is from outside, as clients are told: RESPONSE-ORIGIN, SOURCE-ADDRESS.
    pub(crate) advertised: SocketAddr,
    /// OTHER-ADDRESS, from outside; none for plain STUN.
    pub(crate) other: Option<SocketAddr>,
}

impl Endpoint {
    /// RFC 5780 §6.1 only where there is an alternate address: without one, OTHER-ADDRESS is not
    /// known and a change is 420.
    pub(crate) fn usage(&self) -> Usage {
        self.other.map_or(Usage::Binding, |other| Usage::NatDiscovery { other })
    }
}

/// A socket with what is served on it.
#[derive(Debug)]
pub(crate) struct Bound<S> {
    pub(crate) endpoint: Endpoint,
    pub(crate) socket: S,
    /// Whether UDP or TCP is served as it is.
    pub(crate) plain: bool,
    /// Whether DTLS or TLS is; with both, the first byte decides (RFC 7983 §7).
    pub(crate) secure: bool,
    /// Who speaks for clients by the PROXY protocol.
    pub(crate) proxies: Option<Arc<TrustedProxies>>,
}

/// The sockets of one worker.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// In the same order for each worker.
    pub(crate) udp: Vec<Bound<UdpSocket>>,
    /// In the same order for each worker.
    pub(crate) tcp: Vec<Bound<Listener>>,
}

/// What is to be bound.
struct Wanted<'a> {
    endpoint: Endpoint,
    transports: &'a [Transport],
    proxies: Option<Arc<TrustedProxies>>,
}

impl Wanted<'_> {
    /// Whether a socket is wanted for one of the two transports, and for which of them.
    fn wants(&self, plain: Transport, secure: Transport) -> Option<(bool, bool)> {
        let [plain, secure] = [plain, secure].map(|transport| self.transports.contains(&transport));
        (plain || secure).then_some((plain, secure))
    }

    fn bind<S>(&self, (plain, secure): (bool, bool), socket: S) -> Bound<S> {
        Bound { endpoint: self.endpoint, socket, plain, secure, proxies: self.proxies.clone() }
    }
}

/// What is to be bound, each endpoint once.
fn wanted(config: &Config) -> Vec<Wanted<'_>> {
    let mut all = Vec::new();
    for pair in &config.nat_discovery {
        for local in pair.endpoints() {
            let differing = pair
                .endpoints()
                .into_iter()
                .find(|other| other.ip() != local.ip() && other.port() != local.port());
            let (advertised, other) =
                (config.outside.of(local), differing.map(|other| config.outside.of(other)));
            all.push(Wanted {
                endpoint: Endpoint { local, advertised, other },
                transports: &pair.transports,
                proxies: None,
            });
        }
    }
    for listen in &config.listen {
        if config.nat_discovery.iter().all(|pair| pair.primary != listen.address) {
            let endpoint = Endpoint {
                local: listen.address,
                advertised: config.outside.of(listen.address),
                other: None,
            };
            all.push(Wanted {
                endpoint,
                transports: &listen.transports,
                proxies: trusted_proxies(&listen.proxy_protocol),
            });
        }
    }
    all
}

/// Who may put a PROXY header before what it forwards; `None`: nobody.
fn trusted_proxies(proxy_protocol: &ProxyProtocol) -> Option<Arc<TrustedProxies>> {
    let prefixes =
        proxy_protocol.trusted.iter().map(|trusted| (trusted.addr(), trusted.prefix_len()));
    (!proxy_protocol.trusted.is_empty()).then(|| Arc::new(TrustedProxies::new(prefixes)))
}

/// Binds everything for every worker, in the workers' order (see [`steering`]).
///
/// # Errors
/// The operating system's, with the transport and the address.
pub(crate) fn bind(config: &Config) -> io::Result<Vec<Sockets>> {
    let workers = config.net.workers.get();
    let options = UdpOptions {
        receive_buffer: config.net.receive_buffer,
        send_buffer: config.net.send_buffer,
        receive_tos: false,
        dont_fragment: config.net.dont_fragment,
        freebind: config.net.freebind,
        ..UdpOptions::LISTENER
    };
    let mut all: Vec<Sockets> = std::iter::repeat_with(Sockets::default).take(workers).collect();
    for wanted in wanted(config) {
        let local = wanted.endpoint.local;
        let named = |over: &str, error: io::Error| {
            io::Error::new(error.kind(), format!("cannot listen on {local} ({over}): {error}"))
        };
        if let Some(what) = wanted.wants(Transport::Udp, Transport::Dtls) {
            let group = steering::bind_udp_group(local, &options, workers)
                .map_err(|error| named("udp", error))?;
            report(local, &group, &options);
            let each = all.iter_mut().zip(group.sockets);
            each.for_each(|(worker, socket)| worker.udp.push(wanted.bind(what, socket)));
        }
        if let Some(what) = wanted.wants(Transport::Tcp, Transport::Tls) {
            let group = steering::bind_tcp_group(local, config.net.freebind, workers)
                .map_err(|error| named("tcp", error))?;
            let each = all.iter_mut().zip(group);
            each.for_each(|(worker, listener)| worker.tcp.push(wanted.bind(what, listener)));
        }
        let Endpoint { advertised, other, .. } = wanted.endpoint;
        let advertised = (advertised != local).then(|| tracing::field::display(advertised));
        tracing::info!(%local, advertised, other = other.map(tracing::field::display), "listening");
    }
    memory::warn_of_buffers(
        all.iter().flat_map(|worker| &worker.udp).map(|bound| bound.socket.buffer_sizes()),
    );
    Ok(all)
}

/// Says what the kernel did not give.
fn report(local: SocketAddr, group: &steering::UdpGroup, options: &UdpOptions) {
    if let Some(error) = &group.unsteered {
        tracing::warn!(%local, %error, "no steering program; the kernel spreads the clients over the workers");
    }
    let Some(got) = group.sockets.first().map(UdpSocket::buffer_sizes) else { return };
    if got.receive < options.receive_buffer || got.send < options.send_buffer {
        let (receive, send) = (got.receive, got.send);
        tracing::warn!(%local, receive, send, "smaller socket buffers than asked for; raise net.core.rmem_max and wmem_max");
    }
}
