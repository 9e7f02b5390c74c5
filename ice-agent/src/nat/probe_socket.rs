//! A socket that sends Binding requests to any of the server's addresses.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use causeway_client::{
    Binding, BindingId, BindingRequest, Failure, StunClient, StunConfig, Timing,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::network::Datagrams;

/// Maximum size of a datagram that is received; Binding responses are smaller.
const MAX_ANSWER: usize = 2048;
/// Pause after a failed read.
const ERROR_PAUSE: Duration = Duration::from_millis(10);
/// How long to wait if no request is open.
const IDLE: Duration = Duration::from_secs(60);

/// A fresh socket, which has no mapping in any NAT yet.
#[derive(Debug)]
pub(super) struct ProbeSocket<S> {
    socket: S,
    client: StunClient,
    /// The client counts time from here.
    start: Instant,
    local: SocketAddr,
    open: HashMap<BindingId, Instant>,
    unsent: Option<io::Error>,
}

/// The end of one request.
#[derive(Debug)]
pub(super) struct Reply {
    /// When the request was sent.
    pub(super) asked: Instant,
    /// The answer; [`Failure::TimedOut`] if none came.
    pub(super) outcome: Result<Binding, Failure>,
}

impl<S: Datagrams> ProbeSocket<S> {
    /// Uses this socket; each request has this timeout.
    ///
    /// # Errors
    /// The socket's error.
    pub(super) fn over(socket: S, timeout: Duration) -> io::Result<Self> {
        let local = socket.local_addr()?;
        // Deviation: RFC 8489 §6.2.1: a request is not retransmitted. The test sends new
        // transactions instead, at even intervals and not more than ten a second (RFC 5780 §5):
        // then each answer shows which request it belongs to, and so how many were lost.
        let timing =
            Timing { rto: timeout, longest: timeout, requests: 1, last_wait: 1, reliable: timeout };
        let config = StunConfig { timing, ..StunConfig::default() };
        let client = StunClient::new(config, StdRng::from_rng(&mut rand::rng()));
        Ok(Self {
            socket,
            client,
            start: Instant::now(),
            local,
            open: HashMap::new(),
            unsent: None,
        })
    }

    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// The error of the last request that could not be sent.
    pub(super) fn unsent(&self) -> Option<&io::Error> {
        self.unsent.as_ref()
    }

    /// Sends a datagram that this socket does not track as a request.
    pub(super) async fn send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        self.socket.send_to(datagram, to).await
    }

    /// Waits until exactly this datagram arrives.
    pub(super) async fn receive(&self, datagram: &[u8]) {
        let mut buffer = [0; MAX_ANSWER];
        loop {
            match self.socket.recv_from(&mut buffer).await {
                Ok((length, _)) if buffer[..length] == *datagram => return,
                Ok(_) => {}
                // An ICMP error for an earlier datagram: the expected one may still arrive.
                Err(_) => tokio::time::sleep(ERROR_PAUSE).await,
            }
        }
    }

    /// Sends one request; [`reply`](Self::reply) returns its result. A request that this host
    /// cannot send counts as lost: a full queue or a missing route is no filter on the path.
    pub(super) async fn ask(&mut self, now: Instant, server: SocketAddr, request: BindingRequest) {
        let id = self.client.bind(now - self.start, server, request);
        self.open.insert(id, now);
        while let Some(transmit) = self.client.poll_transmit() {
            if let Err(error) = self.socket.send_to(&transmit.payload, transmit.destination).await {
                self.unsent = Some(error);
            }
        }
    }

    /// Waits for the next request that is answered or times out. Cancel safe.
    pub(super) async fn reply(&mut self) -> Reply {
        let mut buffer = [0; MAX_ANSWER];
        loop {
            while let Some(event) = self.client.poll_event() {
                if let Some(asked) = self.open.remove(&event.id) {
                    return Reply { asked, outcome: event.outcome };
                }
            }
            let due = self.client.poll_timeout().unwrap_or_else(|| self.start.elapsed() + IDLE);
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => match received {
                    Ok((length, source)) => {
                        let (now, datagram) = (self.start.elapsed(), &buffer[..length]);
                        let _ = self.client.handle_input(now, source, datagram);
                    }
                    // Some systems report an ICMP error for an earlier datagram: the answer may
                    // still come.
                    Err(_) => tokio::time::sleep(ERROR_PAUSE).await,
                },
                () = tokio::time::sleep_until(self.start + due) => {
                    self.client.handle_timeout(self.start.elapsed());
                }
            }
        }
    }
}

/// This host's source address for the server; sends nothing.
pub(super) async fn local_address(server: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    Ok(socket.local_addr()?.ip())
}
