//! Accepts connections. Each carries one request, and each part of it has a deadline.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use causeway_cli::complain;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use super::caller::{Caller, Trusted, read_proxy_header};
use super::http::LONGEST_WAIT;
use super::slots::{Slot, Slots};
use super::tls::ServerTls;

/// Maximum time for the PROXY protocol header.
const PROXY_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum time for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum time for the header of the request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum lifetime of a connection without a member's token.
const UNAUTHENTICATED_TIMEOUT: Duration = Duration::from_secs(15);
/// How much longer a member's connection may live.
const MEMBER_TIMEOUT: Duration = LONGEST_WAIT.saturating_add(Duration::from_secs(15));
/// Maximum size of a request's header, in bytes.
const MAX_HEADER: usize = 16 * 1024;
/// Maximum number of lines in a header.
const MAX_HEADER_LINES: usize = 64;
/// Pause after a failed accept, which usually means that no descriptor is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The parts that every connection uses.
pub(super) struct Service {
    pub(super) slots: Arc<Slots>,
    pub(super) trusted: Arc<Trusted>,
    pub(super) tls: Option<Arc<ServerTls>>,
    pub(super) router: Router,
}

/// Serves forever; drop the future to stop.
pub(super) async fn serve(listener: TcpListener, service: Service) {
    let service = Arc::new(service);
    let mut is_reported = false;
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                is_reported = false;
                tokio::spawn(serve_one(Arc::clone(&service), stream, from));
            }
            Err(error) => {
                if !std::mem::replace(&mut is_reported, true) {
                    complain(format_args!("rendezvous: cannot accept connections: {error}"));
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_one(service: Arc<Service>, stream: TcpStream, from: SocketAddr) {
    let address = from.ip().to_canonical();
    let speaks_for_others =
        service.trusted.speaks_proxy_protocol(address) || service.trusted.forwards(address);
    let slot = Arc::new(service.slots.enter((!speaks_for_others).then_some(address)));
    tokio::select! {
        () = handle(&service, stream, address, Arc::clone(&slot)) => {}
        () = slot.evicted() => {}
        () = overdue(&slot) => {}
    }
}

/// Resolves when the connection has reached its maximum lifetime.
async fn overdue(slot: &Slot) {
    tokio::time::sleep(UNAUTHENTICATED_TIMEOUT).await;
    if !slot.is_unauthenticated() {
        tokio::time::sleep(MEMBER_TIMEOUT).await;
    }
}

async fn handle(service: &Service, mut stream: TcpStream, from: IpAddr, slot: Arc<Slot>) {
    let mut address = from;
    if service.trusted.speaks_proxy_protocol(from) {
        match tokio::time::timeout(PROXY_TIMEOUT, read_proxy_header(&mut stream)).await {
            Ok(Ok(Some(client))) => {
                address = client;
                if !service.trusted.forwards(client) {
                    slot.identify(client);
                }
            }
            // A health check by the proxy itself.
            Ok(Ok(None)) => {}
            Ok(Err(reason)) => return complain_once(from, &reason),
            Err(_) => return complain_once(from, "the header did not arrive in time"),
        }
    }
    let _ = stream.set_nodelay(true);
    let caller = Caller { address, trusted: Arc::clone(&service.trusted), slot };
    match &service.tls {
        Some(tls) => {
            let handshake = tls.acceptor().accept(stream);
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
                exchange(&service.router, stream, caller).await;
            }
        }
        None => exchange(&service.router, stream, caller).await,
    }
}

/// Serves one request. An error concerns only the client of this connection.
async fn exchange(router: &Router, stream: impl AsyncRead + AsyncWrite + Unpin, caller: Caller) {
    let service = TowerToHyperService::new(router.clone().layer(Extension(caller)));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER)
        .max_headers(MAX_HEADER_LINES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let _ = connection.await;
}

/// Reports a proxy that does not name its client, but only once, so that such connections cannot
/// flood the log.
fn complain_once(from: IpAddr, reason: &str) {
    static TOLD: std::sync::Once = std::sync::Once::new();
    TOLD.call_once(|| {
        complain(format_args!(
            "rendezvous: a connection of the trusted proxy {from} has no valid PROXY header: \
                         {reason}; further ones are not reported"
        ));
    });
}
