//! The PROXY protocol on TCP, TLS and UDP: trusted from 127.0.0.2, garbage from 127.0.0.1.

#![allow(clippy::unwrap_used)] // what a test calls fails as the test would

#[path = "support/authority.rs"]
mod authority;
mod support;
#[path = "support/tls_client.rs"]
mod tls_client;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use authority::{Authority, Kind};
use causeway_net::proxy::Fault;
use causeway_net::secure::HandshakeLimits;
use causeway_net::{
    DatagramListenerOptions, Listener, Rejection, RejectionReason, StreamListenerOptions,
    TrustedProxies, UdpOptions, UdpSocket,
};
use rustls::version::TLS13;
use socket2::{Domain, Socket, Type};
use support::{Behavior, Event, Worker, plain_socket};
use tls_client::{config, echo, handshake};

const PROXY: &str = "127.0.0.2:0";
const OTHER: &str = "127.0.0.1:0";

fn trusted() -> Option<Arc<TrustedProxies>> {
    Some(Arc::new(TrustedProxies::new([("127.0.0.2".parse().unwrap(), 32)])))
}

/// A header for 192.0.2.1:12345, which sent to 198.51.100.7:3478, over a stream (1) or as a
/// datagram (2).
fn header(command: u8, transport: u8) -> Vec<u8> {
    let addresses = [192, 0, 2, 1, 198, 51, 100, 7, 0x30, 0x39, 0x0d, 0x96];
    let field = [0x04, 0, 2, 9, 9];
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[0x20 | command, 0x10 | transport, 0, 17], &addresses, &field]
        .concat()
}

fn client() -> SocketAddr {
    "192.0.2.1:12345".parse().unwrap()
}

fn server() -> SocketAddr {
    "198.51.100.7:3478".parse().unwrap()
}

fn dial(from: &str, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&from.parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.set_tcp_nodelay(true).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.into()
}

fn listen_tcp(behavior: Behavior) -> (Worker, SocketAddr) {
    Worker::start(behavior, |io| {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let key = io
            .listen_tcp(
                listener,
                StreamListenerOptions { proxies: trusted(), ..StreamListenerOptions::plain(4) },
            )
            .unwrap();
        io.listener_addr(key).unwrap()
    })
}

fn listen_udp(behavior: Behavior) -> (Worker, SocketAddr) {
    Worker::start(behavior, |io| {
        let socket = UdpSocket::bind("0.0.0.0:0".parse().unwrap(), &UdpOptions::LISTENER).unwrap();
        let port = socket.local_addr().port();
        io.listen_udp(
            socket,
            DatagramListenerOptions { proxies: trusted(), ..DatagramListenerOptions::plain(4) },
        )
        .unwrap();
        SocketAddr::from(([127, 0, 0, 1], port))
    })
}

#[test]
fn a_trusted_proxy_names_the_client_of_a_connection() {
    let (worker, address) = listen_tcp(Behavior::Echoes);
    let mut stream = dial(PROXY, address);
    for byte in &header(1, 1)[..20] {
        worker.assert_quiet();
        stream.write_all(&[*byte]).unwrap();
    }
    stream.write_all(&header(1, 1)[20..]).unwrap();
    let Event::Accepted(info) = worker.event() else { panic!("a connection") };
    assert_eq!((info.peer, info.local, info.tag), (client(), server(), 4));
    echo(&mut stream, b"through");
    let Event::Frame(info, _) = worker.event() else { panic!("a frame") };
    assert_eq!((info.peer, info.tag), (client(), 7));
    // Header and frame may come in one segment.
    let mut stream = dial(PROXY, address);
    stream.write_all(&[&header(1, 1)[..], &[0, 2, 8, 8]].concat()).unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
}

#[test]
fn a_proxy_that_speaks_for_itself_keeps_the_connection_s_addresses() {
    let (worker, address) = listen_tcp(Behavior::Echoes);
    let mut stream = dial(PROXY, address);
    stream.write_all(&header(0, 1)).unwrap();
    let Event::Accepted(info) = worker.event() else { panic!("a connection") };
    assert_eq!((info.peer, info.local), (stream.local_addr().unwrap(), address));
    echo(&mut stream, b"a look at its health");
}

