//! One client's connection over TCP, TLS or DTLS.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use anyhow::{Context, Result};
use causeway_wire::stream;
use openssl::ssl::{
    ErrorCode, Ssl, SslContext, SslMethod, SslMode, SslOptions, SslStream, SslVerifyMode,
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::load::Transport;

/// Maximum duration of a handshake.
const PATIENCE: Duration = Duration::from_secs(20);
/// Maximum number of bytes queued for a server that does not read.
const MAX_QUEUE: usize = 256 << 10;

/// The connection of one client.
pub(crate) struct Connection {
    way: Way,
    local: SocketAddr,
    /// Bytes still to be written.
    queue: Vec<u8>,
    /// The start of an incomplete frame.
    held: Vec<u8>,
}

enum Way {
    Tcp(TcpStream),
    Tls(SslStream<TcpStream>),
    Dtls(SslStream<Connected>),
}

/// A connected UDP socket with the interface that OpenSSL needs.
#[derive(Debug)]
pub(crate) struct Connected(pub(crate) UdpSocket);

impl Read for Connected {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buffer)
    }
}

impl Write for Connected {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The TLS or DTLS context of the clients. They accept every certificate, because the server's cost
/// is measured.
pub(crate) fn context(transport: Transport) -> Result<Option<SslContext>> {
    let method = match transport {
        Transport::Udp | Transport::Tcp => return Ok(None),
        Transport::Tls => SslMethod::tls_client(),
        Transport::Dtls => SslMethod::dtls_client(),
    };
    let mut builder = SslContext::builder(method)?;
    builder.set_verify(SslVerifyMode::NONE);
    builder.set_options(SslOptions::NO_QUERY_MTU);
    builder.set_mode(SslMode::ENABLE_PARTIAL_WRITE | SslMode::ACCEPT_MOVING_WRITE_BUFFER);
    Ok(Some(builder.build()))
}

impl Connection {
    /// Connects from `local` and performs the handshake; does not block afterwards.
    pub(crate) fn open(
        transport: Transport,
        context: Option<&SslContext>,
        local: SocketAddr,
        server: SocketAddr,
    ) -> Result<Self> {
        let ssl = || Ssl::new(context.expect("a secure transport has a context"));
        let kind = if transport == Transport::Dtls {
            (Type::DGRAM, Protocol::UDP)
        } else {
            (Type::STREAM, Protocol::TCP)
        };
        let socket = Socket::new(Domain::for_address(server), kind.0, Some(kind.1))?;
        socket
            .bind(&local.into())
            .with_context(|| format!("the system does not send from {local}"))?;
        socket.connect(&server.into()).context("the server does not accept")?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let local = socket.local_addr()?.as_socket().context("an address of another family")?;
        let way = match transport {
            Transport::Dtls => {
                let mut ssl = ssl()?;
                ssl.set_mtu(1452)?;
                let stream = ssl
                    .connect(Connected(socket.into()))
                    .ok()
                    .context("the DTLS handshake failed")?;
                stream.get_ref().0.set_nonblocking(true)?;
                Way::Dtls(stream)
            }
            Transport::Tls => {
                socket.set_tcp_nodelay(true)?;
                let stream =
                    ssl()?.connect(socket.into()).ok().context("the TLS handshake failed")?;
                TcpStream::set_nonblocking(stream.get_ref(), true)?;
                Way::Tls(stream)
            }
            Transport::Tcp | Transport::Udp => {
                socket.set_tcp_nodelay(true)?;
                socket.set_nonblocking(true)?;
                Way::Tcp(socket.into())
            }
        };
        Ok(Self { way, local, queue: Vec::new(), held: Vec::new() })
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Queues a message if there is room.
    pub(crate) fn push(&mut self, message: &[u8]) -> io::Result<()> {
        if let Way::Dtls(stream) = &mut self.way {
            // A DTLS record is a datagram and waits for nothing.
            return match stream.ssl_write(message) {
                Ok(_) => Ok(()),
                Err(error) if is_block(error.code()) => Ok(()),
                Err(error) => Err(error.into_io_error().unwrap_or_else(io::Error::other)),
            };
        }
        if self.queue.len() + message.len() <= MAX_QUEUE {
            self.queue.extend_from_slice(message);
        }
        Ok(())
    }

    /// Writes the queue; returns whether it is empty now.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        let mut written = 0;
        while written < self.queue.len() {
            let bytes = &self.queue[written..];
            let result = match &mut self.way {
                Way::Tcp(stream) => stream.write(bytes),
                Way::Tls(stream) => tls(stream.ssl_write(bytes)),
                Way::Dtls(_) => unreachable!("nothing is queued for DTLS"),
            };
            match result {
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.queue.drain(..written);
        Ok(self.queue.is_empty())
    }

    /// Reads through `scratch` and passes each whole message to `each`; returns their number.
    pub(crate) fn receive(
        &mut self,
        scratch: &mut [u8],
        each: &mut impl FnMut(&[u8]),
    ) -> Result<usize> {
        let mut count = 0;
        loop {
            let result = match &mut self.way {
                Way::Tcp(stream) => stream.read(scratch),
                Way::Tls(stream) => tls(stream.ssl_read(scratch)),
                Way::Dtls(stream) => tls(stream.ssl_read(scratch)),
            };
            let length = match result {
                Ok(0) => anyhow::bail!("the server closed a connection"),
                Ok(length) => length,
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) =>
                {
                    return Ok(count);
                }
                Err(error) => return Err(error).context("a connection failed"),
            };
            if matches!(self.way, Way::Dtls(_)) {
                each(&scratch[..length]);
                count += 1;
            } else {
                count += self.cut(&scratch[..length], each)?;
            }
            if matches!(self.way, Way::Tcp(_)) && length < scratch.len() {
                return Ok(count);
            }
        }
    }

    fn cut(&mut self, mut bytes: &[u8], each: &mut impl FnMut(&[u8])) -> Result<usize> {
        let mut count = 0;
        while !self.held.is_empty() && !bytes.is_empty() {
            // A frame in pieces: byte by byte up to its length, then the rest at once.
            let length =
                stream::frame_len(&self.held).ok().context("no frame of STUN or ChannelData")?;
            let missing = length.map_or(1, |length| length - self.held.len()).min(bytes.len());
            self.held.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            let length =
                stream::frame_len(&self.held).ok().context("no frame of STUN or ChannelData")?;
            if length == Some(self.held.len()) {
                each(&self.held);
                self.held.clear();
                count += 1;
            }
        }
        while let Some(length) =
            stream::frame_len(bytes).ok().context("no frame of STUN or ChannelData")?
        {
            let Some((frame, rest)) = bytes.split_at_checked(length) else { break };
            each(frame);
            bytes = rest;
            count += 1;
        }
        self.held.extend_from_slice(bytes);
        Ok(count)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.way {
            Way::Tcp(stream) => stream.as_fd(),
            Way::Tls(stream) => stream.get_ref().as_fd(),
            Way::Dtls(stream) => stream.get_ref().0.as_fd(),
        }
    }
}

fn is_block(code: ErrorCode) -> bool {
    code == ErrorCode::WANT_READ || code == ErrorCode::WANT_WRITE
}

fn tls(result: Result<usize, openssl::ssl::Error>) -> io::Result<usize> {
    match result {
        Ok(count) => Ok(count),
        Err(error) if is_block(error.code()) => Err(io::ErrorKind::WouldBlock.into()),
        Err(error) if error.code() == ErrorCode::ZERO_RETURN => Ok(0),
        Err(error) => Err(error.into_io_error().unwrap_or_else(io::Error::other)),
    }
}
