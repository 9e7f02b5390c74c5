//! The way to one server, message by message: over UDP, TCP, TLS or DTLS.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use causeway_client::StreamBuffer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::dtls::DtlsConnection;
use super::handshake::{OpenError, Secured, Usage};
use super::staggered::staggered;
use super::target::{Target, Transport};
use super::tls;
use super::trust::Trust;

/// Time to connect over TCP, and again to shake hands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A server that takes nothing for so long is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest datagram: more than any path carries.
const MAX_DATAGRAM: usize = 65_535;

/// A connected socket to one server. Dropping it ends it; [`close`](Self::close) says so to the
/// server first.
#[derive(Debug)]
pub struct Connection {
    way: Way,
    local: SocketAddr,
    secured: Option<Secured>,
}

#[derive(Debug)]
enum Way {
    /// Datagrams; the socket is connected, so that only the server's are received and an ICMP error
    /// is an error here.
    Udp { socket: UdpSocket, buffer: Vec<u8> },
    /// A stream of frames (RFC 8489 §6.2.2, RFC 8656 §12.5), and what came of it and is not a whole
    /// frame yet.
    Stream { stream: Stream, incoming: StreamBuffer },
    /// Datagrams in records.
    Dtls(Box<DtlsConnection>),
}

/// TCP, or TLS over it.
struct Stream(Box<dyn ReadWrite>);

trait ReadWrite: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> ReadWrite for T {}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

impl Connection {
    /// Opens it from a free port.
    ///
    /// # Errors
    /// [`OpenError`]; `TimedOut` within if nobody answers, except over UDP, where nothing is sent
    /// yet.
    pub async fn open(target: &Target, usage: Usage, trust: &Trust) -> Result<Self, OpenError> {
        let is_silence = |error: &OpenError| matches!(error, OpenError::Socket(error) if error.kind() == io::ErrorKind::TimedOut);
        staggered(CONNECT_TIMEOUT, is_silence, || Self::open_once(target, usage, trust)).await
    }

    async fn open_once(target: &Target, usage: Usage, trust: &Trust) -> Result<Self, OpenError> {
        let address = target.address.ip().to_string();
        let name = target.server_name.as_deref().unwrap_or(&address);
        let plain = |way, local| Self { way, local, secured: None };
        match target.transport {
            Transport::Udp => {
                let socket = datagrams(target.address).await?;
                let local = socket.local_addr()?;
                Ok(plain(Way::Udp { socket, buffer: vec![0; MAX_DATAGRAM] }, local))
            }
            Transport::Tcp => {
                let stream = connection(target).await?;
                let local = stream.local_addr()?;
                Ok(plain(
                    Way::Stream { stream: Stream(Box::new(stream)), incoming: StreamBuffer::new() },
                    local,
                ))
            }
            Transport::Tls => {
                let stream = connection(target).await?;
                let local = stream.local_addr()?;
                let (stream, secured) =
                    in_time("TLS", tls::connect(stream, name, usage, trust)).await?;
                let way =
                    Way::Stream { stream: Stream(Box::new(stream)), incoming: StreamBuffer::new() };
                Ok(Self { way, local, secured: Some(secured) })
            }
            Transport::Dtls => {
                let socket = datagrams(target.address).await?;
                let local = socket.local_addr()?;
                let (connection, secured) =
                    in_time("DTLS", DtlsConnection::connect(socket, name, trust)).await?;
                Ok(Self { way: Way::Dtls(Box::new(connection)), local, secured: Some(secured) })
            }
        }
    }

    /// Over a TCP connection that is there already.
    ///
    /// # Errors
    /// The socket's error.
    pub fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?;
        let way = Way::Stream { stream: Stream(Box::new(stream)), incoming: StreamBuffer::new() };
        Ok(Self { way, local, secured: None })
    }

    /// This end's address.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// What the handshake of TLS or DTLS came to.
    #[must_use]
    pub fn secured(&self) -> Option<&Secured> {
        self.secured.as_ref()
    }

    /// Sends one message, already framed for a stream.
    ///
    /// # Errors
    /// The socket's error. Over a stream it is the end; over UDP it may concern an earlier message.
    pub async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match &mut self.way {
            Way::Udp { socket, .. } => socket.send(message).await.map(|_| ()),
            Way::Dtls(connection) => connection.send(message).await,
            Way::Stream { stream, .. } => {
                let write = async {
                    stream.0.write_all(message).await?;
                    stream.0.flush().await
                };
                tokio::time::timeout(SEND_TIMEOUT, write).await.map_err(|_| {
                    io::Error::new(io::ErrorKind::TimedOut, "the server takes nothing")
                })?
            }
        }
    }

    /// The next message, a whole frame over a stream. Cancel safe.
    ///
    /// # Errors
    /// The socket's error; over a stream and DTLS also its end, and what is no frame
    /// (`InvalidData`).
    pub async fn receive(&mut self) -> io::Result<Vec<u8>> {
        match &mut self.way {
            Way::Udp { socket, buffer } => {
                let length = socket.recv(buffer).await?;
                Ok(buffer[..length].to_vec())
            }
            Way::Dtls(connection) => connection.receive().await,
            Way::Stream { stream, incoming } => loop {
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

    /// Ends it, and over TLS and DTLS says so (close_notify): a server may forget at once what it
    /// holds for this host.
    pub async fn close(mut self) {
        let closing = async {
            match &mut self.way {
                Way::Udp { .. } => Ok(()),
                Way::Stream { stream, .. } => stream.0.shutdown().await,
                Way::Dtls(connection) => connection.close().await,
            }
        };
        // A server that is gone needs not be told.
        let _ = tokio::time::timeout(SEND_TIMEOUT, closing).await;
    }
}

/// A UDP socket from which only the server is reached.
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

/// A TCP connection to the server, or a tunnel through the proxy.
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

async fn in_time<T>(
    protocol: &str,
    handshake: impl Future<Output = Result<T, OpenError>>,
) -> Result<T, OpenError> {
    tokio::time::timeout(CONNECT_TIMEOUT, handshake).await.unwrap_or_else(|_| {
        let silent = io::Error::new(
            io::ErrorKind::TimedOut,
            format!("the {protocol} handshake was not answered in time"),
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
