//! One allocation over one socket.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use causeway_client::{Allocated, Event, HEADROOM, Received, TAILROOM, Timing, TurnClient, TurnConfig};
use causeway_wire::attribute::AddressFamily;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::step::StepError;
use crate::credentials::Credentials;
use crate::net::leg::Leg;
use crate::uri::Transport;

/// Longest wait for the deletion of the allocation.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A datagram from a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// Who sent it.
    pub peer: SocketAddr,
    /// What.
    pub data: Vec<u8>,
}

/// A [`TurnClient`] with its socket. Between the calls [`flush`](Self::flush) and [`wait`](Self::wait) by turns.
#[derive(Debug)]
pub struct Relay {
    leg: Leg,
    client: TurnClient,
    server: SocketAddr,
}

impl Relay {
    /// Opens the socket; nothing is sent over UDP.
    ///
    /// # Errors
    /// The socket's error.
    pub async fn connect(server: SocketAddr, transport: Transport, credentials: Option<&Credentials>, timing: Timing) -> io::Result<Self> {
        let leg = Leg::connect(server, transport).await?;
        let credentials = credentials.map(|own| causeway_client::Credentials::new(own.username.as_str(), own.password.as_str()));
        let mut config = TurnConfig::new(server, client_transport(transport), credentials);
        config.timing = timing;
        config.family = server.is_ipv6().then_some(AddressFamily::Ipv6);
        Ok(Self { leg, client: TurnClient::new(config, StdRng::from_rng(&mut rand::rng())), server })
    }

    /// The server's address.
    #[must_use]
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// RFC 8656 §7.
    ///
    /// # Errors
    /// What came instead of an allocation.
    pub async fn allocate(&mut self) -> Result<Allocated, StepError> {
        self.client.allocate(Instant::now())?;
        self.until(|event| match event {
            Event::Allocated(allocated) => Some(*allocated),
            _ => None,
        })
        .await
    }

    /// RFC 8656 §10.
    ///
    /// # Errors
    /// What came instead of the permission.
    pub async fn permit(&mut self, peer: IpAddr) -> Result<(), StepError> {
        self.client.permit(Instant::now(), peer)?;
        self.until(|event| (*event == Event::PermissionInstalled { peer }).then_some(())).await
    }

    /// RFC 8656 §12; the channel's number.
    ///
    /// # Errors
    /// What came instead of the channel.
    pub async fn bind(&mut self, peer: SocketAddr) -> Result<u16, StepError> {
        self.client.bind(Instant::now(), peer)?;
        self.until(|event| match event {
            Event::ChannelBound { peer: bound, number } if *bound == peer => Some(number.number()),
            _ => None,
        })
        .await
    }

    /// Sends to a peer: over its channel, else in a Send indication.
    ///
    /// # Errors
    /// No permission, too much data, or the socket's error.
    pub async fn send(&mut self, peer: SocketAddr, data: &[u8]) -> Result<(), StepError> {
        let mut buffer = vec![0; HEADROOM + data.len() + TAILROOM];
        let range = HEADROOM..HEADROOM + data.len();
        buffer[range.clone()].copy_from_slice(data);
        let frame = self.client.wrap(Instant::now(), peer, &mut buffer, range)?;
        Ok(self.leg.send(&buffer[frame]).await?)
    }

    /// Sends what the client wants to be sent. Not cancel safe over TCP: half a frame would be left.
    ///
    /// # Errors
    /// The socket's error, or the loss of the allocation.
    pub async fn flush(&mut self) -> Result<(), StepError> {
        while let Some(transmit) = self.client.poll_transmit() {
            self.leg.send(&transmit.payload).await?;
        }
        Ok(())
    }

    /// Takes one message from the server, or does what is due; the datagram if one came. Cancel safe.
    ///
    /// # Errors
    /// The socket's error.
    pub async fn wait(&mut self) -> Result<Option<Datagram>, StepError> {
        let due = self.client.poll_timeout().unwrap_or_else(|| Instant::now() + Duration::from_secs(60));
        tokio::select! {
            received = self.leg.receive() => {
                let bytes = received?;
                match self.client.handle_input(Instant::now(), self.server, &bytes) {
                    Received::Data { peer, data } => Ok(Some(Datagram { peer, data: data.to_vec() })),
                    Received::Consumed | Received::Discarded(_) => Ok(None),
                }
            }
            () = tokio::time::sleep_until(due.into()) => {
                self.client.handle_timeout(Instant::now());
                Ok(None)
            }
        }
    }

    /// Deletes the allocation (RFC 8656 §8.1).
    ///
    /// # Errors
    /// The socket's error, or no answer.
    pub async fn close(mut self) -> Result<(), StepError> {
        self.client.close(Instant::now());
        let closing = self.until(|event| (*event == Event::Closed).then_some(()));
        tokio::time::timeout(CLOSE_TIMEOUT, closing).await.unwrap_or(Err(StepError::Failed(causeway_client::Failure::TimedOut)))
    }

    /// Runs until an event is what is waited for, or a failure. Data that comes meanwhile is dropped.
    async fn until<T>(&mut self, wanted: impl Fn(&Event) -> Option<T>) -> Result<T, StepError> {
        loop {
            self.flush().await?;
            while let Some(event) = self.client.poll_event() {
                if let Some(found) = wanted(&event) {
                    return Ok(found);
                }
                match event {
                    Event::Failed { failure, .. } => return Err(failure.into()),
                    Event::Lost(_) => return Err(StepError::Lost),
                    _ => {}
                }
            }
            self.wait().await?;
        }
    }
}

/// The client's own name for a transport.
pub(super) fn client_transport(transport: Transport) -> causeway_client::Transport {
    match transport {
        Transport::Udp => causeway_client::Transport::Udp,
        Transport::Tcp => causeway_client::Transport::Tcp,
    }
}
