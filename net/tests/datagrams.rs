//! Datagrams through the loop, over real sockets on loopback.

mod support;

use causeway_net::{Arrival, Io, Packet, Sample, Service, UdpOptions, UdpSocket};
use support::{Stops, plain_socket, run};

/// Sends each datagram back with a header in front.
struct Echo;

impl Service for Echo {
    type Mail = ();

    fn datagram(&mut self, _: Sample, arrival: &Arrival, packet: &mut Packet<'_>, io: &mut Io) {
        let len = packet.payload().len();
        let mut route = arrival.reply();
        route.tos = arrival.tos;
        io.forward(&route, packet, b"echo", 0..len);
    }

    fn mail(&mut self, _: Sample, (): (), io: &mut Io) {
        io.stop();
    }
}

impl Stops for Echo {
    fn stop_letter() {}
}

fn listen(io: &mut Io, address: &str) -> std::net::SocketAddr {
    let socket = UdpSocket::bind(address.parse().unwrap(), &UdpOptions::LISTENER).unwrap();
    let local = socket.local_addr();
    io.listen_udp(socket, 0).unwrap();
    local
}

#[test]
fn ten_thousand_datagrams_come_back_whole_with_a_header_in_front() {
    let (running, server) = run(Echo, |_, io| listen(io, "127.0.0.1:0"));
    let client = plain_socket("127.0.0.1:0");
    client.connect(server).unwrap();
    let mut buffer = [0; 2048];
    for round in 0..200u32 {
        for number in 0..50 {
            let id = round * 50 + number;
            let mut content = vec![id as u8; 4 + (id as usize % 1_200)];
            content[..4].copy_from_slice(&id.to_be_bytes());
            client.send(&content).unwrap();
        }
        for number in 0..50 {
            let id = round * 50 + number;
            let count = client.recv(&mut buffer).unwrap();
            assert_eq!(count, 8 + id as usize % 1_200);
            assert_eq!(buffer[..4], *b"echo");
            assert_eq!(buffer[4..8], id.to_be_bytes());
            assert!(buffer[8..count].iter().all(|byte| *byte == id as u8));
        }
    }
    let stats = std::sync::Arc::clone(&running.stats);
    running.stop();
    assert_eq!(stats.datagrams_received.value(), 10_000);
    assert_eq!(stats.datagrams_sent.value(), 10_000);
    assert!(stats.send_calls.value() < 10_000, "batches leave with one call");
}
