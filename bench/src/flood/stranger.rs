//! Half-open handshakes over TLS and DTLS.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use openssl::ssl::{Ssl, SslContext, SslMethod, SslOptions, SslVerifyMode};
use socket2::{Domain, Protocol, Socket, Type};

/// Length of a DTLS handshake record's header and of its one message's header.
const RECORD: usize = 13;
const MESSAGE: usize = 12;
/// Length of the version, the random and the empty session id, which precede the cookie in a
/// ClientHello.
const BEFORE_COOKIE: usize = 2 + 32 + 1;

/// Starts handshakes and abandons them. The messages were made once: they should cost the server,
/// not the machine.
pub(crate) struct Stranger {
    tls_hello: Vec<u8>,
    dtls_hello: Vec<u8>,
    next: u32,
}

/// A started handshake, which is given up on drop.
pub(crate) enum Begun {
    Tls(#[expect(dead_code, reason = "held open")] Socket),
    Dtls,
}

impl Stranger {
    pub(crate) fn new() -> Result<Self> {
        let dtls_hello = hello(SslMethod::dtls_client())?;
        ensure!(
            dtls_hello.get(RECORD + MESSAGE + BEFORE_COOKIE) == Some(&0),
            "a first ClientHello has no cookie"
        );
        Ok(Self { tls_hello: hello(SslMethod::tls_client())?, dtls_hello, next: 0 })
    }

    /// Returns a new source address, so that no limit by source stops all handshakes.
    fn source(&mut self) -> SocketAddr {
        self.next += 1;
        let [_, b, c, d] = self.next.to_be_bytes();
        SocketAddr::from((Ipv4Addr::new(127, 1 + b, c, d), 0))
    }

    /// Opens a TCP connection and sends a ClientHello.
    pub(crate) fn begin_tls(&mut self, server: SocketAddr) -> Result<Begun> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.bind(&self.source().into())?;
        socket.connect(&server.into())?;
        let mut stream = TcpStream::from(socket);
        stream.write_all(&self.tls_hello)?;
        Ok(Begun::Tls(stream.into()))
    }

    /// Sends a ClientHello, receives the cookie, and sends the second ClientHello with it.
    pub(crate) fn begin_dtls(&mut self, server: SocketAddr) -> Result<Begun> {
        let socket = UdpSocket::bind(self.source())?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        socket.send(&self.dtls_hello)?;
        let mut answer = [0; 512];
        // No answer: the server limits handshakes of unproven sources.
        let Ok(len) = socket.recv(&mut answer) else { return Ok(Begun::Dtls) };
        // HelloVerifyRequest: the version, then the length of the cookie and the cookie.
        let cookie = answer[..len].get(RECORD + MESSAGE + 2..).context("no HelloVerifyRequest")?;
        socket.send(&self.with_cookie(cookie))?;
        Ok(Begun::Dtls)
    }

    /// The ClientHello as message 1 in record 1, with `cookie`, which starts with its length.
    fn with_cookie(&self, cookie: &[u8]) -> Vec<u8> {
        let (head, body) = self.dtls_hello.split_at(RECORD + MESSAGE);
        let body = [&body[..BEFORE_COOKIE], cookie, &body[BEFORE_COOKIE + 1..]].concat();
        let length = |bytes: usize| (bytes as u32).to_be_bytes();
        let mut hello = [head, &body].concat();
        hello[10] = 1; // the record's sequence number
        hello[11..13].copy_from_slice(&length(MESSAGE + body.len())[2..]);
        hello[RECORD + 1..RECORD + 4].copy_from_slice(&length(body.len())[1..]);
        hello[RECORD + 5] = 1; // message_seq
        hello[RECORD + 9..RECORD + 12].copy_from_slice(&length(body.len())[1..]);
        hello
    }
}

/// The first flight of a client, as bytes.
fn hello(method: SslMethod) -> Result<Vec<u8>> {
    let mut builder = SslContext::builder(method)?;
    builder.set_verify(SslVerifyMode::NONE);
    builder.set_options(SslOptions::NO_QUERY_MTU);
    let mut ssl = Ssl::new(&builder.build())?;
    // TLS has no MTU and returns an error.
    let _ = ssl.set_mtu(1400);
    match ssl.connect(Recorder(Vec::new())) {
        Err(openssl::ssl::HandshakeError::WouldBlock(stream)) => Ok(stream.get_ref().0.clone()),
        _ => anyhow::bail!("a client waits for its server"),
    }
}

/// Stores what is written, and has nothing to read.
#[derive(Debug)]
struct Recorder(Vec<u8>);

impl Read for Recorder {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl Write for Recorder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
