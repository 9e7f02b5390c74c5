//! A connection to one TURN server, and the TURN client that speaks over it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use causeway_client::{
    Allocated, Event, HEADROOM, Received, RequestError, Security, SendError, TAILROOM, TurnClient,
    TurnConfig,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::connection::Connection;
use super::handshake::{OpenError, Secured, Usage};
use super::target::Target;
use super::trust::Trust;

/// Maximum wait for the deletion of the allocation.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait when the client has no deadline.
const IDLE: Duration = Duration::from_secs(60);

/// A [`TurnClient`] on its socket. [`flush`](Self::flush), then take every
/// [`poll_event`](Self::poll_event), then [`wait`](Self::wait), and again.
#[derive(Debug)]
pub struct TurnConnection {
    connection: Connection,
    client: TurnClient,
    /// Where the time of `client` starts.
    start: Instant,
    server: SocketAddr,
    /// A little less than a request lasts: after a whole one, the client takes the allocation for
    /// deleted whether the server answered or not.
    patience: Duration,
}

/// A datagram from a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerDatagram {
    pub peer: SocketAddr,
    pub data: Vec<u8>,
}

/// Why data was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendFailure {
    /// The client did not accept the data.
    #[error(transparent)]
    Client(#[from] SendError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl TurnConnection {
    /// Opens a connection to the server and requests the allocation that `config` describes; see
    /// [`Target::turn_config`].
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn allocate(
        target: &Target,
        trust: &Trust,
        config: TurnConfig,
    ) -> Result<Self, OpenError> {
        let connection = Connection::open(target, Usage::Turn, trust).await?;
        Ok(Self::over(connection, config)?)
    }

    /// Requests an allocation over a connection that is open already.
    ///
    /// # Errors
    /// `InvalidInput` if the configuration contradicts itself.
    pub fn over(connection: Connection, config: TurnConfig) -> io::Result<Self> {
        let server = config.server;
        let patience = config.timing.over_udp().min(config.timing.reliable) * 99 / 100;
        let mut client = TurnClient::new(config, StdRng::from_rng(&mut rand::rng()));
        let start = Instant::now();
        client
            .allocate(Duration::ZERO)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(Self { connection, client, start, server, patience })
    }

    /// The result of the TLS or DTLS handshake.
    #[must_use]
    pub fn secured(&self) -> Option<&Secured> {
        self.connection.secured()
    }

    /// How requests are authenticated; `None` until the server requires it.
    #[must_use]
    pub fn security(&self) -> Option<Security> {
        self.client.security()
    }

    #[must_use]
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// The allocation, while it lasts.
    #[must_use]
    pub fn allocated(&self) -> Option<Allocated> {
        self.client.allocated()
    }

    /// Requests a permission (RFC 8656 §10).
    ///
    /// # Errors
    /// No allocation, or a peer of another family.
    pub fn permit(&mut self, peer: IpAddr) -> Result<(), RequestError> {
        self.client.permit(self.start.elapsed(), peer)
    }

    /// Requests a channel (RFC 8656 §12).
    ///
    /// # Errors
    /// No allocation, a peer of another family, or no free channel.
    pub fn bind(&mut self, peer: SocketAddr) -> Result<(), RequestError> {
        self.client.bind(self.start.elapsed(), peer)
    }

    /// Sends data to a peer: over its channel if there is one, otherwise in a Send indication.
    ///
    /// # Errors
    /// No permission yet, too much data, or the socket's error.
    pub async fn send(&mut self, peer: SocketAddr, data: &[u8]) -> Result<(), SendFailure> {
        let mut buffer = vec![0; HEADROOM + data.len() + TAILROOM];
        let range = HEADROOM..HEADROOM + data.len();
        buffer[range.clone()].copy_from_slice(data);
        let frame = self.client.wrap(self.start.elapsed(), peer, &mut buffer, range)?;
        Ok(self.connection.send(&buffer[frame]).await?)
    }

    /// Sends the client's pending requests. Not cancel safe over TCP, where it could leave half a
    /// frame.
    ///
    /// # Errors
    /// The socket's error.
    pub async fn flush(&mut self) -> io::Result<()> {
        while let Some(transmit) = self.client.poll_transmit() {
            self.connection.send(&transmit.payload).await?;
        }
        Ok(())
    }

    /// The next event of the client.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.client.poll_event()
    }

    /// Waits for one message of the server or the client's next deadline, and returns the peer's
    /// datagram if one arrived. Cancel safe.
    ///
    /// # Errors
    /// The socket's error; report it to the client with
    /// [`transport_failed`](Self::transport_failed).
    pub async fn wait(&mut self) -> io::Result<Option<PeerDatagram>> {
        let due = self.client.poll_timeout().unwrap_or_else(|| self.start.elapsed() + IDLE);
        tokio::select! {
            received = self.connection.receive() => {
                let message = received?;
                match self.client.handle_input(self.start.elapsed(), self.server, &message) {
                    Received::Data { peer, data } => {
                        Ok(Some(PeerDatagram { peer, data: data.to_vec() }))
                    }
                    Received::Consumed | Received::Discarded(_) => Ok(None),
                }
            }
            () = tokio::time::sleep_until((self.start + due).into()) => {
                self.client.handle_timeout(self.start.elapsed());
                Ok(None)
            }
        }
    }

    /// Tells the client that the socket failed: open requests fail, and over a stream the
    /// allocation is lost.
    pub fn transport_failed(&mut self) {
        self.client.handle_transport_error(self.start.elapsed());
    }

    /// Deletes the allocation (RFC 8656 §8.1), waits up to two seconds for the server's
    /// confirmation, and closes the connection. Returns whether the server confirmed.
    pub async fn close(self) -> bool {
        self.close_within(CLOSE_TIMEOUT).await
    }

    /// Like [`close`](Self::close), but waits until the client would give up the request: a check
    /// must not take two seconds of silence for an answer.
    pub async fn close_patiently(self) -> bool {
        let patience = self.patience;
        self.close_within(patience).await
    }

    async fn close_within(mut self, timeout: Duration) -> bool {
        self.client.close(self.start.elapsed());
        let closing = async {
            loop {
                self.flush().await?;
                while let Some(event) = self.client.poll_event() {
                    if event == Event::Closed {
                        return Ok::<(), io::Error>(());
                    }
                }
                self.wait().await?;
            }
        };
        // If the deletion fails, the allocation expires at the server.
        let confirmed =
            tokio::time::timeout(timeout, closing).await.is_ok_and(|closed| closed.is_ok());
        self.connection.close().await;
        confirmed
    }
}
