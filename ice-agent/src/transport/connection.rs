//! A connection to one server that carries messages: over UDP, TCP, TLS or DTLS.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use causeway_client::StreamBuffer;
use causeway_wire::Transport;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::dtls::DtlsConnection;
use super::handshake::{OpenError, Secured, Usage};
use super::staggered::staggered;
use super::target::Target;
use super::tls;
use super::trust::Trust;

/// Maximum time to connect over TCP, and again for the TLS or DTLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a server may accept no data before the connection counts as broken.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum size of a datagram that UDP allows.
const MAX_DATAGRAM: usize = 65_535;

/// An open connection to one server. Dropping it closes the socket; [`close`](Self::close) tells
/// the server first.
#[derive(Debug)]
pub struct Connection {
    channel: Channel,
    local: SocketAddr,
    secured: Option<Secured>,
}

#[derive(Debug)]
enum Channel {
    /// Datagrams. The socket is connected, so that it receives from the server only and reports
    /// ICMP errors.
    Udp { socket: UdpSocket, buffer: Vec<u8> },
    /// A stream of frames (RFC 8489 §6.2.2, RFC 8656 §12.5), and received bytes that are not a
    /// whole frame yet.
    Stream { stream: Stream, incoming: StreamBuffer },
    /// Datagrams in DTLS records.
    Dtls(Box<DtlsConnection>),
}

impl Channel {
    fn stream(stream: impl ReadWrite + 'static) -> Self {
        Self::Stream { stream: Stream(Box::new(stream)), incoming: StreamBuffer::new() }
    }
}

/// TCP, or TLS over TCP.
struct Stream(Box<dyn ReadWrite>);

trait ReadWrite: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> ReadWrite for T {}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

impl Connection {
    /// Opens a connection from a free port.
    ///
    /// # Errors
    /// [`OpenError`]; a silent server is `TimedOut`, except over UDP, where nothing is sent yet.
    pub async fn open(target: &Target, usage: Usage, trust: &Trust) -> Result<Self, OpenError> {
        let is_silence = |error: &OpenError| match error {
            OpenError::Socket(error) => error.kind() == io::ErrorKind::TimedOut,
            _ => false,
        };
        staggered(CONNECT_TIMEOUT, is_silence, || Self::open_once(target, usage, trust)).await
    }

    async fn open_once(target: &Target, usage: Usage, trust: &Trust) -> Result<Self, OpenError> {
        let address = target.address.ip().to_string();
        let name = target.server_name.as_deref().unwrap_or(&address);
        let plain = |channel, local| Self { channel, local, secured: None };
        match target.transport {
            Transport::Udp => {
                let socket = datagrams(target.address).await?;
                let local = socket.local_addr()?;
                Ok(plain(Channel::Udp { socket, buffer: vec![0; MAX_DATAGRAM] }, local))
            }
            Transport::Tcp => {
                let stream = connection(target).await?;
                let local = stream.local_addr()?;
                Ok(plain(Channel::stream(stream), local))
            }
            Transport::Tls => {
                let stream = connection(target).await?;
                let local = stream.local_addr()?;
                let (stream, secured) =
                    in_time("TLS", tls::connect(stream, name, usage, trust)).await?;
                Ok(Self { channel: Channel::stream(stream), local, secured: Some(secured) })
            }
            Transport::Dtls => {
                let socket = datagrams(target.address).await?;
                let local = socket.local_addr()?;
                let (connection, secured) =
                    in_time("DTLS", DtlsConnection::connect(socket, name, trust)).await?;
                Ok(Self {
                    channel: Channel::Dtls(Box::new(connection)),
                    local,
                    secured: Some(secured),
                })
            }
        }
    }

