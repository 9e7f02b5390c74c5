//! The way to one server: a UDP socket or a TCP connection, message by message.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use causeway_client::StreamBuffer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::uri::Transport;

/// Time to connect over TCP.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A server that takes nothing for so long is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest datagram: more than any path carries.
const MAX_DATAGRAM: usize = 65_535;

/// A connected socket to one server.
#[derive(Debug)]
pub enum Leg {
    /// Datagrams; only the server's are received.
    Udp {
        /// Connected, so that an ICMP error is an error here.
        socket: UdpSocket,
        /// Received into.
        buffer: Vec<u8>,
    },
    /// A stream of frames (RFC 8489 §6.2.2, RFC 8656 §12.5).
    Tcp {
        /// Connected.
        stream: TcpStream,
        /// What came and is not a whole frame yet.
        incoming: StreamBuffer,
    },
}

impl Leg {
    /// Opens it from a free port.
    ///
    /// # Errors
    /// The socket's error; `TimedOut` if nobody answers over TCP.
    pub async fn connect(server: SocketAddr, transport: Transport) -> io::Result<Self> {
        match transport {
            Transport::Udp => {
                let any: SocketAddr = if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
                let socket = UdpSocket::bind(any).await?;
                socket.connect(server).await?;
                Ok(Self::Udp { socket, buffer: vec![0; MAX_DATAGRAM] })
            }
            Transport::Tcp => {
                let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(server))
                    .await
                    .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer over TCP"))??;
                stream.set_nodelay(true)?;
                Ok(Self::Tcp { stream, incoming: StreamBuffer::new() })
            }
        }
    }

    /// This end's address.
    ///
    /// # Errors
    /// The socket's error.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Udp { socket, .. } => socket.local_addr(),
            Self::Tcp { stream, .. } => stream.local_addr(),
        }
    }

    /// Sends one message, already framed for a stream.
    ///
    /// # Errors
    /// The socket's error. Over a stream it is the end; over UDP it may concern an earlier message.
    pub async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp { socket, .. } => socket.send(message).await.map(|_| ()),
            Self::Tcp { stream, .. } => tokio::time::timeout(SEND_TIMEOUT, stream.write_all(message))
                .await
                .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the server takes nothing"))?,
        }
    }

    /// The next message, a whole frame over a stream. Cancel safe.
    ///
    /// # Errors
    /// The socket's error; over a stream also its end, and what is no frame (`InvalidData`).
    pub async fn receive(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::Udp { socket, buffer } => {
                let length = socket.recv(buffer).await?;
                Ok(buffer[..length].to_vec())
            }
            Self::Tcp { stream, incoming } => loop {
                match incoming.next_frame() {
                    Ok(Some(frame)) => return Ok(frame.to_vec()),
                    Ok(None) => {}
                    Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{error:?}"))),
                }
                match stream.read(incoming.space()).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    read => incoming.filled(read),
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn frames_come_whole_from_a_stream_and_junk_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut leg = Leg::connect(listener.local_addr().unwrap(), Transport::Tcp).await.unwrap();
        let (mut server, client) = listener.accept().await.unwrap();
        assert_eq!(client, leg.local_addr().unwrap());
        leg.send(b"hello").await.unwrap();
        let mut received = [0; 5];
        server.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"hello");

        server.write_all(&[0x40, 0, 0, 2, 7, 8, 0, 0, 0x40, 1, 0, 0]).await.unwrap();
        assert_eq!(leg.receive().await.unwrap(), [0x40, 0, 0, 2, 7, 8, 0, 0]);
        assert_eq!(leg.receive().await.unwrap(), [0x40, 1, 0, 0]);
        server.write_all(b"\xffjunk").await.unwrap();
        assert_eq!(leg.receive().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn a_stream_that_ends_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut leg = Leg::connect(listener.local_addr().unwrap(), Transport::Tcp).await.unwrap();
        drop(listener.accept().await.unwrap());
        assert_eq!(leg.receive().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn over_udp_only_the_server_is_heard() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut leg = Leg::connect(server.local_addr().unwrap(), Transport::Udp).await.unwrap();
        stranger.send_to(b"stranger", leg.local_addr().unwrap()).await.unwrap();
        server.send_to(b"server", leg.local_addr().unwrap()).await.unwrap();
        assert_eq!(leg.receive().await.unwrap(), b"server");
    }
}
