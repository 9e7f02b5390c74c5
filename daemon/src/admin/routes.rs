//! The three routes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::bearer;
use crate::config::Secret;
use crate::log::{self, Refusal};
use crate::metrics::{Format, Registry};

/// The age of a heartbeat from which its worker counts as stuck.
pub const STALE_HEARTBEAT: Duration = Duration::from_secs(5);

/// The state of a service, which each request queries.
pub trait Health: Send + Sync + 'static {
    /// Whether the process works.
    ///
    /// # Errors
    /// The reason to restart it, in a line.
    fn health(&self) -> Result<(), String>;

    /// Whether to send new clients here.
    ///
    /// # Errors
    /// The reason not to, in a line.
    fn readiness(&self) -> Result<(), String>;
}

/// Checks the ages of the workers' heartbeats, in the workers' order: [`Health::health`] of a
/// service with workers.
///
/// # Errors
/// Names the first worker whose heartbeat is [`STALE_HEARTBEAT`] old.
pub fn heartbeat_problem(ages: impl IntoIterator<Item = Duration>) -> Result<(), String> {
    match ages.into_iter().enumerate().find(|(_, age)| *age >= STALE_HEARTBEAT) {
        Some((worker, age)) => {
            Err(format!("worker {worker} has not moved for {} s", age.as_secs()))
        }
        None => Ok(()),
    }
}

#[derive(Clone)]
struct Answers {
    health: Arc<dyn Health>,
    metrics: Registry,
    token: Option<Secret>,
}

/// The source address of a request.
#[derive(Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Whether a path is one of the two health checks.
pub(super) fn is_health(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz")
}

/// The routes, which require the token if there is one.
pub(super) fn router(health: Arc<dyn Health>, metrics: Registry, token: Option<Secret>) -> Router {
    let answers = Answers { health, metrics, token };
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape))
        .fallback(|| async { (StatusCode::NOT_FOUND, "not found\n") })
        .layer(from_fn_with_state(answers.clone(), authorize))
        .with_state(answers)
}

async fn authorize(State(answers): State<Answers>, request: Request, next: Next) -> Response {
    let Err(reason) = bearer::authorize(request.headers(), answers.token.as_ref()) else {
        return next.run(request).await;
    };
    if let Some(&Peer(source)) = request.extensions().get() {
        log::refusal(&Refusal { source, local: None, reason, detail: None });
    }
    (
        StatusCode::UNAUTHORIZED,
        [(header::WWW_AUTHENTICATE, "Bearer")],
        "a bearer token is required\n",
    )
        .into_response()
}

async fn healthz(State(answers): State<Answers>) -> Response {
    state(answers.health.health())
}

async fn readyz(State(answers): State<Answers>) -> Response {
    state(answers.health.readiness())
}

fn state(state: Result<(), String>) -> Response {
    match state {
        Ok(()) => "ok\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn scrape(State(answers): State<Answers>, headers: HeaderMap) -> Response {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let format = Format::wanted(accepted);
    match answers.metrics.encode(format) {
        Ok(text) => ([(header::CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
