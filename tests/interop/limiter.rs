//! H11 on the running server: how it answers datagrams of unauthenticated sources.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use causeway_tests::daemon::caller::Caller;
use causeway_tests::daemon::service::{self, PASSWORD, USER};
use causeway_wire::attribute::RequestedTransport;
use causeway_wire::{Class, MessageWriter, Method, TransactionId};

/// Loopback takes any source in 127/8: here 64 of one /24.
const SOURCES: u8 = 64;
/// Requests that a source sends in a row before the next source does.
const IN_A_ROW: usize = 50;
/// Rows of each source.
const ROWS: usize = 10;

#[test]
fn h11_a_flood_from_one_net_is_answered_with_fewer_bytes_and_hinders_nobody_who_logs_in() {
    let turnd = service::turnd("\"allow 127.0.0.0/24\"", "[net]\nworkers = 1\n");
    let mut known =
        Caller::allocate(turnd.address, USER, PASSWORD).expect("nothing is limited yet");
    let (bytes_in, bytes_out) = flood(turnd.address);
    assert!(bytes_out <= bytes_in, "{bytes_in} bytes in, {bytes_out} out");
    assert!(
        bytes_out > bytes_in / 2,
        "{bytes_out} of {bytes_in}: it is answered as far as it goes"
    );
    assert!(turnd.metric("turnd_discarded_total{cause=\"rate_limited\"}") > 0);
    for host in 1..=20 {
        known
            .permit(Ipv4Addr::new(127, 0, 0, host).into())
            .expect("who has logged in is never limited");
    }
    Caller::allocate(turnd.address, USER, PASSWORD)
        .expect("a client of another address, whose neighbourhood is known")
        .close();
    known.close();
    turnd.end();
}

#[test]
fn h11_the_limiter_can_be_switched_off() {
    let turnd = service::turnd("", "[limits]\nunauthenticated_per_prefix = \"off\"\n");
    let (bytes_in, bytes_out) = flood(turnd.address);
    assert!(bytes_out > 2 * bytes_in, "{bytes_in} bytes in, {bytes_out} out");
    turnd.end();
}

/// Sends first Allocate requests from one /24 and waits for the answers: bytes on the wire in and
/// out.
fn flood(server: SocketAddr) -> (usize, usize) {
    let sockets: Vec<UdpSocket> = (1..=SOURCES)
        .map(|host| {
            let socket =
                UdpSocket::bind((Ipv4Addr::new(127, 9, 9, host), 0)).expect("loopback takes it");
            socket.set_read_timeout(Some(Duration::from_millis(2))).expect("a timeout");
            socket
        })
        .collect();
    let request = allocate();
    let (mut bytes_in, mut bytes_out) = (0, 0);
    let mut buffer = [0; 1500];
    for socket in (0..ROWS).flat_map(|_| &sockets) {
        for _ in 0..IN_A_ROW {
            bytes_in += socket.send_to(&request, server).expect("it is sent") + 28;
        }
        while let Ok(len) = socket.recv(&mut buffer) {
            bytes_out += len + 28;
        }
    }
    (bytes_in, bytes_out)
}

fn allocate() -> Vec<u8> {
    let mut bytes = vec![0; 100];
    let mut writer =
        MessageWriter::new(&mut bytes, Class::Request, Method::ALLOCATE, TransactionId([1; 12]))
            .expect("room");
    writer.put(&RequestedTransport::UDP).expect("room");
    let len = writer.finish();
    bytes.truncate(len);
    bytes
}
