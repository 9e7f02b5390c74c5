//! The first bytes of TLS and DTLS as real clients write them (docs/clients.md), at both servers.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use causeway_tests::daemon::certificates::{Certificates, KeyKind};
use causeway_tests::daemon::leg::udp;
use causeway_tests::daemon::service::Service;
use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslMethod, SslOptions, SslVerifyMode, SslVersion,
};

use crate::certificates::both;

const PATIENCE: Duration = Duration::from_secs(5);
/// A Binding request without attributes.
const BINDING: [u8; 20] = *b"\x00\x01\x00\x00\x21\x12\xa4\x42twelve bytes";

/// Both servers with all transports on one port.
fn servers() -> (Certificates, [Service; 2]) {
    let certificates = Certificates::make(KeyKind::Ecdsa);
    let servers =
        both(&certificates).map(|(name, address, config)| Service::start(name, address, &config));
    (certificates, servers)
}

fn assert_binding_is_answered(stream: &mut (impl Read + Write), case: &str) {
    stream.write_all(&BINDING).unwrap();
    let mut answer = [0; 20];
    stream.read_exact(&mut answer).unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_eq!((&answer[..2], &answer[4..]), (&[1, 1][..], &BINDING[4..]), "{case}");
}

/// A connection whose first write, the ClientHello, is sent in pieces.
#[derive(Debug)]
struct InPieces {
    stream: TcpStream,
    pieces: Vec<usize>,
    hello: usize,
}

impl InPieces {
    /// Connects; the pieces have these lengths, and the last one has the rest.
    fn connect(server: SocketAddr, pieces: &[usize]) -> Self {
        let stream = TcpStream::connect(server).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, pieces: pieces.to_vec(), hello: 0 }
    }
}

impl Read for InPieces {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.read(bytes)
    }
}

impl Write for InPieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.hello == 0 {
            self.hello = bytes.len();
            let mut rest = bytes;
            for piece in &self.pieces {
                let (first, after) = rest.split_at(*piece);
                self.stream.write_all(first)?;
                std::thread::sleep(Duration::from_millis(30));
                rest = after;
            }
            self.stream.write_all(rest)?;
            return Ok(bytes.len());
        }
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn builder(method: SslMethod, root: &Path) -> SslContextBuilder {
    let mut context = SslContext::builder(method).unwrap();
    context.set_verify(SslVerifyMode::PEER);
    context.set_ca_file(root).unwrap();
    context
}

/// A client's session that asks for `name` by SNI, and accepts only the certificate of localhost.
fn client(context: SslContextBuilder, name: Option<&str>) -> Ssl {
    let mut ssl = Ssl::new(&context.build()).unwrap();
    ssl.param_mut().set_host("localhost").unwrap();
    if let Some(name) = name {
        // OpenSSL sends an address unchanged, as libwebrtc does.
        ssl.set_hostname(name).unwrap();
    }
    ssl
}

#[test]
fn tls_without_sni_with_an_address_or_a_foreign_name_gets_the_first_certificate() {
    let (certificates, servers) = servers();
    for server in &servers {
        for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
            // werift; libwebrtc with an address; a client that reaches the server by another of its
            // names.
            for name in
                [None, Some("127.0.0.1"), Some("::1"), Some("other.example"), Some("localhost")]
            {
                let mut context = builder(SslMethod::tls_client(), &certificates.root());
                context.set_max_proto_version(Some(version)).unwrap();
                let case = format!("{name:?} {version:?} at {}", server.address);
                let stream = InPieces::connect(server.address, &[]);
                let mut stream = client(context, name)
                    .connect(stream)
                    .unwrap_or_else(|error| panic!("{case}: {error}"));
                assert_binding_is_answered(&mut stream, &case);
            }
        }
    }
}

