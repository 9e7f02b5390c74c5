//! Connections through an HTTP proxy: a tunnel that CONNECT opens (RFC 9110 §9.3.6).

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use crate::uri::percent_decoded;

/// Maximum time for the connection to the proxy, and again for its response.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum size of the proxy's response header, in bytes.
const MAX_HEADER: usize = 8192;
/// Maximum length of a reason phrase that is shown.
const MAX_REASON: usize = 100;

/// An HTTP proxy that opens tunnels by CONNECT.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpProxy {
    /// The proxy's host name or address, without brackets.
    pub host: String,
    pub port: u16,
    /// The credentials for `Proxy-Authorization`.
    pub credentials: Option<BasicCredentials>,
    /// The server's name, if the proxy has to resolve it because this host cannot.
    pub resolves: Option<String>,
}

/// A user name and a password, encoded for HTTP (RFC 7617); wiped when dropped and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct BasicCredentials(Zeroizing<String>);

impl BasicCredentials {
    /// Encodes a user name, which has no colon, and a password.
    #[must_use]
    pub fn new(username: &str, password: &str) -> Self {
        let pair = Zeroizing::new(format!("{username}:{password}"));
        Self(Zeroizing::new(STANDARD.encode(pair.as_bytes())))
    }
}

impl fmt::Debug for BasicCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BasicCredentials")
    }
}

impl fmt::Debug for HttpProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpProxy({self})")
    }
}

/// The proxy's URL, without the credentials.
impl fmt::Display for HttpProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "http://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "http://{}:{}", self.host, self.port)
        }
    }
}

/// The text is not of the form `http://[user:password@]host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadProxy {
    /// A proxy with another scheme.
    #[error("{0:?} proxies are not supported; write an HTTP proxy as http://host:port")]
    Scheme(String),
    /// The rest is not a host and port. The message does not repeat it, since it may contain a
    /// password.
    #[error("the proxy is not of the form http://[user:password@]host[:port]")]
    Form,
}

impl FromStr for HttpProxy {
    type Err = BadProxy;

    fn from_str(text: &str) -> Result<Self, BadProxy> {
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some((scheme, _)) => return Err(BadProxy::Scheme(scheme.into())),
            // curl accepts a proxy without a scheme too.
            None => text,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (credentials, authority) = match rest.rsplit_once('@') {
            None => (None, rest),
            Some((pair, authority)) => {
                let (username, password) = pair.split_once(':').unwrap_or((pair, ""));
                let username = percent_decoded(username).ok_or(BadProxy::Form)?;
                let password = percent_decoded(password).ok_or(BadProxy::Form)?;
                (Some(BasicCredentials::new(&username, &password)), authority)
            }
        };
        let uri: hyper::Uri = format!("http://{authority}/").parse().map_err(|_| BadProxy::Form)?;
        let parsed = uri.authority().ok_or(BadProxy::Form)?;
        let host = parsed.host().trim_start_matches('[').trim_end_matches(']');
        // The URI parser drops a port that is not a number, so compare with the input.
        let shown = parsed
            .port()
            .map_or_else(|| parsed.host().to_owned(), |port| format!("{}:{port}", parsed.host()));
        if uri.path() != "/" || uri.query().is_some() || host.is_empty() || shown != authority {
            return Err(BadProxy::Form);
        }
        Ok(Self {
            host: host.into(),
            port: parsed.port_u16().unwrap_or(80),
            credentials,
            resolves: None,
        })
    }
}

/// Why the proxy opened no tunnel.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The connection to the proxy failed.
    #[error("no connection to the proxy {proxy}: {error}")]
    Unreachable { proxy: String, error: io::Error },
    /// The proxy did not answer, or not in time.
    #[error("the proxy {proxy} did not answer: {error}")]
    Silent { proxy: String, error: io::Error },
    /// The proxy answered with 407.
    #[error(
        "the proxy {proxy} requires {}: 407 {reason}",
        if *.given { "another user name or password" } else { "a user name and a password" }
    )]
    Authentication {
        proxy: String,
        /// Whether the request had credentials.
        given: bool,
        /// The proxy's reason phrase.
        reason: String,
    },
    /// The proxy answered with another status than success.
    #[error("the proxy {proxy} refuses a tunnel to {to}: {status} {reason}")]
    Refused {
        proxy: String,
        to: String,
        status: u16,
        /// The proxy's reason phrase.
        reason: String,
    },
    /// The response is not HTTP.
    #[error("{proxy} is not an HTTP proxy: its answer is not HTTP")]
    NotHttp { proxy: String },
}

