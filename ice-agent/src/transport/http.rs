//! A small HTTP/1.1 client for the rendezvous, over TCP or TLS: one request per connection, with
//! every size and time limited.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::handshake::{OpenError, Usage};
use super::proxy::HttpProxy;
use super::tls;
use super::trust::Trust;
use crate::discovery::race;
use crate::uri::zoned;

/// Maximum size of a response body, in bytes.
const MAX_ANSWER: usize = 1 << 20;
/// Maximum time to resolve and connect, and again for the TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum length of the path of a base URL.
const MAX_PATH: usize = 256;

/// The URL that requests are relative to: `http://host[:port][/path]`, or the same with `https`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    secure: bool,
    /// A name or an address; IPv6 addresses in brackets.
    host: String,
    /// The zone of a link-local address; never sent to the server (RFC 6874 §4).
    zone: Option<String>,
    port: u16,
    /// Empty, or a path with a leading slash and without a trailing one.
    path: String,
}

/// The text is not such a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not of the form http[s]://host[:port][/path]", shown(.0))]
pub struct BadBaseUrl(String);

/// A URL as an error shows it: without user and password.
fn shown(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, host)) => format!("{:?} (user and password hidden)", format!("…@{host}")),
        None => format!("{url:?}"),
    }
}

impl BaseUrl {
    const fn default_port(secure: bool) -> u16 {
        if secure { 443 } else { 80 }
    }

    /// Whether it is `https`.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port in the URL, or the scheme's default.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host as this system resolves it, with the zone.
    fn lookup_host(&self) -> String {
        match &self.zone {
            Some(zone) => format!("{}%{zone}", self.host()),
            None => self.host().to_owned(),
        }
    }

    /// The host, with the port if it is not the scheme's default.
    fn authority(&self) -> String {
        if self.port == Self::default_port(self.secure) {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for BaseUrl {
    type Err = BadBaseUrl;

    fn from_str(text: &str) -> Result<Self, BadBaseUrl> {
        let bad = || BadBaseUrl(text.into());
        // The URI parser does not accept zones.
        let (text, zone) = match text
            .split_once('[')
            .and_then(|(before, rest)| Some((before, rest.split_once(']')?)))
        {
            Some((before, (literal, after))) if literal.contains('%') => {
                let (ip, zone) = zoned(literal).map_err(|_| bad())?;
                (format!("{before}[{ip}]{after}"), Some(zone.name().to_owned()))
            }
            _ => (text.to_owned(), None),
        };
        let uri: hyper::Uri = text.parse().map_err(|_| bad())?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(bad()),
        };
        let authority = uri.authority().ok_or_else(bad)?;
        let (host, path) = (authority.host(), uri.path().trim_end_matches('/'));
        // The URI parser drops a port that is not a number, so compare with the input.
        let shown =
            authority.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        if shown != authority.as_str()
            || host.is_empty()
            || uri.query().is_some()
            || text.contains('#')
            || path.len() > MAX_PATH
        {
            return Err(bad());
        }
        Ok(Self {
            secure,
            zone,
            host: host.into(),
            port: authority.port_u16().unwrap_or(Self::default_port(secure)),
            path: path.into(),
        })
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        match &self.zone {
            Some(zone) => {
                write!(f, "{scheme}://[{}%25{zone}]:{}{}", self.host(), self.port, self.path)
            }
            None => write!(f, "{scheme}://{}{}", self.authority(), self.path),
        }
    }
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// No connection or no response in time.
    #[error("no answer in time")]
    Timeout,
    /// The TLS handshake failed, for instance because the certificate is not trusted. A retry would
    /// fail too.
    #[error(transparent)]
    Tls(OpenError),
    /// The response is not HTTP, or too long.
    #[error("{0}")]
    Protocol(String),
    /// The server answered with a status other than success.
    #[error("{status}: {reason}")]
    Status {
        status: StatusCode,
        /// The reason in the response, shortened and without control characters.
        reason: String,
    },
}

/// A client for one HTTP server.
#[derive(Debug, Clone)]
pub struct HttpClient {
    /// The URL that all requests are relative to.
    pub base: BaseUrl,
    /// Which certificates of the server are trusted.
    pub trust: Trust,
    /// The proxy for an `https` server.
    pub proxy: Option<HttpProxy>,
}

impl HttpClient {
    /// A client without a proxy that trusts this host's authorities.
    #[must_use]
    pub fn direct(base: BaseUrl) -> Self {
        Self { base, trust: Trust::default(), proxy: None }
    }

    /// Sends one request for `path` below the base and returns the response body.
    ///
    /// # Errors
    /// [`HttpError`]; `timeout` counts from the connection to the end of the body.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        bearer: Option<&str>,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, HttpError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base.path))
            .header(HOST, self.base.authority())
            .header(CONTENT_TYPE, "application/json")
            .header(CONNECTION, "close");
        if let Some(token) = bearer {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(protocol)?;
        let stream = self.connect().await?;
        stream.set_nodelay(true)?;
        if !self.base.secure {
            return in_time(timeout, exchange(stream, request)).await;
        }
        let handshake = async {
            let (stream, _) = tls::connect(stream, self.base.host(), Usage::Http, &self.trust)
                .await
                .map_err(|error| match error {
                    OpenError::Socket(error) => HttpError::Io(error),
                    error => HttpError::Tls(error),
                })?;
            Ok(stream)
        };
        let stream = in_time(CONNECT_TIMEOUT, handshake).await?;
        in_time(timeout, exchange(stream, request)).await
    }

    /// Connects to the server's address that answers first, or through the proxy.
    async fn connect(&self) -> Result<TcpStream, HttpError> {
        if let Some(proxy) = &self.proxy {
            // The proxy resolves the name.
            let proxy = HttpProxy { resolves: Some(self.base.host.clone()), ..proxy.clone() };
            let nowhere = SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), self.base.port);
            return proxy.connect(nowhere).await.map_err(|error| HttpError::Io(error.into()));
        }
        let connecting = async {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((self.base.lookup_host(), self.base.port)).await?.collect();
            let raced = race(&found, |address: SocketAddr| TcpStream::connect(address)).await;
            let unknown = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
            raced.map(|won| won.value).map_err(|failed| {
                failed.into_iter().next().map_or_else(unknown, |(_, error)| error).into()
            })
        };
        in_time(CONNECT_TIMEOUT, connecting).await
    }
}