#[test]
fn dtls_without_sni_with_an_address_or_a_foreign_name_gets_the_first_certificate() {
    let (certificates, servers) = servers();
    for server in &servers {
        for name in [None, Some("127.0.0.1"), Some("::1"), Some("other.example"), Some("localhost")]
        {
            let mut context = builder(SslMethod::dtls_client(), &certificates.root());
            context.set_options(SslOptions::NO_QUERY_MTU);
            let mut ssl = client(context, name);
            ssl.set_mtu(1_200).unwrap();
            let mut stream = ssl
                .connect(Kept::connect(server.address))
                .unwrap_or_else(|error| panic!("{name:?}: {error}"));
            assert_dtls_binding_is_answered(&mut stream);
        }
    }
}

#[test]
fn a_tls_hello_in_two_segments_and_in_four_pieces_is_waited_for() {
    let (certificates, servers) = servers();
    for server in &servers {
        // As Chromium and pion send it: the key share of ML-KEM makes the hello longer than a
        // segment. And a hello in tiny pieces.
        for pieces in [&[1_400][..], &[1, 4, 100]] {
            let mut context = builder(SslMethod::tls_client(), &certificates.root());
            context.set_groups_list("X25519MLKEM768:X25519:P-256").unwrap();
            let stream = InPieces::connect(server.address, pieces);
            let mut stream = client(context, Some("localhost")).connect(stream).unwrap();
            assert!(
                stream.get_ref().hello > 1_460,
                "{} bytes fit a segment",
                stream.get_ref().hello
            );
            assert_binding_is_answered(&mut stream, "a long hello");
        }
    }
}

#[test]
fn plain_tcp_on_the_port_of_tls_is_answered() {
    // libnice's RelayType.TLS sends plain TURN over TCP.
    let (_certificates, servers) = servers();
    for server in &servers {
        for pieces in [&[][..], &[1, 1, 2]] {
            assert_binding_is_answered(&mut InPieces::connect(server.address, pieces), "libnice");
        }
    }
}

/// A datagram socket that records what it sent.
#[derive(Debug)]
struct Kept {
    socket: UdpSocket,
    sent: Vec<Vec<u8>>,
}

impl Kept {
    fn connect(server: SocketAddr) -> Self {
        let socket = udp();
        socket.connect(server).unwrap();
        Self { socket, sent: Vec::new() }
    }
}

impl Read for Kept {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(bytes)
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sent.push(bytes.to_vec());
        self.socket.send(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn assert_dtls_binding_is_answered(stream: &mut (impl Read + Write)) {
    stream.write_all(&BINDING).unwrap();
    let mut answer = [0; 1_500];
    let len = stream.read(&mut answer).unwrap();
    assert_eq!((&answer[..2], &answer[4..20]), (&[1, 1][..], &BINDING[4..]), "{len} bytes");
}

#[test]
fn a_dtls_hello_in_two_datagrams_is_put_together() {
    let (certificates, servers) = servers();
    for server in &servers {
        let mut context = builder(SslMethod::dtls_client(), &certificates.root());
        context.set_options(SslOptions::NO_QUERY_MTU);
        // Names of no server make it as long as Chromium's.
        let mut protocols = Vec::new();
        for name in (0..10)
            .map(|number| format!("{number:0120}"))
            .chain(["stun.nat-discovery".into(), "stun.turn".into()])
        {
            protocols.push(u8::try_from(name.len()).unwrap());
            protocols.extend(name.bytes());
        }
        context.set_alpn_protos(&protocols).unwrap();
        let mut ssl = client(context, Some("localhost"));
        ssl.set_mtu(1_200).unwrap();
        let mut stream = ssl.connect(Kept::connect(server.address)).unwrap();
        let lengths: Vec<_> = stream.get_ref().sent.iter().take(4).map(Vec::len).collect();
        assert!(
            lengths[0] > 1_100 && lengths[2] > 1_100 && lengths[1] > 100 && lengths[3] > 100,
            "{lengths:?}"
        );
        assert_dtls_binding_is_answered(&mut stream);
    }
}

/// An extension of a hello.
fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &u16::try_from(content.len()).unwrap().to_be_bytes(), content]
        .concat()
}

