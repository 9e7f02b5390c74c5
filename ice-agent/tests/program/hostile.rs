//! Servers that send garbage over each transport cause an error in time, never a panic.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use causeway_wire::Transport;
use ice_agent::transport::connection::Connection;
use ice_agent::transport::target::Target;
use ice_agent::transport::{OpenError, Trust, Usage};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

/// The number of servers of each kind, each with its own random generator.
const SERVERS: u64 = 24;

/// A TLS or DTLS record with a plausible header and random content.
fn record(rng: &mut StdRng, datagram: bool) -> Vec<u8> {
    let mut body = vec![0; rng.random_range(0..300)];
    rng.fill_bytes(&mut body);
    let kind = rng.random_range(20..25);
    if kind == 22 && body.len() >= 12 {
        // A handshake message with the right length, which is parsed further than others.
        let length =
            u16::try_from(body.len() - if datagram { 12 } else { 4 }).unwrap().to_be_bytes();
        body[0] = [0, 2, 3, 4, 11, 12, 13, 14, 16, 20][rng.random_range(0..10)];
        body[1..4].copy_from_slice(&[0, length[0], length[1]]);
        if datagram {
            body[4..9].copy_from_slice(&[0, rng.random_range(0..4), 0, 0, 0]);
            body[9..12].copy_from_slice(&[0, length[0], length[1]]);
        }
    }
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    let mut bytes = vec![kind];
    if datagram {
        bytes.extend([0xFE, 0xFD, 0, rng.random_range(0..2), 0, 0, 0, 0, 0, rng.random()]);
    } else {
        bytes.extend([3, 3]);
    }
    bytes.extend(length);
    bytes.extend(body);
    bytes
}

async fn garbage_over_udp(socket: UdpSocket, mut rng: StdRng) {
    let mut buffer = [0; 2048];
    while let Ok((_, client)) = socket.recv_from(&mut buffer).await {
        for _ in 0..rng.random_range(1..6) {
            let bytes = record(&mut rng, true);
            let _ = socket.send_to(&bytes, client).await;
        }
    }
}

async fn garbage_over_tcp(listener: TcpListener, mut rng: StdRng) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let _ = stream.read(&mut [0; 2048]).await;
        for _ in 0..rng.random_range(1..6) {
            let bytes = record(&mut rng, false);
            let _ = stream.write_all(&bytes).await;
        }
    }
}

async fn opened(
    transport: Transport,
    server: SocketAddr,
) -> (Result<Connection, OpenError>, Duration) {
    let target =
        Target { server_name: Some("turn.test".into()), ..Target::direct(transport, server) };
    let start = Instant::now();
    (Connection::open(&target, Usage::Turn, &Trust::default()).await, start.elapsed())
}

#[tokio::test]
async fn garbage_for_a_handshake_is_an_error_in_time() {
    let mut servers = JoinSet::new();
    let mut clients = JoinSet::new();
    for seed in 0..SERVERS {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        clients.spawn(opened(Transport::Dtls, socket.local_addr().unwrap()));
        servers.spawn(garbage_over_udp(socket, StdRng::seed_from_u64(seed)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        clients.spawn(opened(Transport::Tls, listener.local_addr().unwrap()));
        servers.spawn(garbage_over_tcp(listener, StdRng::seed_from_u64(seed)));
    }
    while let Some(ended) = clients.join_next().await {
        let (result, took) = ended.expect("no panic");
        assert!(result.is_err() && took < Duration::from_secs(15), "{took:?}");
    }
}

#[tokio::test]
async fn garbage_over_a_stream_ends_it_and_over_udp_is_handed_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (connection, _) = opened(Transport::Tcp, listener.local_addr().unwrap()).await;
    tokio::spawn(garbage_over_tcp(listener, StdRng::seed_from_u64(1)));
    let mut connection = connection.unwrap();
    connection.send(b"hello").await.unwrap();
    assert!(connection.receive().await.is_err(), "20 to 24 begin no frame of STUN");
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (connection, _) = opened(Transport::Udp, socket.local_addr().unwrap()).await;
    tokio::spawn(garbage_over_udp(socket, StdRng::seed_from_u64(1)));
    let mut connection = connection.unwrap();
    connection.send(b"hello").await.unwrap();
    assert!(
        connection.receive().await.is_ok_and(|datagram| !datagram.is_empty()),
        "the client judges datagrams one by one"
    );
}
