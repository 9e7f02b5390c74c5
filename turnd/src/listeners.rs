use std::net::SocketAddr;

use anyhow::{Context, Result};
use causeway_daemon::config::{Listen, Transport};
use causeway_daemon::workers::Net;
use causeway_net::{Listener, UdpOptions, UdpSocket, steering};

/// What one worker listens on, in the order of the configuration.
#[derive(Default)]
pub(crate) struct Listeners {
    pub(crate) udp: Vec<UdpSocket>,
    pub(crate) tcp: Vec<Listener>,
}

/// Binds every listener of every worker, in the workers' order and before any of them runs: the kernel numbers the sockets of a group as
/// they are bound, and steers by the number.
///
/// # Errors
/// An address is in use or not this host's.
pub(crate) fn bind(listen: &[Listen], net: &Net) -> Result<Vec<Listeners>> {
    let mut workers: Vec<Listeners> = (0..net.workers.get()).map(|_| Listeners::default()).collect();
    for (index, listen) in listen.iter().enumerate() {
        for transport in &listen.transports {
            let named = || format!("listen[{index}].address: cannot listen on {} ({transport})", listen.address);
            match transport {
                Transport::Udp => bind_udp(listen.address, net, &mut workers).with_context(named)?,
                Transport::Tcp => {
                    let group = steering::bind_tcp_group(listen.address, workers.len()).with_context(named)?;
                    workers.iter_mut().zip(group).for_each(|(worker, listener)| worker.tcp.push(listener));
                }
            }
        }
    }
    Ok(workers)
}

fn bind_udp(address: SocketAddr, net: &Net, workers: &mut [Listeners]) -> Result<()> {
    let options = UdpOptions { receive_buffer: net.receive_buffer, send_buffer: net.send_buffer, ..UdpOptions::LISTENER };
    let group = steering::bind_udp_group(address, &options, workers.len())?;
    if let Some(error) = group.unsteered {
        tracing::warn!(%address, %error, "the kernel steers by its own hash: clients of restored allocations may reach another worker");
    }
    let got = group.sockets[0].buffer_sizes();
    if got.receive < options.receive_buffer || got.send < options.send_buffer {
        let (receive, send) = (got.receive, got.send);
        let remedy = "raise net.core.rmem_max and net.core.wmem_max";
        tracing::warn!(%address, receive, send, remedy, "socket buffers are smaller than net.receive_buffer and net.send_buffer");
    }
    workers.iter_mut().zip(group.sockets).for_each(|(worker, socket)| worker.udp.push(socket));
    Ok(())
}