async fn in_time<T>(
    timeout: Duration,
    future: impl Future<Output = Result<T, HttpError>>,
) -> Result<T, HttpError> {
    tokio::time::timeout(timeout, future).await.unwrap_or(Err(HttpError::Timeout))
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Vec<u8>, HttpError> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(protocol)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(protocol)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await
            .map_err(|error| HttpError::Protocol(error.to_string()))?;
        let body = body.to_bytes().to_vec();
        if status.is_success() {
            Ok(body)
        } else {
            Err(HttpError::Status { status, reason: reason(&body) })
        }
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // The connection may end before the rest of the body was read from it.
        _ = connection => answer.await,
    }
}

fn protocol(error: impl std::error::Error) -> HttpError {
    HttpError::Protocol(error.to_string())
}

/// The `error` of a JSON response, otherwise its text; without control characters and shortened,
/// since a terminal shows it.
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
    fn a_base_url_has_a_host_and_perhaps_a_port_and_a_path() {
        for (text, display, port) in [
            ("http://example.org:8088", "http://example.org:8088", 8088),
            ("http://example.org/", "http://example.org", 80),
            ("http://[::1]:8088", "http://[::1]:8088", 8088),
            ("http://[fe80::1%251]:8088/m", "http://[fe80::1%251]:8088/m", 8088),
            ("http://[fe80::1%1]", "http://[fe80::1%251]:80", 80),
            ("https://example.org", "https://example.org", 443),
            ("https://example.org:443/meet/", "https://example.org/meet", 443),
            ("https://example.org:8443/a/b", "https://example.org:8443/a/b", 8443),
        ] {
            let url: BaseUrl = text.parse().unwrap();
            assert_eq!((url.to_string().as_str(), url.port()), (display, port));
        }
        for bad in [
            "ftp://h",
            "h:80",
            "http://",
            "http://u@h",
            "https://u:p@h/x",
            "http://h?x",
            "http://a b",
            "http://h:x",
            "http://h#f",
            "/meet",
        ] {
            assert!(bad.parse::<BaseUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_reason_is_printable_and_short() {
        assert_eq!(reason(br#"{"error":"full\u001b[2J"}"#), "full[2J");
        assert_eq!(reason(&[b'x'; 500]).len(), 200);
    }
}
