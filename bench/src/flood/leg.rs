//! The transport of a call's client.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use causeway_wire::stream;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslOptions, SslStream, SslVerifyMode};

use crate::load::{Connected, Transport};

/// How long a client waits for an answer during setup.
const PATIENCE: Duration = Duration::from_secs(2);

/// A client's transport to the server: sends and receives whole messages.
pub(crate) enum Leg {
    Datagrams(UdpSocket),
    Stream(Frames<TcpStream>),
    Tls(Frames<SslStream<TcpStream>>),
    Dtls(SslStream<Connected>),
}

impl Leg {
    pub(crate) fn connect(transport: Transport, server: SocketAddr) -> Result<Self> {
        Ok(match transport {
            Transport::Udp => Self::Datagrams(udp(server)?),
            Transport::Tcp => Self::Stream(Frames::new(tcp(server)?)),
            Transport::Tls => {
                let context = context(SslMethod::tls_client())?;
                let ssl = Ssl::new(&context)?;
                let stream = ssl.connect(tcp(server)?).ok().context("the TLS handshake failed")?;
                Self::Tls(Frames::new(stream))
            }
            Transport::Dtls => {
                let context = context(SslMethod::dtls_client())?;
                let mut ssl = Ssl::new(&context)?;
                ssl.set_mtu(1400)?;
                Self::Dtls(
                    ssl.connect(Connected(udp(server)?))
                        .ok()
                        .context("the DTLS handshake failed")?,
                )
            }
        })
    }

    /// Sends one message, padded to four bytes on a stream.
    pub(crate) fn send(&mut self, message: &[u8]) -> Result<()> {
        match self {
            Self::Datagrams(socket) => {
                ensure!(socket.send(message)? == message.len(), "a datagram was cut");
            }
            Self::Stream(frames) => frames.stream.write_all(message)?,
            Self::Tls(frames) => frames.stream.write_all(message)?,
            Self::Dtls(stream) => stream.write_all(message)?,
        }
        Ok(())
    }

    /// Receives one message; returns its length.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Datagrams(socket) => socket.recv(buffer),
            Self::Stream(frames) => frames.next(buffer),
            Self::Tls(frames) => frames.next(buffer),
            Self::Dtls(stream) => stream.read(buffer),
        }
    }
}

/// A stream that is split into messages.
pub(crate) struct Frames<S> {
    stream: S,
    held: Vec<u8>,
}

impl<S: Read> Frames<S> {
    fn new(stream: S) -> Self {
        Self { stream, held: Vec::new() }
    }

    fn next(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = stream::frame_len(&self.held).map_err(|_| io::ErrorKind::InvalidData)?;
            if let Some(length) = length.filter(|length| *length <= self.held.len()) {
                buffer[..length].copy_from_slice(&self.held[..length]);
                self.held.drain(..length);
                return Ok(length);
            }
            match self.stream.read(buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.held.extend_from_slice(&buffer[..count]),
            }
        }
    }
}

fn udp(server: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

fn tcp(server: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The TLS context of a client that accepts every certificate: the servers are its own.
fn context(method: SslMethod) -> Result<SslContext> {
    let mut builder = SslContext::builder(method)?;
    builder.set_verify(SslVerifyMode::NONE);
    builder.set_options(SslOptions::NO_QUERY_MTU);
    Ok(builder.build())
}