/// A ClientHello of Chromium 156: DTLS 1.3 offered before 1.2, with 1,258 bytes of key shares.
fn chromium_hello(cookie: &[u8]) -> Vec<u8> {
    const KEY_SHARES: usize = 1_258;
    let mut shares = vec![0; KEY_SHARES];
    // The length of the list; X25519MLKEM768 with 1,216 bytes; X25519 with 32.
    shares[..6].copy_from_slice(&[0x04, 0xe8, 0x11, 0xec, 0x04, 0xc0]);
    shares[6 + 1_216..6 + 1_216 + 4].copy_from_slice(&[0x00, 0x1d, 0x00, 0x20]);
    let extensions = [
        extension(23, &[]),
        extension(0xff01, &[0]),
        extension(10, &[0, 8, 0x11, 0xec, 0, 0x1d, 0, 0x17, 0, 0x18]),
        extension(11, &[1, 0]),
        extension(13, &[0, 12, 4, 3, 8, 4, 4, 1, 5, 3, 8, 5, 5, 1]),
        extension(14, &[0, 8, 0, 1, 0, 8, 0, 7, 0, 2, 0]),
        extension(51, &shares),
        extension(45, &[1, 1]),
        extension(43, &[4, 0xfe, 0xfc, 0xfe, 0xfd]),
    ]
    .concat();
    let mut body = vec![0xfe, 0xfd];
    body.extend([7; 32]);
    body.push(0);
    body.push(u8::try_from(cookie.len()).unwrap());
    body.extend(cookie);
    body.extend([
        0, 18, 0x13, 1, 0x13, 2, 0x13, 3, 0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30, 0xcc,
        0xa9, 0xcc, 0xa8, 1, 0,
    ]);
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    body
}

/// The message in fragments, in datagrams of at most 1,200 bytes.
fn datagrams(body: &[u8], message: u8) -> Vec<Vec<u8>> {
    const HEADERS: usize = 13 + 12;
    let length = |len: usize| u32::try_from(len).unwrap().to_be_bytes();
    let mut offset = 0;
    let fragments = body.chunks(1_200 - HEADERS).enumerate().map(|(index, fragment)| {
        let number = 2 * message + u8::try_from(index).unwrap();
        let mut datagram = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, number];
        datagram.extend(&length(fragment.len() + 12)[2..]);
        datagram.push(1);
        datagram.extend(&length(body.len())[1..]);
        datagram.extend([0, message]);
        datagram.extend(&length(offset)[1..]);
        datagram.extend(&length(fragment.len())[1..]);
        datagram.extend(fragment);
        offset += fragment.len();
        datagram
    });
    fragments.collect()
}

#[test]
fn a_dtls_hello_that_offers_version_1_3_with_a_long_key_share_is_answered_with_1_2() {
    let (_certificates, servers) = servers();
    for server in &servers {
        let socket = udp();
        socket.connect(server.address).unwrap();
        let exchange = |cookie: &[u8], message: u8| {
            let sent = datagrams(&chromium_hello(cookie), message);
            assert_eq!(sent.len(), 2);
            sent.iter()
                .for_each(|datagram| assert_eq!(socket.send(datagram).unwrap(), datagram.len()));
            let mut answer = vec![0; 2_000];
            let len = socket.recv(&mut answer).expect("an answer");
            answer.truncate(len);
            answer
        };
        let verify = exchange(&[], 0);
        assert_eq!((verify[0], verify[13]), (22, 3), "a HelloVerifyRequest for the first fragment");
        let hello = exchange(&verify[28..], 1);
        assert_eq!(
            (hello[0], hello[13], &hello[25..27]),
            (22, 2, &[0xfe, 0xfd][..]),
            "a ServerHello of DTLS 1.2: {hello:?}"
        );
    }
}
