//! One socket from which Binding requests go to any of the server's addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use causeway_client::{Binding, BindingRequest, StunClient, StunConfig, Timing};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::UdpSocket;

use crate::check::StepError;

/// Larger than any Binding answer.
const MAX_ANSWER: usize = 2048;
/// Pause after a failed read.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

/// A socket that has not been used before, and so no mapping in any NAT.
#[derive(Debug)]
pub(super) struct Probe {
    socket: UdpSocket,
    client: StunClient,
    local: SocketAddr,
}

impl Probe {
    /// Opens one on this host's address.
    pub(super) async fn open(local: IpAddr, timeout: Duration) -> io::Result<Self> {
        let socket = UdpSocket::bind((local, 0)).await?;
        let local = socket.local_addr()?;
        let config = StunConfig { timing: timing(timeout), ..StunConfig::default() };
        Ok(Self { socket, client: StunClient::new(config, StdRng::from_rng(&mut rand::rng())), local })
    }

    /// Its address.
    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Sends a datagram that is not a request of its own.
    pub(super) async fn send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        self.socket.send_to(datagram, to).await.map(|_| ())
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

    /// One request, repeated until it is answered or the time is over.
    pub(super) async fn ask(&mut self, server: SocketAddr, request: BindingRequest) -> Result<Binding, StepError> {
        let id = self.client.bind(Instant::now(), server, request);
        let mut buffer = [0; MAX_ANSWER];
        loop {
            while let Some(transmit) = self.client.poll_transmit() {
                self.socket.send_to(&transmit.payload, transmit.destination).await?;
            }
            while let Some(event) = self.client.poll_event() {
                if event.id == id {
                    return Ok(event.outcome?);
                }
            }
            let due = self.client.poll_timeout().unwrap_or_else(Instant::now);
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => match received {
                    Ok((length, source)) => drop(self.client.handle_input(Instant::now(), source, &buffer[..length])),
                    // An ICMP error for an earlier datagram, on some systems: the answer may come all the same.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
                    Err(error) => return Err(error.into()),
                },
                () = tokio::time::sleep_until(due.into()) => self.client.handle_timeout(Instant::now()),
            }
        }
    }
}

/// Three requests, the last one waited for as long as the others together.
pub(super) fn timing(timeout: Duration) -> Timing {
    Timing { rto: timeout / 6, requests: 3, last_wait: 3, reliable: timeout }
}

/// This host's address on the way to the server; nothing is sent.
pub(super) async fn local_address(server: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    Ok(socket.local_addr()?.ip())
}