#[test]
fn a_trusted_proxy_without_a_header_is_refused_and_its_service_never_hears_of_it() {
    let (worker, address) = listen_tcp(Behavior::Reports);
    let long = [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[0x21, 0x11, 0xff, 0xff]].concat();
    for (number, bytes) in
        [&[0, 2, 1, 1][..], b"PROXY TCP4 192.0.2.1 198.51.100.7 1 2\r\n", &header(5, 1), &long]
            .iter()
            .enumerate()
    {
        let mut stream = dial(PROXY, address);
        stream.write_all(bytes).unwrap();
        assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        worker.settle();
        assert_eq!(worker.stats.streams_without_proxy_header.value(), number as u64 + 1);
    }
    drop(dial(PROXY, address)); // it says nothing at all
    let mut silent = dial(PROXY, address);
    let begun = Instant::now();
    assert_eq!(silent.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(
        (Duration::from_millis(4_900)..Duration::from_secs(8)).contains(&begun.elapsed()),
        "{:?}",
        begun.elapsed()
    );
    worker.settle();
    assert_eq!(
        (worker.stats.streams_without_proxy_header.value(), worker.stats.streams_open.value()),
        (6, 0)
    );
    worker.assert_quiet();
}

/// A header of this length, as a proxy writes it that passes on a client's certificate.
fn long_header(transport: u8, len: usize) -> Vec<u8> {
    let mut header = header(1, transport)[..28].to_vec();
    let field = len - 28 - 3;
    header.extend([0x22, (field >> 8) as u8, field as u8]);
    header.resize(len, b'x');
    header[14..16].copy_from_slice(&u16::try_from(len - 16).unwrap().to_be_bytes());
    header
}

#[test]
fn headers_of_two_and_of_four_kibibytes_are_taken_over_udp_tcp_and_tls() {
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let handshaker = authority.handshaker(HandshakeLimits::default());
    let (worker, address) = Worker::start_with(Some(&handshaker), |io| {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listening = StreamListenerOptions {
            tls: true,
            proxies: trusted(),
            ..StreamListenerOptions::plain(4)
        };
        let key = io.listen_tcp(listener, listening).unwrap();
        (Behavior::Echoes, io.listener_addr(key).unwrap())
    });
    for len in [2_048 + 16, 4_096] {
        let mut stream = dial(PROXY, address);
        for part in long_header(1, len).chunks(700) {
            stream.write_all(part).unwrap();
        }
        echo(&mut stream, b"through");
        let mut secure = dial(PROXY, address);
        secure.write_all(&long_header(1, len)).unwrap();
        echo(
            &mut handshake(secure, &config(&authority, &TLS13, &[]), "localhost").unwrap(),
            b"through",
        );
        let infos = std::iter::from_fn(|| Some(worker.event()))
            .filter_map(|event| if let Event::Accepted(info) = event { Some(info) } else { None });
        assert!(infos.take(2).all(|info| info.peer == client()));

        let (worker, address) = listen_udp(Behavior::Echoes);
        let proxy = plain_socket(PROXY);
        proxy.send_to(&[&long_header(2, len)[..], b"hello"].concat(), address).unwrap();
        let Event::Datagram(arrival, content) = worker.event() else { panic!("a datagram") };
        assert_eq!((arrival.source, content), (client(), b"hello".to_vec()));
        let mut buffer = [0; 64];
        assert_eq!(
            proxy.recv(&mut buffer).unwrap(),
            9,
            "headroom enough for what is put before it"
        );
    }
    assert!(worker.rejections.lock().unwrap().is_empty());
}

/// Headers that cannot be taken, each with its fault, over a stream (1) or as a datagram (2).
fn faulty_headers(transport: u8) -> [(Vec<u8>, Fault); 5] {
    let cut = [&header(1, transport)[..14], &[0, 15], &header(1, transport)[16..31]].concat();
    [
        (b"PROXY TCP4 192.0.2.1 198.51.100.7 1 2\r\n".to_vec(), Fault::Version1),
        (vec![0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8], Fault::Missing),
        (header(7, transport), Fault::Malformed),
        (long_header(transport, 4_097), Fault::TooLong),
        (cut, Fault::BadField),
    ]
}

/// Takes the rejections that the service got so far.
fn rejections(worker: &Worker) -> Vec<Rejection> {
    worker.settle();
    std::mem::take(&mut *worker.rejections.lock().unwrap())
}

#[test]
fn h57_the_service_is_told_which_connections_are_refused_and_why() {
    use RejectionReason::{ProxyHeader, ProxyHeaderCutShort, ProxyUntrusted};
    let (worker, address) = listen_tcp(Behavior::Reports);
    let rejection = |source, reason| Rejection { source, local: address, reason };
    for (bytes, fault) in faulty_headers(1) {
        let mut stream = dial(PROXY, address);
        stream.write_all(&bytes).unwrap();
        assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        let source = stream.local_addr().unwrap();
        assert_eq!(rejections(&worker), [rejection(source, ProxyHeader(fault))]);
    }
    drop(dial(PROXY, address)); // a proxy that checks whether the port is open
    let mut half = dial(PROXY, address);
    half.write_all(&header(1, 1)[..20]).unwrap();
    let source = half.local_addr().unwrap();
    half.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(half.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(rejections(&worker), [rejection(source, ProxyHeaderCutShort)]);
    let mut stranger = dial(OTHER, address);
    stranger.write_all(b"PROXY TCP4 192.0.2.1 198.51.100.7 1 2\r\n").unwrap();
    let Event::Accepted(_) = worker.event() else { panic!("a connection") };
    let deadline = Instant::now() + Duration::from_secs(5);
    while worker.rejections.lock().unwrap().is_empty() {
        assert!(Instant::now() < deadline);
    }
    let source = stranger.local_addr().unwrap();
    assert_eq!(rejections(&worker)[0], rejection(source, ProxyUntrusted));
}

#[test]
fn h57_the_service_is_told_which_datagrams_are_refused_and_why() {
    use RejectionReason::{ProxyHeader, ProxyHeaderCutShort};
    let (worker, address) = listen_udp(Behavior::Reports);
    let proxy = plain_socket(PROXY);
    for (bytes, fault) in faulty_headers(2) {
        proxy.send_to(&bytes, address).unwrap();
        worker.assert_quiet();
        let (source, reason) = (proxy.local_addr().unwrap(), ProxyHeader(fault));
        assert_eq!(rejections(&worker), [Rejection { source, local: address, reason }]);
    }
    proxy.send_to(&header(1, 2)[..20], address).unwrap();
    worker.assert_quiet();
    assert_eq!(rejections(&worker)[0].reason, ProxyHeaderCutShort);
}

#[test]
fn h14_half_frames_are_told_over_tcp_and_tls_and_whole_ones_are_not() {
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let handshaker = authority.handshaker(HandshakeLimits::default());
    let (worker, address) = Worker::start_with(Some(&handshaker), |io| {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let key = io
            .listen_tcp(
                listener,
                StreamListenerOptions { tls: true, ..StreamListenerOptions::plain(4) },
            )
            .unwrap();
        (Behavior::EchoesQuietly, io.listener_addr(key).unwrap())
    });
    let halves = |at_least: u64| {
        let deadline = Instant::now() + Duration::from_secs(5);
        while worker.halves.load(Ordering::Relaxed) < at_least {
            assert!(
                Instant::now() < deadline,
                "{} of {at_least}",
                worker.halves.load(Ordering::Relaxed)
            );
        }
    };
    let mut plain = dial(OTHER, address);
    let mut secure =
        handshake(dial(OTHER, address), &config(&authority, &TLS13, &[]), "localhost").unwrap();
    echo(&mut plain, b"whole");
    echo(&mut secure, b"whole");
    assert_eq!(worker.halves.load(Ordering::Relaxed), 0);
    plain.write_all(&[0, 9, 1]).unwrap();
    halves(1);
    secure.write_all(&[0, 9, 1]).unwrap();
    secure.flush().unwrap();
    halves(2);
    // Half a record: its length, and no more.
    secure.sock.write_all(&[0x17, 3, 3, 1, 0]).unwrap();
    halves(3);
}

#[test]
fn a_header_of_anybody_else_is_garbage() {
    let (worker, address) = listen_tcp(Behavior::Reports);
    let mut stream = dial(OTHER, address);
    stream.write_all(&[0, 0]).unwrap();
    let Event::Accepted(info) = worker.event() else { panic!("a connection") };
    assert_eq!((info.peer, info.local), (stream.local_addr().unwrap(), address));
    let Event::Frame(..) = worker.event() else { panic!("a frame, without a header before") };
    stream.write_all(&header(1, 1)).unwrap();
    // As a frame it would be 0x0d0a bytes long: it waits for them.
    worker.assert_quiet();
    assert_eq!(worker.stats.streams_without_proxy_header.value(), 0);

    let (worker, address) = listen_udp(Behavior::Reports);
    let socket = plain_socket(OTHER);
    let datagram = [&header(1, 2)[..], b"hello"].concat();
    socket.send_to(&datagram, address).unwrap();
    let Event::Datagram(arrival, content) = worker.event() else { panic!("a datagram") };
    assert_eq!(
        (arrival.source, arrival.via, content),
        (socket.local_addr().unwrap(), None, datagram)
    );
}

#[test]
fn a_trusted_proxy_names_the_client_of_a_secure_connection() {
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let limits = HandshakeLimits { half_open_per_prefix: 1, ..HandshakeLimits::default() };
    let handshaker = authority.handshaker(limits);
    let (worker, address) = Worker::start_with(Some(&handshaker), |io| {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listening = StreamListenerOptions {
            tls: true,
            proxies: trusted(),
            ..StreamListenerOptions::plain(4)
        };
        let key = io.listen_tcp(listener, listening).unwrap();
        (Behavior::Echoes, io.listener_addr(key).unwrap())
    });
    let mut stream = dial(PROXY, address);
    stream.write_all(&header(1, 1)).unwrap();
    let mut secure = handshake(stream, &config(&authority, &TLS13, &[]), "localhost").unwrap();
    let Event::Accepted(_) = worker.event() else { panic!("a connection") };
    let Event::Secured(info) = worker.event() else { panic!("TLS") };
    assert_eq!((info.peer, info.local, info.secure), (client(), server(), true));
    echo(&mut secure, b"through");
    // Other clients connect directly.
    let mut direct =
        handshake(dial(OTHER, address), &config(&authority, &TLS13, &[]), "localhost").unwrap();
    echo(&mut direct, b"from near by");
    let own = direct.sock.local_addr().unwrap();
    assert!(
        std::iter::from_fn(|| Some(worker.event()))
            .any(|event| matches!(event, Event::Secured(info) if info.peer == own))
    );
    // The limit of handshakes counts the clients, not the proxy.
    let half_open = |last: u8| {
        let mut named = header(1, 1);
        named[19] = last;
        let mut stream = dial(PROXY, address);
        stream.write_all(&[&named[..], &[0x16, 3, 1, 2, 0]].concat()).unwrap();
        stream
    };
    let mut held: Vec<_> = (1..=10).map(half_open).collect();
    let deadline = Instant::now() + Duration::from_secs(10);
    let gauge =
        || handshaker.readings().find(|one| one.family == "handshakes_half_open").unwrap().value;
    while gauge() < 10 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut second = half_open(10);
    assert!(matches!(second.read(&mut [0; 8]), Ok(0) | Err(_)), "one of a client's at a time");
    assert_eq!(gauge(), 10);
    // And without a header there is no handshake.
    let mut bare = dial(PROXY, address);
    bare.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, 0, 0, 0, 0, 0]).unwrap();
    assert_eq!(bare.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    held.clear();
    while gauge() > 0 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_trusted_proxy_names_the_client_of_each_datagram_and_gets_the_answer() {
    let (worker, address) = listen_udp(Behavior::Echoes);
    let proxy = plain_socket(PROXY);
    proxy.connect(address).unwrap(); // takes answers from the address that it asked only
    for (content, command) in [(&b"hello"[..], 1), (b"", 1), (b"a look at its health", 0)] {
        proxy.send(&[&header(command, 2)[..], content].concat()).unwrap();
        let Event::Datagram(arrival, received) = worker.event() else { panic!("a datagram") };
        assert_eq!(received, content);
        let via = proxy.local_addr().unwrap();
        if command == 1 {
            assert_eq!(
                (arrival.source, arrival.destination, arrival.via),
                (client(), server(), Some(via))
            );
        } else {
            assert_eq!((arrival.source, arrival.destination, arrival.via), (via, address, None));
        }
        assert_eq!(arrival.local, address.ip());
        let mut buffer = [0; 64];
        let count = proxy.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..count], [b"echo", content].concat());
    }
    for (number, bad) in [&b"hello"[..], &header(1, 2)[..20], b"", &header(7, 2)].iter().enumerate()
    {
        proxy.send(bad).unwrap();
        worker.assert_quiet();
        assert_eq!(worker.stats.dropped_proxy_header.value(), number as u64 + 1);
    }
}
