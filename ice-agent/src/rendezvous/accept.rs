//! Accepts connections, a bounded number of them, each with a deadline for its request's head.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at a time; the next ones wait in the kernel's backlog.
const MAX_CONNECTIONS: usize = 512;
/// From the first octet awaited to the end of the request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest life of a connection: longer than the longest poll, so that only an idle or hostile one meets it.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause after a failed accept, which means that descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves forever. Ends never; drop the future to stop.
pub(super) async fn serve(listener: TcpListener, router: axum::Router) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                causeway_cli::complain(format_args!("rendezvous: accept: {error}"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let _slot = slot;
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            // A connection that breaks or dawdles concerns its client alone.
            let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
        });
    }
}
