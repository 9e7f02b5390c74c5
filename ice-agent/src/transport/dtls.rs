//! DTLS 1.2 over a UDP socket (RFC 8489 §6.2.3).

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc_dtls::config::{ConfigBuilder, HandshakeConfig};
use rtc_dtls::crypto_provider;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rustls::AlertDescription;
use rustls::pki_types::CertificateDer;
use tokio::net::UdpSocket;

use super::certificate_verifier::CertificateVerifier;
use super::handshake::{OpenError, Secured};
use super::trust::Trust;

const PROTOCOL: &str = "DTLS";
/// How long to wait before a flight is retransmitted for the first time.
const FLIGHT_INTERVAL: Duration = Duration::from_millis(500);
/// Maximum size of a datagram that UDP allows.
const MAX_DATAGRAM: usize = 65_535;

/// An association with one server, over a connected socket.
pub(super) struct DtlsConnection {
    socket: UdpSocket,
    server: SocketAddr,
    endpoint: Endpoint,
    buffer: Vec<u8>,
    /// Received data that the caller has not taken yet.
    ready: VecDeque<Vec<u8>>,
    complete: bool,
}

impl fmt::Debug for DtlsConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DtlsConnection")
            .field("server", &self.server)
            .field("complete", &self.complete)
            .finish_non_exhaustive()
    }
}

impl DtlsConnection {
    /// Performs the handshake with the server over `socket`, which is connected to it; the
    /// certificate must be for `name`. The caller limits the time.
    pub(super) async fn connect(
        socket: UdpSocket,
        name: &str,
        trust: &Trust,
    ) -> Result<(Self, Secured), OpenError> {
        let (local, server) = (socket.local_addr()?, socket.peer_addr()?);
        let verifier = trust.verifier_for(name);
        let fail = |reason: String| {
            OpenError::of_handshake(PROTOCOL, reason, verifier.seen(), trust.must_verify())
        };
        let config = config(name, server, verifier.clone()).map_err(fail)?;
        let endpoint = Endpoint::new(local, Default::default(), None);
        let mut connection = Self {
            socket,
            server,
            endpoint,
            buffer: vec![0; MAX_DATAGRAM],
            ready: VecDeque::new(),
            complete: false,
        };
        connection
            .endpoint
            .connect(Instant::now(), server, Arc::new(config), None)
            .map_err(|error| fail(error.to_string()))?;
        while !connection.complete {
            connection.flush().await?;
            let due = connection
                .endpoint
                .poll_timeout(&server)
                .unwrap_or_else(|| Instant::now() + FLIGHT_INTERVAL);
            let step = tokio::select! {
                received = connection.socket.recv(&mut connection.buffer) => {
                    let length = received?;
                    connection.take(length)
                }
                () = tokio::time::sleep_until(due.into()) => {
                    let handled = connection.endpoint.handle_timeout(server, Instant::now());
                    handled.map_err(|error| error.to_string())
                }
            };
            if let Err(reason) = step {
                // Send the alert that tells the server the reason.
                let _ = connection.flush().await;
                return Err(fail(reason));
            }
        }
        connection.flush().await?;
        let suite =
            connection.endpoint.get_connection_state(server).and_then(|state| state.cipher_suite());
        let cipher = suite.map_or_else(String::new, |suite| suite.id().to_string());
        let presented = verifier.seen().ok_or_else(|| OpenError::Handshake {
            protocol: PROTOCOL,
            reason: "the server presented no certificate".into(),
        })?;
        // Deviation: RFC 7443 §1: ALPN does not announce the usage over DTLS, since the library does
        // not support it; servers work without it.
        Ok((connection, Secured { version: "DTLS 1.2", cipher, alpn: None, presented }))
    }

    pub(super) async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.endpoint
            .write(Instant::now(), self.server, message)
            .map_err(|error| io::Error::other(error.to_string()))?;
        self.flush().await
    }

    /// Receives the data of the next record. Cancel safe: anything that the association still has
    /// to send goes out with the next call.
    pub(super) async fn receive(&mut self) -> io::Result<Vec<u8>> {
        loop {
            self.flush().await?;
            if let Some(data) = self.ready.pop_front() {
                return Ok(data);
            }
            if self.endpoint.get_connection_state(self.server).is_none() {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the server closed the DTLS association",
                ));
            }
            let length = self.socket.recv(&mut self.buffer).await?;
            self.take(length).map_err(io::Error::other)?;
        }
    }

    /// Closes the association with close_notify.
    pub(super) async fn close(&mut self) -> io::Result<()> {
        self.endpoint.stop(Instant::now(), self.server);
        self.flush().await
    }

    /// Processes a datagram: the first `length` bytes of the buffer. After the handshake, datagrams
    /// that are not valid records are ignored.
    fn take(&mut self, length: usize) -> Result<(), String> {
        let datagram = &self.buffer[..length];
        let events = match self.endpoint.read(Instant::now(), self.server, None, datagram.into()) {
            Ok(events) => events,
            Err(_) if self.complete => return Ok(()),
            Err(error) => {
                return Err(alert(datagram).map_or_else(
                    || error.to_string(),
                    |alert| format!("the server sent the alert {alert:?}"),
                ));
            }
        };
        for event in events {
            match event {
                EndpointEvent::HandshakeComplete => self.complete = true,
                EndpointEvent::ApplicationData(data) => self.ready.push_back(data.to_vec()),
                // The association is closed; `receive` reports that.
                _ => {}
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            self.socket.send(&transmit.message).await?;
        }
        Ok(())
    }
}

/// The library's own verification does not report the certificates that it refused, so ours
/// replaces it.
fn config(
    name: &str,
    server: SocketAddr,
    verifier: Arc<CertificateVerifier>,
) -> Result<HandshakeConfig, String> {
    let verify = move |raw: &[Vec<u8>], _: &[CertificateDer<'static>]| {
        let chain = raw.iter().map(|der| CertificateDer::from(der.clone())).collect();
        verifier.judge(chain).map_err(|error| io::Error::other(error).into())
    };
    let provider = crypto_provider::default_provider().map_err(|error| error.to_string())?;
    ConfigBuilder::default()
        .with_crypto_provider(provider)
        .with_flight_interval(FLIGHT_INTERVAL)
        .with_insecure_skip_verify(true)
        .with_verify_peer_certificate(Some(Arc::new(verify)))
        .with_server_name(name.into())
        .build(true, Some(server))
        .map_err(|error| error.to_string())
}

/// The alert in a datagram, if it is one that is not encrypted (RFC 6347 §4.1: 13 bytes of header,
/// the content type first).
fn alert(datagram: &[u8]) -> Option<AlertDescription> {
    const ALERT: u8 = 21;
    match datagram {
        [ALERT, _, _, 0, 0, rest @ ..] => {
            rest.get(9).map(|description| AlertDescription::from(*description))
        }
        _ => None,
    }
}
