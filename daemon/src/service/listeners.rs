//! The sockets that clients send to: bound for all workers before any of them runs.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use causeway_net::{
    DatagramListenerOptions, Io, Listener, SocketKey, StreamListenerOptions, TrustedProxies,
    UdpOptions, UdpSocket, steering,
};

use crate::config::{Listen, ProxyProtocol, Transport};
use crate::memory;
use crate::workers::Net;

/// An address to listen on.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The configuration key that names the address, for errors: `listen[0].address`.
    pub key: String,
    /// The address, its transports and its trusted proxies.
    pub listen: Listen,
    /// The tag that the event loop reports with everything that arrives there.
    pub tag: u64,
}

/// The listeners of one worker, in the order in which they were [wanted](Wanted).
#[derive(Debug, Default)]
pub struct Listeners {
    /// UDP and DTLS.
    pub udp: Vec<(UdpSocket, DatagramListenerOptions)>,
    /// TCP and TLS.
    pub tcp: Vec<(Listener, StreamListenerOptions)>,
}

/// A UDP listener that an event loop watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpListener {
    /// The tag of its [`Wanted`].
    pub tag: u64,
    /// The address that it is bound to; unspecified for a wildcard.
    pub local: SocketAddr,
    /// The socket in its event loop.
    pub key: SocketKey,
}

impl UdpListener {
    /// Whether datagrams to `server` arrive here: at its own address, or at any address of its
    /// family and port for a wildcard.
    #[must_use]
    pub fn answers_for(&self, server: &SocketAddr) -> bool {
        self.local == *server
            || self.local.port() == server.port()
                && self.local.is_ipv4() == server.is_ipv4()
                && self.local.ip().is_unspecified()
    }
}

impl Listeners {
    /// Gives the sockets to a worker's event loop.
    ///
    /// # Errors
    /// The kernel has no memory to watch them.
    pub fn register(self, io: &mut Io) -> io::Result<Vec<UdpListener>> {
        let mut udp = Vec::new();
        for (socket, listening) in self.udp {
            let (tag, local) = (listening.tag, socket.local_addr());
            udp.push(UdpListener { tag, local, key: io.listen_udp(socket, listening)? });
        }
        for (listener, listening) in self.tcp {
            io.listen_tcp(listener, listening)?;
        }
        Ok(udp)
    }
}

/// Binds every address for every worker, in the workers' order and before any of them runs: the
/// kernel numbers the sockets of a reuseport group as they are bound, and [`steering`] selects a
/// worker by that number. `receive_tos`: whether the workers need to know the DSCP and ECN of
/// datagrams.
///
/// # Errors
/// An address is in use, or this host does not have it.
pub fn bind(all: &[Wanted], net: &Net, receive_tos: bool) -> io::Result<Vec<Listeners>> {
    let options = UdpOptions {
        receive_buffer: net.receive_buffer,
        send_buffer: net.send_buffer,
        receive_tos,
        dont_fragment: net.dont_fragment,
        freebind: net.freebind,
        ..UdpOptions::LISTENER
    };
    let mut workers: Vec<Listeners> =
        (0..net.workers.get()).map(|_| Listeners::default()).collect();
    for wanted in all {
        wanted.bind(&options, &mut workers)?;
    }
    memory::warn_of_buffers(
        workers.iter().flat_map(|worker| &worker.udp).map(|(socket, _)| socket.buffer_sizes()),
    );
    Ok(workers)
}

impl Wanted {
    /// All addresses of `[[listen]]`, with one tag.
    pub fn all(listen: &[Listen], tag: u64) -> Vec<Self> {
        let wanted = |(index, listen): (usize, &Listen)| Self {
            key: format!("listen[{index}].address"),
            listen: listen.clone(),
            tag,
        };
        listen.iter().enumerate().map(wanted).collect()
    }

    fn bind(&self, options: &UdpOptions, workers: &mut [Listeners]) -> io::Result<()> {
        let Self { key, listen, tag } = self;
        let (tag, address, count) = (*tag, listen.address, workers.len());
        let named = |transport: &str, error: io::Error| {
            let text = format!("{key}: cannot listen on {address} ({transport}): {error}");
            io::Error::new(error.kind(), text)
        };
        let proxies = trusted_proxies(&listen.proxy_protocol);
        let [plain, dtls, tcp, tls] =
            [Transport::Udp, Transport::Dtls, Transport::Tcp, Transport::Tls]
                .map(|transport| listen.has(transport));
        if plain || dtls {
            let listening = DatagramListenerOptions { tag, plain, dtls, proxies: proxies.clone() };
            let group = steering::bind_udp_group(address, options, count)
                .map_err(|error| named("udp", error))?;
            warn_of_refusals(address, &group, options);
            for (worker, socket) in workers.iter_mut().zip(group.sockets) {
                worker.udp.push((socket, listening.clone()));
            }
        }
        if tcp || tls {
            let listening = StreamListenerOptions { tag, plain: tcp, tls, proxies };
            let group = steering::bind_tcp_group(address, options.freebind, count)
                .map_err(|error| named("tcp", error))?;
            for (worker, listener) in workers.iter_mut().zip(group) {
                worker.tcp.push((listener, listening.clone()));
            }
        }
        Ok(())
    }
}

/// The proxies that may put a PROXY header before what they forward, if there are any.
fn trusted_proxies(proxy_protocol: &ProxyProtocol) -> Option<Arc<TrustedProxies>> {
    let trusted = &proxy_protocol.trusted;
    let prefixes = trusted.iter().map(|trusted| (trusted.addr(), trusted.prefix_len()));
    (!trusted.is_empty()).then(|| Arc::new(TrustedProxies::new(prefixes)))
}

/// Logs what the kernel did not grant.
fn warn_of_refusals(address: SocketAddr, group: &steering::UdpGroup, options: &UdpOptions) {
    if let Some(error) = &group.unsteered {
        tracing::warn!(
            %address, %error,
            "cannot attach the steering program; the kernel spreads clients over the workers by its own hash, and the client of a restored allocation may reach another worker"
        );
    }
    let Some(granted) = group.sockets.first().map(UdpSocket::buffer_sizes) else { return };
    if granted.receive < options.receive_buffer || granted.send < options.send_buffer {
        let (receive, send) = (granted.receive, granted.send);
        let remedy = "raise net.core.rmem_max and net.core.wmem_max";
        tracing::warn!(%address, receive, send, remedy, "socket buffers are smaller than net.receive_buffer and net.send_buffer");
    }
}
