//! The three routes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};

use super::bearer;
use crate::config::Secret;
use crate::log::{self, Refusal};
use crate::metrics::{Format, Registry};

/// The age of a heartbeat from which its worker counts as stuck.
pub const STALE_HEARTBEAT: Duration = Duration::from_secs(5);

/// The media type of every answer but metrics.
const TEXT: &str = "text/plain; charset=utf-8";

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

/// Checks the ages of the workers' heartbeats, in the workers' order: [`Health::health`] of a service
/// with workers.
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

/// Whether a path is one of the two health checks.
pub(super) fn is_health(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz")
}

/// The routes, which require the token if there is one.
pub(super) struct Routes {
    pub(super) health: Arc<dyn Health>,
    pub(super) metrics: Registry,
    pub(super) token: Option<Secret>,
}

impl Routes {
    /// Answers a request from `source`. Its body is not read.
    pub(super) fn answer<B>(&self, source: SocketAddr, request: &Request<B>) -> Response<String> {
        if let Err(reason) = bearer::authorize(request.headers(), self.token.as_ref()) {
            log::refusal(&Refusal { source, local: None, reason, detail: None });
            let what = "a bearer token is required\n".to_owned();
            let challenge = (header::WWW_AUTHENTICATE, "Bearer");
            return response(StatusCode::UNAUTHORIZED, what, challenge);
        }
        let route: fn(&Self, &HeaderMap) -> Response<String> = match request.uri().path() {
            "/healthz" => |routes, _| state(routes.health.health()),
            "/readyz" => |routes, _| state(routes.health.readiness()),
            "/metrics" => Self::scrape,
            _ => {
                let what = "not found\n".to_owned();
                return response(StatusCode::NOT_FOUND, what, (header::CONTENT_TYPE, TEXT));
            }
        };
        match *request.method() {
            // hyper leaves the body of an answer to HEAD out.
            Method::GET | Method::HEAD => route(self, request.headers()),
            _ => {
                let allowed = (header::ALLOW, "GET,HEAD");
                response(StatusCode::METHOD_NOT_ALLOWED, String::new(), allowed)
            }
        }
    }

    fn scrape(&self, headers: &HeaderMap) -> Response<String> {
        let accept = headers.get_all(header::ACCEPT).iter();
        let format = Format::wanted(accept.filter_map(|value| value.to_str().ok()));
        let (status, text) = match self.metrics.encode(format) {
            Ok(text) => (StatusCode::OK, text),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
        };
        response(status, text, (header::CONTENT_TYPE, format.content_type()))
    }
}

fn state(state: Result<(), String>) -> Response<String> {
    let (status, text) = match state {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    };
    response(status, text, (header::CONTENT_TYPE, TEXT))
}

/// An answer of `status` with one header besides its media type.
fn response(
    status: StatusCode,
    text: String,
    (name, value): (header::HeaderName, &'static str),
) -> Response<String> {
    let mut response = Response::new(text);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(TEXT));
    headers.insert(name, HeaderValue::from_static(value));
    response
}
