//! One socket from which Binding requests go to any of the server's addresses.

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

/// Larger than any Binding answer.
const MAX_ANSWER: usize = 2048;
/// Pause after a failed read.
const ERROR_PAUSE: Duration = Duration::from_millis(10);
/// How long to wait where nothing is open.
const IDLE: Duration = Duration::from_secs(60);

/// A socket that has not been used before, and so no mapping in any NAT.
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
    /// When the request went out.
    pub(super) asked: Instant,
    /// The answer; [`Failure::TimedOut`] if none came.
    pub(super) outcome: Result<Binding, Failure>,
}

impl<S: Datagrams> ProbeSocket<S> {
    /// Uses this socket; each request is waited for as long as `timeout`.
    ///
    /// # Errors
    /// The socket's error.
    pub(super) fn over(socket: S, timeout: Duration) -> io::Result<Self> {
        let local = socket.local_addr()?;
        // Deviation: RFC 8489 §6.2.1: a request is not repeated. A test is repeated instead, as a
        // transaction of its own, in even steps and not more than ten a second (RFC 5780
        // §5): then each answer tells which request it belongs to, and so how many were lost.
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

    /// Its address.
    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Why the last request that could not be sent was not sent.
    pub(super) fn unsent(&self) -> Option<&io::Error> {
        self.unsent.as_ref()
    }

    /// Sends a datagram that is not a request of its own.
    pub(super) async fn send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        self.socket.send_to(datagram, to).await
    }

    /// Waits until this very datagram comes.
    pub(super) async fn receive(&self, datagram: &[u8]) {
        let mut buffer = [0; MAX_ANSWER];
        loop {
            match self.socket.recv_from(&mut buffer).await {
                Ok((length, _)) if buffer[..length] == *datagram => return,
                Ok(_) => {}
                // An ICMP error for an earlier datagram: what is waited for may come all the same.
                Err(_) => tokio::time::sleep(ERROR_PAUSE).await,
            }
        }
    }

    /// Sends one request; [`reply`](Self::reply) tells what becomes of it. A request that this host
    /// cannot send counts as lost: a full queue or a route that is away for a moment is no
    /// filter of the path.
    pub(super) async fn ask(&mut self, now: Instant, server: SocketAddr, request: BindingRequest) {
        let id = self.client.bind(now - self.start, server, request);
        self.open.insert(id, now);
        while let Some(transmit) = self.client.poll_transmit() {
            if let Err(error) = self.socket.send_to(&transmit.payload, transmit.destination).await {
                self.unsent = Some(error);
            }
        }
    }

    /// The next request that is answered or given up. Cancel safe.
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
                    Ok((length, source)) => drop(self.client.handle_input(self.start.elapsed(), source, &buffer[..length])),
                    // An ICMP error for an earlier datagram, on some systems: the answer may come all the same.
                    Err(_) => tokio::time::sleep(ERROR_PAUSE).await,
                },
                () = tokio::time::sleep_until(self.start + due) => self.client.handle_timeout(self.start.elapsed()),
            }
        }
    }
}

/// This host's address on the way to the server; nothing is sent.
pub(super) async fn local_address(server: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    Ok(socket.local_addr()?.ip())
}
