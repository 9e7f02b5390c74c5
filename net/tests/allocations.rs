//! The allocations of the loop's thread for traffic: none for a plain datagram or frame, few for a
//! frame over TLS.

#![allow(clippy::unwrap_used)] // what a test calls fails as the test would

#[path = "support/authority.rs"]
mod authority;
#[path = "support/tls_client.rs"]
mod tls_client;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::thread;

use authority::{Authority, Kind};
use causeway_net::secure::HandshakeLimits;
use causeway_net::{
    Admission, Arrival, Backend, Clock, DatagramListenerOptions, EventLoop, Io, Listener, Mailbox,
    Malformed, Packet, Sample, Service, StreamInfo, StreamListenerOptions, UdpOptions, UdpSocket,
};
use rustls::version::TLS13;

/// Sends back this many datagrams or frames, and stops.
struct Echo(usize);

impl Echo {
    fn count(&mut self, io: &mut Io) {
        self.0 -= 1;
        if self.0 == 0 {
            io.stop();
        }
    }
}

impl Service for Echo {
    type Message = ();

    fn datagram(&mut self, _: Sample, arrival: &Arrival, packet: &mut Packet<'_>, io: &mut Io) {
        let len = packet.payload().len();
        io.forward(&arrival.reply(), packet, b"head", 0..len, 0);
        io.reply_buffer()[0] = 7;
        io.reply(&arrival.reply(), 1);
        self.count(io);
    }

    fn accepted(&mut self, _: Sample, _: &StreamInfo, _: &mut Io) -> Admission {
        Admission::Accept { tag: 0 }
    }

    fn frame_len(&mut self, _: &StreamInfo, _: &[u8]) -> Result<Option<usize>, Malformed> {
        Ok(Some(100))
    }

    fn frame(&mut self, _: Sample, stream: &StreamInfo, frame: &mut Packet<'_>, io: &mut Io) {
        io.forward_frame(stream.key, frame, &[], 0..100, 0).unwrap();
        self.count(io);
    }

    fn message(&mut self, _: Sample, (): (), _: &mut Io) {}
}

/// Allocations that a frame over TLS may cost, there and back: the library makes one for the
/// content of a record received, and one for a record to be sent.
const TLS_FRAME: u64 = 2;

/// Allocations of a loop's thread while `client` has `count` datagrams or frames sent back, one at
/// a time.
fn allocations(
    backend: Backend,
    count: usize,
    listen: fn(&mut Io) -> SocketAddr,
    client: fn(SocketAddr, usize),
) -> u64 {
    let mut event_loop = EventLoop::with_backend(Clock::start(), backend, None).unwrap();
    let address = listen(event_loop.io());
    let mailbox = Mailbox::new(1).unwrap();
    thread::scope(|scope| {
        scope.spawn(move || client(address, count));
        allocation_counter::measure(|| event_loop.run(&mut Echo(count), &mailbox.receiver).unwrap())
            .count_total
    })
}

fn listen_udp(io: &mut Io) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &UdpOptions::LISTENER).unwrap();
    let address = socket.local_addr();
    io.listen_udp(socket, DatagramListenerOptions::plain(0)).unwrap();
    address
}

fn bind_udp(io: &mut Io) -> SocketAddr {
    let key = io.bind_udp("127.0.0.1:0".parse().unwrap(), &UdpOptions::RELAYED, 0).unwrap();
    io.local_addr(key).unwrap()
}

fn send_datagrams(to: SocketAddr, count: usize) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..count {
        socket.send_to(&[5; 200], to).unwrap();
        assert_eq!(socket.recv(&mut [0; 300]).unwrap(), 204);
        assert_eq!(socket.recv(&mut [0; 300]).unwrap(), 1);
    }
}

/// Sends ten at a time, which the kernel delivers in one message.
fn send_bursts(to: SocketAddr, count: usize) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let len = 200i32;
    // SAFETY: the kernel reads the four bytes of `len` during the call.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_UDP,
            libc::UDP_SEGMENT,
            (&raw const len).cast(),
            4,
        )
    };
    assert_eq!(set, 0);
    for _ in 0..count / 10 {
        socket.send_to(&[5; 2_000], to).unwrap();
        for _ in 0..20 {
            socket.recv(&mut [0; 300]).unwrap();
        }
    }
}

fn listen_tcp(io: &mut Io) -> SocketAddr {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr();
    io.listen_tcp(listener, StreamListenerOptions::plain(0)).unwrap();
    address
}

fn send_frames(to: SocketAddr, count: usize) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_nodelay(true).unwrap();
    for _ in 0..count {
        stream.write_all(&[5; 100]).unwrap();
        stream.read_exact(&mut [0; 100]).unwrap();
    }
}

/// Checks that two thousand cost no more than twenty, over each backend.
fn check(listen: fn(&mut Io) -> SocketAddr, client: fn(SocketAddr, usize)) {
    for backend in [Backend::Epoll, Backend::IoUring] {
        assert_eq!(
            allocations(backend, 2_000, listen, client),
            allocations(backend, 20, listen, client),
            "{backend}"
        );
    }
}

#[test]
fn a_plain_datagram_costs_no_allocation() {
    check(listen_udp, send_datagrams);
}

#[test]
fn a_datagram_of_a_relayed_socket_costs_no_allocation() {
    check(bind_udp, send_datagrams);
}

#[test]
fn a_datagram_of_a_burst_costs_no_allocation() {
    check(listen_udp, send_bursts);
}

#[test]
fn a_burst_to_a_relayed_socket_costs_no_allocation() {
    check(bind_udp, send_bursts);
}

#[test]
fn a_plain_frame_costs_no_allocation() {
    check(listen_tcp, send_frames);
}

/// Allocations of a loop's thread while a client has `count` frames sent back over an established
/// session of TLS, one at a time.
fn tls_allocations(count: usize) -> u64 {
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let handshaker = authority.handshaker(HandshakeLimits::default());
    let mut event_loop = EventLoop::with_handshaker(Clock::start(), Some(&handshaker)).unwrap();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr();
    event_loop
        .io()
        .listen_tcp(
            listener,
            StreamListenerOptions { tls: true, ..StreamListenerOptions::plain(0) },
        )
        .unwrap();
    let mailbox = Mailbox::new(1).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut client =
                tls_client::connect(address, &tls_client::config(&authority, &TLS13, &[]));
            for _ in 0..count {
                client.write_all(&[5; 100]).unwrap();
                client.read_exact(&mut [0; 100]).unwrap();
            }
        });
        allocation_counter::measure(|| event_loop.run(&mut Echo(count), &mailbox.receiver).unwrap())
            .count_total
    })
}

#[test]
fn a_frame_over_tls_costs_few_allocations() {
    let (many, few) = (tls_allocations(2_020), tls_allocations(20));
    // One handshake may come in more parts than another.
    let each = (many.saturating_sub(few) + 1_000) / 2_000;
    assert!((1..=TLS_FRAME).contains(&each), "{each} for each frame: {many}, and {few}");
}
