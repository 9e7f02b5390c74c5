//! A small HTTP/1.1 client for the rendezvous: one request a connection, every size and time bounded.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Longest answer that is read, in octets.
const MAX_ANSWER: usize = 1 << 20;
/// Time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// `http://host:port`, without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    host: String,
    port: u16,
}

/// The text is no `http://host:port`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not of the form http://host:port")]
pub struct BadOrigin(String);

impl FromStr for Origin {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        let bad = || BadOrigin(text.into());
        let rest = text.strip_prefix("http://").ok_or_else(bad)?;
        let uri: hyper::Uri = format!("http://{}/", rest.trim_end_matches('/')).parse().map_err(|_| bad())?;
        let authority = uri.authority().ok_or_else(bad)?;
        if uri.path() != "/" || uri.query().is_some() || authority.as_str().contains('@') {
            return Err(bad());
        }
        Ok(Self { host: authority.host().into(), port: authority.port_u16().unwrap_or(80) })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

/// Why there is no answer, or none that helps.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No connection, or it broke.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// No connection or no answer in time.
    #[error("no answer in time")]
    Timeout,
    /// What came is not HTTP, or too long.
    #[error("{0}")]
    Protocol(String),
    /// An answer other than success, with the reason that the server gave.
    #[error("{status}: {reason}")]
    Status {
        /// The status code.
        status: StatusCode,
        /// The server's text, printable and short.
        reason: String,
    },
}

/// One request: the answer's body if the status is a success.
///
/// # Errors
/// [`HttpError`]; `timeout` counts from the connection to the end of the body.
pub async fn request(
    origin: &Origin,
    method: Method,
    path: &str,
    bearer: Option<&str>,
    body: Vec<u8>,
    timeout: Duration,
) -> Result<Vec<u8>, HttpError> {
    let host = origin.host.trim_start_matches('[').trim_end_matches(']');
    let connect = TcpStream::connect((host, origin.port));
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, connect).await.map_err(|_| HttpError::Timeout)??;
    stream.set_nodelay(true)?;
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, format!("{}:{}", origin.host, origin.port))
        .header(CONTENT_TYPE, "application/json")
        .header(CONNECTION, "close");
    if let Some(token) = bearer {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request.body(Full::new(Bytes::from(body))).map_err(protocol)?;
    tokio::time::timeout(timeout, exchange(stream, request)).await.map_err(|_| HttpError::Timeout)?
}

async fn exchange(stream: TcpStream, request: Request<Full<Bytes>>) -> Result<Vec<u8>, HttpError> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(protocol)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(protocol)?;
        let status = response.status();
        let body =
            Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(|error| HttpError::Protocol(error.to_string()))?;
        let body = body.to_bytes().to_vec();
        if status.is_success() { Ok(body) } else { Err(HttpError::Status { status, reason: reason(&body) }) }
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // The connection may end before the last of the body was taken from it.
        _ = connection => answer.await,
    }
}

fn protocol(error: impl std::error::Error) -> HttpError {
    HttpError::Protocol(error.to_string())
}

/// The `error` of a JSON answer, else its text; printable and short, since it ends on somebody's terminal.
fn reason(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Reason {
        error: String,
    }
    let text = match serde_json::from_slice::<Reason>(body) {
        Ok(reason) => reason.error,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_host_and_port() {
        for (text, display) in [
            ("http://example.org:8088", "http://example.org:8088"),
            ("http://example.org/", "http://example.org:80"),
            ("http://[::1]:8088", "http://[::1]:8088"),
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().to_string(), display);
        }
        for bad in ["https://h", "h:80", "http://", "http://h/path", "http://u@h", "http://h?x", "http://a b"] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_reason_is_printable_and_short() {
        assert_eq!(reason(br#"{"error":"full\u001b[2J"}"#), "full[2J");
        assert_eq!(reason(&[b'x'; 500]).len(), 200);
    }
}
