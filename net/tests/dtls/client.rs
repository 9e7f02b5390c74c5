//! OpenSSL as a client, over a path that may lose, repeat and reorder.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use openssl::ssl::{HandshakeError, SslConnector, SslMethod, SslStream, SslVerifyMode};
use openssl::x509::X509;

/// The fate of a datagram: any number of datagrams replace it.
pub(crate) type Fate = Box<dyn FnMut(Vec<u8>) -> Vec<Vec<u8>>>;

/// Every datagram arrives.
pub(crate) fn faithful() -> Fate {
    Box::new(|datagram| vec![datagram])
}

/// The datagrams with these numbers, from 0, are lost.
pub(crate) fn losing(places: &'static [usize]) -> Fate {
    let mut next = 0;
    Box::new(move |datagram| {
        next += 1;
        if places.contains(&(next - 1)) { Vec::new() } else { vec![datagram] }
    })
}

/// The path between a client and the server.
pub(crate) struct Path {
    pub(crate) socket: UdpSocket,
    server: SocketAddr,
    out: Fate,
    back: Fate,
    arrived: VecDeque<Vec<u8>>,
    /// Everything that the client sent, as an attacker on the path sees it.
    pub(crate) sent: Vec<Vec<u8>>,
}

impl Path {
    pub(crate) fn new(socket: UdpSocket, server: SocketAddr, out: Fate, back: Fate) -> Self {
        Self { socket, server, out, back, arrived: VecDeque::new(), sent: Vec::new() }
    }
}

impl Read for Path {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.arrived.is_empty() {
            let mut received = [0; 65_536];
            let len = self.socket.recv(&mut received)?;
            self.arrived.extend((self.back)(received[..len].to_vec()));
        }
        let Some(datagram) = self.arrived.pop_front() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        buffer[..datagram.len()].copy_from_slice(&datagram);
        Ok(datagram.len())
    }
}

impl Write for Path {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.sent.push(datagram.to_vec());
        for one in (self.out)(datagram.to_vec()) {
            self.socket.send_to(&one, self.server)?;
        }
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The settings of a client.
pub(crate) struct Wish<'a> {
    pub(crate) root: Option<&'a X509>,
    pub(crate) name: &'a str,
    pub(crate) alpn: &'a [u8],
    pub(crate) ciphers: Option<&'a str>,
}

impl<'a> Wish<'a> {
    /// A client that accepts a chain that ends at `root`, for `name`.
    pub(crate) fn verified(root: &'a X509, name: &'a str) -> Self {
        Self { root: Some(root), name, alpn: b"", ciphers: None }
    }
}

/// A client with an association.
pub(crate) struct Client {
    pub(crate) stream: SslStream<Path>,
}

impl Client {
    /// Completes a handshake, retransmitting as OpenSSL does.
    pub(crate) fn connect(path: Path, wish: &Wish<'_>) -> Result<Self, String> {
        Self::connect_within(Duration::from_secs(10), path, wish)
    }

    /// The same, within another time limit.
    pub(crate) fn connect_within(
        patience: Duration,
        path: Path,
        wish: &Wish<'_>,
    ) -> Result<Self, String> {
        let mut connector = SslConnector::builder(SslMethod::dtls()).unwrap();
        match wish.root {
            Some(root) => connector.cert_store_mut().add_cert(root.clone()).unwrap(),
            None => connector.set_verify(SslVerifyMode::NONE),
        }
        if let Some(ciphers) = wish.ciphers {
            connector.set_cipher_list(ciphers).unwrap();
        }
        if !wish.alpn.is_empty() {
            connector.set_alpn_protos(wish.alpn).unwrap();
        }
        let mut configuration = connector.build().configure().unwrap();
        configuration.set_verify_hostname(wish.root.is_some());
        configuration.set_mtu(1_200).unwrap();
        let mut result = configuration.connect(wish.name, path);
        let deadline = Instant::now() + patience;
        loop {
            match result {
                Ok(stream) => return Ok(Self { stream }),
                Err(HandshakeError::WouldBlock(going_on)) if Instant::now() < deadline => {
                    result = going_on.handshake();
                }
                Err(HandshakeError::WouldBlock(_)) => return Err("it takes too long".into()),
                Err(HandshakeError::Failure(failed)) => return Err(failed.error().to_string()),
                Err(HandshakeError::SetupFailure(error)) => return Err(error.to_string()),
            }
        }
    }

    pub(crate) fn send(&mut self, plaintext: &[u8]) {
        self.stream.write_all(plaintext).unwrap();
    }

    /// The next plaintext within `patience`; empty when the server has closed the association,
    /// `None` if nothing comes.
    pub(crate) fn receive_within(&mut self, patience: Duration) -> Option<Vec<u8>> {
        let deadline = Instant::now() + patience;
        let mut plaintext = [0; 20_000];
        while Instant::now() < deadline {
            match self.stream.ssl_read(&mut plaintext) {
                Ok(len) => return Some(plaintext[..len].to_vec()),
                Err(error) if error.code() == openssl::ssl::ErrorCode::ZERO_RETURN => {
                    return Some(Vec::new());
                }
                Err(error) if error.code() == openssl::ssl::ErrorCode::WANT_READ => {}
                Err(error) => panic!("{error}"),
            }
        }
        None
    }

    pub(crate) fn receive(&mut self) -> Vec<u8> {
        self.receive_within(Duration::from_secs(5)).expect("an answer")
    }

    /// Sends bytes and asserts that they come back.
    pub(crate) fn assert_echo(&mut self, plaintext: &[u8]) {
        self.send(plaintext);
        assert_eq!(self.receive(), plaintext);
    }
}
