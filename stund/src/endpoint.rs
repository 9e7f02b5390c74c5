//! The transport addresses that stund answers on, and their sockets.

use std::io;
use std::net::SocketAddr;

use causeway_daemon::config::Transport;
use causeway_net::{Listener, UdpOptions, UdpSocket, steering};
use causeway_wire::binding::Usage;

use crate::config::Config;

/// One address and port, with what RFC 5780 calls the alternate of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Where it is bound.
    pub(crate) local: SocketAddr,
    /// OTHER-ADDRESS; none for plain STUN.
    pub(crate) other: Option<SocketAddr>,
}

impl Endpoint {
    /// RFC 5780 §6.1 only where there is an alternate address: without one, OTHER-ADDRESS is not known and CHANGE-REQUEST is 420.
    pub(crate) fn usage(&self) -> Usage {
        self.other.map_or(Usage::Binding, |other| Usage::NatDiscovery { other })
    }
}

/// The sockets of one worker.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// In the same order for each worker.
    pub(crate) udp: Vec<(Endpoint, UdpSocket)>,
    /// In the same order for each worker.
    pub(crate) tcp: Vec<(Endpoint, Listener)>,
}

/// What is to be bound, each endpoint once.
fn endpoints(config: &Config) -> Vec<(Endpoint, &[Transport])> {
    let mut all = Vec::new();
    for pair in &config.nat_discovery {
        for local in pair.endpoints() {
            let differing = pair.endpoints().into_iter().find(|other| other.ip() != local.ip() && other.port() != local.port());
            all.push((Endpoint { local, other: differing }, &pair.transports[..]));
        }
    }
    for listen in &config.listen {
        if config.nat_discovery.iter().all(|pair| pair.primary != listen.address) {
            all.push((Endpoint { local: listen.address, other: None }, &listen.transports[..]));
        }
    }
    all
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
        ..UdpOptions::LISTENER
    };
    let mut all: Vec<Sockets> = std::iter::repeat_with(Sockets::default).take(workers).collect();
    for (endpoint, transports) in endpoints(config) {
        let local = endpoint.local;
        for transport in transports {
            let named = |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {local} ({transport}): {error}"));
            match transport {
                Transport::Udp => {
                    let group = steering::bind_udp_group(local, &options, workers).map_err(named)?;
                    report(local, &group, &options);
                    let each = all.iter_mut().zip(group.sockets);
                    each.for_each(|(worker, socket)| worker.udp.push((endpoint, socket)));
                }
                Transport::Tcp => {
                    let group = steering::bind_tcp_group(local, workers).map_err(named)?;
                    let each = all.iter_mut().zip(group);
                    each.for_each(|(worker, listener)| worker.tcp.push((endpoint, listener)));
                }
            }
        }
        tracing::info!(%local, other = endpoint.other.map(tracing::field::display), "listening");
    }
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
