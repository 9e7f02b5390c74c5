use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use causeway_daemon::config::{Listen, Transport};
use causeway_daemon::memory;
use causeway_daemon::workers::Net;
use causeway_net::{
    DatagramListenerOptions, Listener, StreamListenerOptions, TrustedProxies, UdpOptions,
    UdpSocket, steering,
};

use crate::ports::sockets::Socket;

/// What one worker listens on, in the order of the configuration.
#[derive(Default)]
pub(crate) struct Listeners {
    pub(crate) udp: Vec<(UdpSocket, DatagramListenerOptions)>,
    pub(crate) tcp: Vec<(Listener, StreamListenerOptions)>,
}

/// Binds every listener of every worker, in the workers' order and before any of them runs: the
/// kernel numbers the sockets of a group as they are bound, and steers by the number.
///
/// # Errors
/// An address is in use or not this host's.
pub(crate) fn bind(listen: &[Listen], net: &Net) -> Result<Vec<Listeners>> {
    let mut workers: Vec<Listeners> =
        (0..net.workers.get()).map(|_| Listeners::default()).collect();
    for (index, listen) in listen.iter().enumerate() {
        let named = |protocol: &str| {
            format!("listen[{index}].address: cannot listen on {} ({protocol})", listen.address)
        };
        let proxies = proxies(listen);
        let [plain, dtls, tcp, tls] =
            [Transport::Udp, Transport::Dtls, Transport::Tcp, Transport::Tls]
                .map(|transport| listen.has(transport));
        if plain || dtls {
            let listening = DatagramListenerOptions {
                tag: Socket::Listener.tag(),
                plain,
                dtls,
                proxies: proxies.clone(),
            };
            let sockets =
                bind_udp(listen.address, net, workers.len()).with_context(|| named("udp"))?;
            workers
                .iter_mut()
                .zip(sockets)
                .for_each(|(worker, socket)| worker.udp.push((socket, listening.clone())));
        }
        if tcp || tls {
            let listening = StreamListenerOptions { tag: 0, plain: tcp, tls, proxies };
            let group = steering::bind_tcp_group(listen.address, net.freebind, workers.len())
                .with_context(|| named("tcp"))?;
            workers
                .iter_mut()
                .zip(group)
                .for_each(|(worker, listener)| worker.tcp.push((listener, listening.clone())));
        }
    }
    memory::warn_of_buffers(
        workers.iter().flat_map(|worker| &worker.udp).map(|(socket, _)| socket.buffer_sizes()),
    );
    Ok(workers)
}

fn proxies(listen: &Listen) -> Option<Arc<TrustedProxies>> {
    let trusted = &listen.proxy_protocol.trusted;
    let prefixes = trusted.iter().map(|trusted| (trusted.addr(), trusted.prefix_len()));
    (!trusted.is_empty()).then(|| Arc::new(TrustedProxies::new(prefixes)))
}

fn bind_udp(address: SocketAddr, net: &Net, workers: usize) -> Result<Vec<UdpSocket>> {
    let options = UdpOptions {
        receive_buffer: net.receive_buffer,
        send_buffer: net.send_buffer,
        dont_fragment: net.dont_fragment,
        freebind: net.freebind,
        ..UdpOptions::LISTENER
    };
    let group = steering::bind_udp_group(address, &options, workers)?;
    if let Some(error) = group.unsteered {
        tracing::warn!(%address, %error, "the kernel steers by its own hash: clients of restored allocations may reach another worker");
    }
    let got = group.sockets[0].buffer_sizes();
    if got.receive < options.receive_buffer || got.send < options.send_buffer {
        let (receive, send) = (got.receive, got.send);
        let remedy = "raise net.core.rmem_max and net.core.wmem_max";
        tracing::warn!(%address, receive, send, remedy, "socket buffers are smaller than net.receive_buffer and net.send_buffer");
    }
    Ok(group.sockets)
}
