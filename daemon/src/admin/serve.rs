//! The listener: bound early, served later, with limits on all resources.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::routes::{Health, Routes, is_health};
use super::settings::AdminSettings;
use super::slots::{Slot, Slots};
use crate::config::Secret;
use crate::metrics::Registry;

/// Maximum number of connections, where descriptors are not scarce.
pub(crate) const CONNECTIONS: usize = 32;
/// Maximum number of connections closed to make room before accepting pauses for a moment, so that
/// a client that opens connections in a loop does not take all of the control side's time.
const CLOSED_AT_ONCE: u32 = 4;
/// How long accepting pauses then.
const PAUSE: Duration = Duration::from_millis(1);
/// Maximum size of the request line and headers, in bytes.
const MAX_REQUEST: usize = 16 << 10;
/// Maximum time for a request's headers.
const HEADERS: Duration = Duration::from_secs(5);
/// Maximum time for a connection, which carries one request.
const CONNECTION: Duration = Duration::from_secs(10);

/// A bound admin listener.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    token: Option<Secret>,
    connections: usize,
}

impl Admin {
    /// Binds the listener early, so that a port in use makes the start fail; `None` if the settings
    /// have no listener. With `freebind` the host does not need the address.
    ///
    /// # Errors
    /// The error of the operating system, with the address.
    pub fn bind(settings: &AdminSettings, freebind: bool) -> io::Result<Option<Self>> {
        let Some(address) = settings.listen else { return Ok(None) };
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("admin.listen {address}: {error}"))
        };
        let bound =
            if freebind { causeway_net::bind_freely(address) } else { TcpListener::bind(address) };
        let listener = bound.map_err(named)?;
        listener.set_nonblocking(true).map_err(named)?;
        Ok(Some(Admin { listener, token: settings.token.clone(), connections: CONNECTIONS }))
    }

    /// Sets the maximum number of connections, each of which takes a descriptor. One address gets
    /// at most half of them.
    pub fn limit_connections(&mut self, maximum: usize) {
        self.connections = maximum;
    }

    /// The bound address.
    ///
    /// # Errors
    /// The error of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the future is dropped. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// The runtime refuses the socket.
    pub async fn serve(self, health: Arc<dyn Health>, metrics: Registry) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let routes = Arc::new(Routes { health, metrics, token: self.token });
        let slots = Slots::new(self.connections);
        let mut closed_at_once = 0;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let (slot, closed) = slots.take(peer.ip().to_canonical());
                    let (number, routes) = (slot.number(), Arc::clone(&routes));
                    let task = tokio::spawn(async move {
                        // A client that is slow, leaves or does not speak HTTP affects no other.
                        let _ =
                            tokio::time::timeout(CONNECTION, answer(stream, peer, &routes, &slot))
                                .await;
                    });
                    Slot::watch(&slots, number, task.abort_handle());
                    closed_at_once = if closed { closed_at_once + 1 } else { 0 };
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin listener cannot accept; waiting");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            if closed_at_once >= CLOSED_AT_ONCE {
                closed_at_once = 0;
                tokio::time::sleep(PAUSE).await;
            } else {
                // A request that has arrived is read before the next connection can displace its
                // own.
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn answer(
    stream: TcpStream,
    peer: SocketAddr,
    routes: &Routes,
    slot: &Slot,
) -> Result<(), hyper::Error> {
    let service = service_fn(|request: Request<Incoming>| {
        slot.answering(is_health(request.uri().path()));
        let response = routes.answer(peer, &request);
        async { Ok::<_, Infallible>(response) }
    });
    http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(MAX_REQUEST)
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .await
}
