//! Clients without credentials that begin handshakes and abandon them.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use causeway_relay::Transport;
use causeway_tests::daemon::service;
use causeway_wire::Method;
use causeway_wire::attribute::RequestedTransport;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslOptions, SslStream};
use socket2::{Domain, Socket, Type};

use causeway_tests::daemon::leg::{arrives, udp};
use causeway_tests::daemon::talker::Talker;

use crate::turnd;

/// Number of such clients over each protocol. Together they are fewer than the limit.
const STRANGERS: u32 = 700;

/// How much memory of a flood the allocator may keep, in KiB. A server that frees none keeps three
/// times as much.
const LEFT: u64 = 24 << 10;

#[test]
fn h13_h14_half_open_handshakes_harm_no_call_and_their_memory_comes_back() {
    let turnd = turnd::turnd();
    let (mut talker, peer) = (turnd.talker(Transport::Dtls), udp());
    let relayed = talker.allocate();
    talker.permit(peer.local_addr().unwrap());
    let tls = hello(SslMethod::tls_client());
    let before = turnd.resident();
    // The second flood does not add to the memory that the first leaves behind.
    for flood in ["first", "second"] {
        let mut held = Vec::new();
        for number in 0..STRANGERS {
            let source = SocketAddr::from((Ipv4Addr::from(0x7F01_0000 + number), 0));
            held.push((begin_tls(source, turnd.address, &tls), begin_dtls(source, turnd.address)));
            if number % 100 == 0 {
                talker.send(peer.local_addr().unwrap(), b"in the flood");
                assert_eq!(arrives(&peer), (b"in the flood".to_vec(), relayed));
            }
        }
        // The server drops a TLS handshake after five seconds, too: check the gauge before.
        let flooded = turnd.resident();
        let under_way = turnd.metric("turnd_handshakes_half_open");
        assert!(under_way > u64::from(STRANGERS) / 2, "only {under_way} are half open");
        drop(held);
        let deadline = Instant::now() + Duration::from_secs(30);
        while turnd.metric("turnd_handshakes_half_open") > 0 || turnd.resident() > before + LEFT {
            let (half_open, now) = (turnd.metric("turnd_handshakes_half_open"), turnd.resident());
            assert!(
                Instant::now() < deadline,
                "{flood}: {half_open} half open; {before} KiB, {flooded} in the flood, {now} now"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    talker.send(peer.local_addr().unwrap(), b"after it");
    assert_eq!(arrives(&peer).0, b"after it");
    turnd.talker(Transport::Tls).allocate();
}

#[test]
fn h42_no_stranger_writes_to_the_log() {
    let turnd = turnd::turnd();
    let warning = [0x15, 3, 3, 0, 2, 1, 0x5A]; // "user canceled"
    let hello = hello(SslMethod::tls_client());
    for number in 0..20 {
        let mut stream = TcpStream::connect(turnd.address).unwrap();
        let first: &[u8] = if number % 2 == 0 { &hello } else { &[] };
        let _ = stream.write_all(&[first, &warning.repeat(8), b"\x17\x03\x03\0\x01\0"].concat());
        let _ = io::copy(&mut stream, &mut io::sink()); // until it is closed, or reset
    }
    turnd.talker(Transport::Tls).allocate();
    let log = turnd.log();
    assert!(log.contains("ready") && !log.contains("rustls"), "{log}");
}

#[test]
fn a_user_whose_allocates_fail_does_not_fill_the_log() {
    let taken = udp();
    let port = taken.local_addr().unwrap().port();
    let turnd = service::turnd_with_ports(&format!("{port}-{port}"), "", "");
    let mut talker = Talker::new(Transport::Udp, turnd.address, Path::new(""));
    for _ in 0..50 {
        let answer = talker.ask(Method::ALLOCATE, &|w| w.put(&RequestedTransport::UDP).map(drop));
        assert_eq!(answer.error(), Some(508));
    }
    let log = turnd.log();
    assert!((1..10).contains(&log.matches("Allocate answered 508").count()), "{log}");
}

fn begin_tls(source: SocketAddr, server: SocketAddr, hello: &[u8]) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&source.into()).unwrap();
    socket.connect(&server.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.write_all(hello).unwrap();
    stream
}

/// Begins a DTLS handshake, up to the second ClientHello with the cookie.
fn begin_dtls(source: SocketAddr, server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(source).unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut stream = pending(SslMethod::dtls_client(), Script::default());
    socket.send(&stream.get_mut().take_written()).unwrap();
    let mut cookie = [0; 512];
    let len = socket.recv(&mut cookie).expect("a HelloVerifyRequest");
    stream.get_mut().to_read = cookie[..len].to_vec();
    assert!(stream.connect().is_err(), "the server has not answered yet");
    socket.send(&stream.get_mut().take_written()).unwrap();
    socket
}

fn hello(method: SslMethod) -> Vec<u8> {
    pending(method, Script::default()).get_mut().take_written()
}

/// A client that has sent its first flight.
fn pending(method: SslMethod, script: Script) -> SslStream<Script> {
    let mut context = SslContext::builder(method).unwrap();
    context.set_options(SslOptions::NO_QUERY_MTU);
    let mut ssl = Ssl::new(&context.build()).unwrap();
    let _ = ssl.set_mtu(1400); // fails for TLS, which has none
    let mut stream = SslStream::new(ssl, script).unwrap();
    assert!(stream.connect().is_err_and(|error| {
        error.io_error().is_none_or(|error| error.kind() == io::ErrorKind::WouldBlock)
    }));
    stream
}

/// The bytes that the client is to read, and those that it has written.
#[derive(Debug, Default)]
struct Script {
    to_read: Vec<u8>,
    written: Vec<u8>,
}

impl Script {
    fn take_written(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.written)
    }
}

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.to_read.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = self.to_read.len();
        buffer[..len].copy_from_slice(&self.to_read);
        self.to_read.clear();
        Ok(len)
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
