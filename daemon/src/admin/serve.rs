//! The listener: bound early, served later, everything bounded.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;

use super::places::{Place, Places};
use super::routes::{Health, Peer, is_health, router};
use super::settings::AdminSettings;
use crate::config::Secret;
use crate::metrics::Registry;

/// Maximum number of connections, where descriptors are not short.
pub(crate) const CONNECTIONS: usize = 32;
/// Maximum number of connections closed to make room before accepting pauses for a moment, so that
/// a client that opens connections in a loop does not take all of the control side's time.
const CLOSED_AT_ONCE: u32 = 4;
const PAUSE: Duration = Duration::from_millis(1);
/// The largest request line and headers, in bytes.
const REQUEST: usize = 16 << 10;
/// The time for a request's headers, and for the whole connection, which carries one request.
const HEADERS: Duration = Duration::from_secs(5);
const CONNECTION: Duration = Duration::from_secs(10);

/// A bound admin listener.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    token: Option<Secret>,
    connections: usize,
}

impl Admin {
    /// Binds the listener, so that a port in use ends the start; none where the settings want none.
    /// With `freebind` the host need not have its address.
    ///
    /// # Errors
    /// The operating system's, with the address.
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

    /// Sets the maximum number of connections, each of which is a descriptor; one address gets half
    /// of them.
    pub fn limit_connections(&mut self, maximum: usize) {
        self.connections = maximum;
    }

    /// The address that was bound.
    ///
    /// # Errors
    /// The operating system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until the future is dropped. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// The runtime refuses the socket.
    pub async fn serve(self, health: Arc<dyn Health>, metrics: Registry) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let router = router(health, metrics, self.token);
        let places = Places::new(self.connections);
        let mut closed_at_once = 0;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let (place, closed) = places.take(peer.ip().to_canonical());
                    let (number, router) = (place.number(), router.clone());
                    let task = tokio::spawn(async move {
                        // A client that is slow, leaves or speaks no HTTP concerns nobody else.
                        let _ =
                            tokio::time::timeout(CONNECTION, answer(stream, peer, router, place))
                                .await;
                    });
                    Place::watch(&places, number, task.abort_handle());
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
                // A request that is there already is read before the next connection can push its
                // own out.
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn answer(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    place: Place,
) -> Result<(), hyper::Error> {
    let inner = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        place.answering(is_health(request.uri().path()));
        inner.call(request)
    });
    http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(REQUEST)
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .await
}
