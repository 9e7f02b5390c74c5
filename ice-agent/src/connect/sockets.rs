//! The sockets of the host candidates, each read by a task of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Longest datagram that is taken; ours and the engine's are shorter.
const MAX_DATAGRAM: usize = 2048;
/// Pause after a failed read.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

/// What came to a host candidate.
#[derive(Debug)]
pub(super) struct HostDatagram {
    /// The socket's address.
    pub(super) base: SocketAddr,
    /// Who sent it.
    pub(super) from: SocketAddr,
    /// What.
    pub(super) datagram: Vec<u8>,
}

/// The sockets by their addresses. When dropped, the readers end.
#[derive(Debug)]
pub(super) struct HostSockets {
    sockets: Vec<(SocketAddr, Arc<UdpSocket>)>,
    _readers: JoinSet<()>,
}

impl HostSockets {
    /// Begins to read. A reader waits while `events` is full, and the kernel drops then.
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

    /// The addresses.
    pub(super) fn bases(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(|(base, _)| *base).collect()
    }

    /// Sends from one of them. A destination that cannot be reached is one that does not answer.
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
            // Windows reports the ICMP error of an earlier datagram here; the socket is as good as
            // before.
            Err(_) => tokio::time::sleep(ERROR_PAUSE).await,
        }
    }
}
