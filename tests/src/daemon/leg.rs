//! A client's connection to a server, over each transport, on blocking sockets.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use causeway_relay::Transport;
use causeway_wire::stream::frame_len;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslOptions, SslStream, SslVerifyMode};

/// How long to wait for a packet.
const PATIENCE: Duration = Duration::from_secs(5);

/// A client's connection to the server: the first leg of a relayed path.
pub enum Leg {
    /// UDP: a message per datagram.
    Udp(UdpSocket),
    /// TCP: a stream that is cut into messages.
    Tcp(Frames<TcpStream>),
    /// TLS: the same, encrypted.
    Tls(Frames<SslStream<TcpStream>>),
    /// DTLS: a message per record.
    Dtls(SslStream<Connected>),
}

impl Leg {
    /// Connects; `root` signs the server's certificate, for TLS and DTLS.
    pub fn new(transport: Transport, server: SocketAddr, root: &Path) -> Self {
        match transport {
            Transport::Udp => Self::Udp(connected(server)),
            Transport::Tcp => Self::Tcp(Frames::new(tcp(server))),
            Transport::Tls => Self::Tls(Frames::new(
                ssl(SslMethod::tls_client(), root).connect(tcp(server)).expect("a handshake"),
            )),
            Transport::Dtls => {
                let mut ssl = ssl(SslMethod::dtls_client(), root);
                ssl.set_mtu(1400).expect("DTLS has an MTU");
                Self::Dtls(ssl.connect(Connected(connected(server))).expect("a handshake"))
            }
        }
    }

    /// The client's local address.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        match self {
            Self::Udp(socket) => socket.local_addr(),
            Self::Tcp(frames) => frames.stream.local_addr(),
            Self::Tls(frames) => frames.stream.get_ref().local_addr(),
            Self::Dtls(stream) => stream.get_ref().0.local_addr(),
        }
        .expect("it is connected")
    }

    /// Sends one datagram, or bytes of a stream.
    pub fn send(&mut self, bytes: &[u8]) {
        match self {
            Self::Udp(socket) => {
                assert_eq!(socket.send(bytes).expect("loopback accepts it"), bytes.len());
            }
            Self::Tcp(frames) => frames.stream.write_all(bytes).expect("the connection is open"),
            Self::Tls(frames) => frames.stream.write_all(bytes).expect("the connection is open"),
            // OpenSSL does not write an empty record.
            Self::Dtls(stream) => drop(
                (!bytes.is_empty())
                    .then(|| stream.write_all(bytes).expect("the association is open")),
            ),
        }
    }

    /// The next datagram or frame; `None` when the connection is closed.
    pub fn receive(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::Udp(socket) => Some(datagram(|bytes| socket.recv(bytes))),
            Self::Tcp(frames) => frames.next(),
            Self::Tls(frames) => frames.next(),
            Self::Dtls(stream) => {
                Some(datagram(|bytes| stream.read(bytes))).filter(|bytes| !bytes.is_empty())
            }
        }
    }
}

/// A stream that is cut into frames.
pub struct Frames<S> {
    stream: S,
    held: Vec<u8>,
}

impl<S: Read> Frames<S> {
    fn new(stream: S) -> Self {
        Self { stream, held: Vec::new() }
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(len) = frame_len(&self.held)
                .expect("the server's frames")
                .filter(|len| *len <= self.held.len())
            {
                return Some(self.held.drain(..len).collect());
            }
            let mut more = [0; 4096];
            match self.stream.read(&mut more) {
                Ok(0) => return None,
                Ok(len) => self.held.extend_from_slice(&more[..len]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("a frame in time: {error}"),
            }
        }
    }
}

/// A connected socket, as OpenSSL reads and writes.
#[derive(Debug)]
pub struct Connected(pub UdpSocket);

impl Read for Connected {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.recv(bytes)
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

fn datagram(receive: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> Vec<u8> {
    let mut bytes = vec![0; 65_536];
    let len = receive(&mut bytes).expect("a datagram in time");
    bytes.truncate(len);
    bytes
}

/// A client's session that trusts `root` alone.
fn ssl(method: SslMethod, root: &Path) -> Ssl {
    let mut context = SslContext::builder(method).expect("OpenSSL has it");
    context.set_verify(SslVerifyMode::PEER);
    context.set_ca_file(root).expect("a root");
    context.set_options(SslOptions::NO_QUERY_MTU);
    let mut ssl = Ssl::new(&context.build()).expect("a client's session");
    ssl.param_mut().set_host("localhost").expect("a name");
    ssl
}

fn tcp(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream.set_nodelay(true).expect("TCP has it");
    stream
}

fn connected(server: SocketAddr) -> UdpSocket {
    let socket = udp();
    socket.connect(server).expect("loopback exists");
    socket
}

/// A socket of loopback, of a client or a peer.
pub fn udp() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("some port is free");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    socket
}

/// The next datagram at a peer, and its source.
pub fn arrives(peer: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut bytes = vec![0; 65_536];
    let (len, from) = peer.recv_from(&mut bytes).expect("a datagram in time");
    bytes.truncate(len);
    (bytes, from)
}
