//! The listener: bound early, served later, everything bounded.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::routes::{Health, router};
use super::settings::AdminSettings;
use crate::config::Secret;
use crate::metrics::Registry;

/// Connections that are answered at a time; more of them wait in the kernel's queue.
const CONNECTIONS: usize = 32;
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
}

impl Admin {
    /// Binds the listener, so that a port in use ends the start; none where the settings want none.
    ///
    /// # Errors
    /// The operating system's, with the address.
    pub fn bind(settings: &AdminSettings) -> io::Result<Option<Self>> {
        let Some(address) = settings.listen else { return Ok(None) };
        let named = |error: io::Error| io::Error::new(error.kind(), format!("admin.listen {address}: {error}"));
        let listener = TcpListener::bind(address).map_err(named)?;
        listener.set_nonblocking(true).map_err(named)?;
        Ok(Some(Admin { listener, token: settings.token.clone() }))
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
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
            match listener.accept().await {
                Ok((stream, _)) => {
                    let router = router.clone();
                    tokio::spawn(async move {
                        // A client that is slow, leaves or speaks no HTTP concerns nobody else.
                        let _ = tokio::time::timeout(CONNECTION, answer(stream, router)).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin listener cannot accept; waiting");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn answer(stream: TcpStream, router: Router) -> Result<(), hyper::Error> {
    http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(REQUEST)
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await
}
