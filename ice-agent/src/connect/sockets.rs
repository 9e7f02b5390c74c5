//! The sockets of the host candidates, each with a task that receives.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Maximum size of a datagram that is received; ours and the engine's are smaller.
const MAX_DATAGRAM: usize = 2048;
/// Pause after a failed read.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

/// A datagram that arrived at a host candidate.
#[derive(Debug)]
pub(super) struct HostDatagram {
    pub(super) base: SocketAddr,
    pub(super) from: SocketAddr,
    pub(super) datagram: Vec<u8>,
}

/// The sockets by their addresses. The receiving tasks end when this is dropped.
#[derive(Debug)]
pub(super) struct HostSockets {
    sockets: Vec<(SocketAddr, Arc<UdpSocket>)>,
    _readers: JoinSet<()>,
}

impl HostSockets {
    /// Starts to receive. While `events` is full, the task waits and the kernel drops datagrams.
    pub(super) fn start<E: From<HostDatagram> + Send + 'static>(
        sockets: Vec<UdpSocket>,
        events: &mpsc::Sender<E>,
    ) -> Self {
        let mut readers = JoinSet::new();
        let mut started = Vec::new();
        for socket in sockets {
            let Ok(base) = socket.local_addr() else { continue };
            let socket = Arc::new(socket);
            readers.spawn(read(base, Arc::clone(&socket), events.clone()));
            started.push((base, socket));
        }
        Self { sockets: started, _readers: readers }
    }

    /// The addresses of the sockets.
    pub(super) fn bases(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(|(base, _)| *base).collect()
    }

    /// Sends from one of the sockets. An error counts like a destination that does not answer.
    pub(super) async fn send(&self, base: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        if let Some((_, socket)) = self.sockets.iter().find(|(address, _)| *address == base) {
            let _ = socket.send_to(datagram, to).await;
        }
    }
}

async fn read<E: From<HostDatagram>>(
    base: SocketAddr,
    socket: Arc<UdpSocket>,
    events: mpsc::Sender<E>,
) {
    let mut buffer = [0; MAX_DATAGRAM];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) => {
                let datagram = buffer[..length].to_vec();
                if events.send(HostDatagram { base, from, datagram }.into()).await.is_err() {
                    return;
                }
            }
            // Windows reports the ICMP error of an earlier datagram here; the socket still works.
            Err(_) => tokio::time::sleep(ERROR_PAUSE).await,
        }
    }
}