impl From<ProxyError> for io::Error {
    fn from(error: ProxyError) -> Self {
        let kind = match &error {
            ProxyError::Unreachable { error, .. } | ProxyError::Silent { error, .. } => {
                error.kind()
            }
            ProxyError::Authentication { .. } => io::ErrorKind::PermissionDenied,
            ProxyError::Refused { .. } => io::ErrorKind::ConnectionRefused,
            ProxyError::NotHttp { .. } => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

impl HttpProxy {
    /// Opens a tunnel: a connection on which the first byte that arrives is the server's. If the
    /// proxy [resolves](Self::resolves) the name, only the port of the address is used.
    ///
    /// # Errors
    /// [`ProxyError`]; each message names the proxy and the reason.
    pub async fn connect(&self, to: SocketAddr) -> Result<TcpStream, ProxyError> {
        let proxy = self.to_string();
        let to = self
            .resolves
            .as_ref()
            .map_or_else(|| to.to_string(), |name| format!("{name}:{}", to.port()));
        let connecting = within(TcpStream::connect((self.host.as_str(), self.port))).await;
        let mut stream =
            connecting.map_err(|error| ProxyError::Unreachable { proxy: proxy.clone(), error })?;
        let asking = within(async {
            stream.set_nodelay(true)?;
            stream.write_all(self.request(&to).as_bytes()).await?;
            read_header(&mut stream).await
        });
        let header = asking.await.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => ProxyError::NotHttp { proxy: proxy.clone() },
            _ => ProxyError::Silent { proxy: proxy.clone(), error },
        })?;
        let Some((status, reason)) = status_line(&header) else {
            return Err(ProxyError::NotHttp { proxy });
        };
        match status {
            200..300 => Ok(stream),
            407 => {
                Err(ProxyError::Authentication { proxy, given: self.credentials.is_some(), reason })
            }
            _ => Err(ProxyError::Refused { proxy, to, status, reason }),
        }
    }

    fn request(&self, to: &str) -> Zeroizing<String> {
        let mut request = Zeroizing::new(format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n"));
        if let Some(BasicCredentials(encoded)) = &self.credentials {
            request.push_str("Proxy-Authorization: Basic ");
            request.push_str(encoded);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        request
    }
}

async fn within<T>(future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(TIMEOUT, future)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")))
}

/// Reads the response header byte by byte, since the bytes after it are the server's.
async fn read_header(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut header = Vec::new();
    while !header.ends_with(b"\r\n\r\n") {
        if header.len() >= MAX_HEADER || (header.len() >= 5 && !header.starts_with(b"HTTP/")) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        header.push(stream.read_u8().await?);
    }
    Ok(header)
}

/// The status code and the reason phrase, without control characters, of a line such as `HTTP/1.1
/// 407 Proxy Authentication Required`.
fn status_line(header: &[u8]) -> Option<(u16, String)> {
    let line = header.split(|octet| *octet == b'\r').next()?;
    let line = String::from_utf8_lossy(line);
    let mut parts = line.strip_prefix("HTTP/1.")?.splitn(3, ' ');
    parts.next()?;
    let status = parts.next().filter(|digits| digits.len() == 3)?.parse().ok()?;
    let reason = parts.next().unwrap_or_default();
    Some((status, reason.chars().filter(|letter| !letter.is_control()).take(MAX_REASON).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<HttpProxy, BadProxy> {
        text.parse()
    }

    #[test]
    fn a_proxy_is_host_port_and_credentials() {
        for (text, host, port) in [
            ("http://proxy.example:3128", "proxy.example", 3128),
            ("http://proxy.example/", "proxy.example", 80),
            ("proxy.example:8080", "proxy.example", 8080),
            ("HTTP://[::1]:3128", "::1", 3128),
        ] {
            let proxy = parse(text).unwrap();
            assert_eq!(
                (proxy.host.as_str(), proxy.port, proxy.credentials),
                (host, port, None),
                "{text}"
            );
        }
        let proxy = parse("http://anna:p%40ss%3A@proxy.example:3128").unwrap();
        assert_eq!(proxy.credentials, Some(BasicCredentials::new("anna", "p@ss:")));
        assert_eq!(proxy.to_string(), "http://proxy.example:3128");
    }

    #[test]
    fn what_is_no_proxy_is_refused_and_no_password_shown() {
        assert_eq!(parse("socks5://h:1080"), Err(BadProxy::Scheme("socks5".into())));
        assert_eq!(parse("https://h:443"), Err(BadProxy::Scheme("https".into())));
        for bad in [
            "",
            "http://",
            "http://h:port",
            "http://h:70000",
            "http://u:s3cret@",
            "http://u:s3cret@h:99999",
            "http://h/path",
            "http://u%4:s3cret@h",
            "http://a b",
        ] {
            let error = parse(bad).expect_err(bad);
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
        let shown = format!("{:?}", parse("http://anna:s3cret@h").unwrap());
        assert!(!shown.contains("s3cret") && !shown.contains("anna"), "{shown}");
    }

    #[test]
    fn a_status_line_is_read_and_made_printable() {
        assert_eq!(
            status_line(b"HTTP/1.1 200 Connection established\r\n\r\n"),
            Some((200, "Connection established".into()))
        );
        assert_eq!(status_line(b"HTTP/1.0 407\r\n\r\n"), Some((407, String::new())));
        assert_eq!(status_line(b"HTTP/1.1 403 No\x1b[2J\r\n\r\n"), Some((403, "No[2J".into())));
        for bad in [
            &b"SSH-2.0-x\r\n\r\n"[..],
            b"HTTP/2 200\r\n\r\n",
            b"HTTP/1.1\r\n\r\n",
            b"HTTP/1.1 20 x\r\n\r\n",
        ] {
            assert_eq!(status_line(bad), None);
        }
    }
}