    /// Uses a TCP connection that is open already.
    ///
    /// # Errors
    /// The socket's error.
    pub fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?;
        Ok(Self { channel: Channel::stream(stream), local, secured: None })
    }

    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The result of the TLS or DTLS handshake.
    #[must_use]
    pub fn secured(&self) -> Option<&Secured> {
        self.secured.as_ref()
    }

    /// Sends one message, already framed for a stream.
    ///
    /// # Errors
    /// The socket's error. A stream cannot be used after it; over UDP it may be about an earlier
    /// message.
    pub async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match &mut self.channel {
            Channel::Udp { socket, .. } => socket.send(message).await.map(|_| ()),
            Channel::Dtls(connection) => connection.send(message).await,
            Channel::Stream { stream, .. } => {
                let write = async {
                    stream.0.write_all(message).await?;
                    stream.0.flush().await
                };
                tokio::time::timeout(SEND_TIMEOUT, write).await.map_err(|_| {
                    io::Error::new(io::ErrorKind::TimedOut, "the server accepts no data")
                })?
            }
        }
    }

    /// Receives the next message; over a stream, a whole frame. Cancel safe.
    ///
    /// # Errors
    /// The socket's error; over a stream and DTLS also the end of the connection, and bytes that
    /// are no frame (`InvalidData`).
    pub async fn receive(&mut self) -> io::Result<Vec<u8>> {
        match &mut self.channel {
            Channel::Udp { socket, buffer } => {
                let length = socket.recv(buffer).await?;
                Ok(buffer[..length].to_vec())
            }
            Channel::Dtls(connection) => connection.receive().await,
            Channel::Stream { stream, incoming } => loop {
                match incoming.next_frame() {
                    Ok(Some(frame)) => return Ok(frame.to_vec()),
                    Ok(None) => {}
                    Err(error) => {
                        return Err(io::Error::new(
                            io::ErrorKind::InvalidData,
                            format!("{error:?}"),
                        ));
                    }
                }
                match stream.0.read(incoming.space()).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    read => incoming.filled(read),
                }
            },
        }
    }

    /// Closes the connection; over TLS and DTLS with close_notify, so that the server can free its
    /// state at once.
    pub async fn close(mut self) {
        let closing = async {
            match &mut self.channel {
                Channel::Udp { .. } => Ok(()),
                Channel::Stream { stream, .. } => stream.0.shutdown().await,
                Channel::Dtls(connection) => connection.close().await,
            }
        };
        // If this fails, the server is gone already.
        let _ = tokio::time::timeout(SEND_TIMEOUT, closing).await;
    }
}

/// A UDP socket that is connected to the server.
async fn datagrams(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = if server.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    Ok(socket)
}

/// A TCP connection to the server, direct or through the proxy.
async fn connection(target: &Target) -> io::Result<TcpStream> {
    let stream = match &target.proxy {
        Some(proxy) => proxy.connect(target.address).await.map_err(io::Error::from)?,
        None => tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(target.address))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer over TCP"))??,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Limits the time of a handshake.
async fn in_time<T>(
    protocol: &str,
    handshake: impl Future<Output = Result<T, OpenError>>,
) -> Result<T, OpenError> {
    tokio::time::timeout(CONNECT_TIMEOUT, handshake).await.unwrap_or_else(|_| {
        let silent = io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer to the {protocol} handshake in time"),
        );
        Err(silent.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn open(transport: Transport, server: SocketAddr) -> Connection {
        Connection::open(&Target::direct(transport, server), Usage::Turn, &Trust::default())
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn frames_come_whole_from_a_stream_and_junk_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut connection = open(Transport::Tcp, listener.local_addr().unwrap()).await;
        let (mut server, client) = listener.accept().await.unwrap();
        assert_eq!(client, connection.local_addr());
        connection.send(b"hello").await.unwrap();
        let mut received = [0; 5];
        server.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"hello");

        server.write_all(&[0x40, 0, 0, 2, 7, 8, 0, 0, 0x40, 1, 0, 0]).await.unwrap();
        assert_eq!(connection.receive().await.unwrap(), [0x40, 0, 0, 2, 7, 8, 0, 0]);
        assert_eq!(connection.receive().await.unwrap(), [0x40, 1, 0, 0]);
        server.write_all(b"\xffjunk").await.unwrap();
        assert_eq!(connection.receive().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn a_stream_that_ends_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut connection = open(Transport::Tcp, listener.local_addr().unwrap()).await;
        drop(listener.accept().await.unwrap());
        assert_eq!(connection.receive().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn over_udp_only_the_server_is_heard() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut connection = open(Transport::Udp, server.local_addr().unwrap()).await;
        stranger.send_to(b"stranger", ("127.0.0.1", connection.local_addr().port())).await.unwrap();
        server.send_to(b"server", ("127.0.0.1", connection.local_addr().port())).await.unwrap();
        assert_eq!(connection.receive().await.unwrap(), b"server");
    }
}
