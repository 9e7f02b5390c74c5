//! Answers to addresses that may be forged, through the real binary (H11).

use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::support::{Stund, client, connect, plain_request, read_message};

/// The length of the headers of IPv4 and UDP, in bytes.
const OVERHEAD: usize = 28;
const BATCHES: usize = 60;
const BATCH: usize = 50;

/// Sends far more requests than any client; the answers.
fn flood(socket: &UdpSocket, server: SocketAddr) -> usize {
    let request = plain_request();
    let mut answers = 0;
    socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    for _ in 0..BATCHES {
        for _ in 0..BATCH {
            socket.send_to(&request, server).unwrap();
        }
        let before = answers;
        while answers < before + BATCH && socket.recv_from(&mut [0; 256]).is_ok() {
            answers += 1;
        }
    }
    // On a busy machine an answer may come after its batch has stopped waiting.
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    while answers < BATCHES * BATCH && socket.recv_from(&mut [0; 256]).is_ok() {
        answers += 1;
    }
    answers
}

#[test]
fn h11_a_flood_over_udp_is_answered_by_fewer_bytes_than_it_brought_and_tcp_stays_open() {
    let stund = Stund::start(&["--listen", "127.0.0.1:PORT", "--set", "net.workers=1"]);
    let server = stund.at("127.0.0.1");
    let began = Instant::now();
    let answers = flood(&client("127.0.0.1"), server);
    let asked = BATCHES * BATCH;
    // The burst and the rate of the limiter allow more than the requests have paid for.
    let granted = 24_576 + 2_560 * (began.elapsed().as_secs() as usize + 1);
    assert!(answers < asked, "{answers} of {asked}");
    assert!(
        answers * (OVERHEAD + 32) <= asked * (OVERHEAD + 20) * 7 / 8 + granted,
        "{answers} of {asked}"
    );
    assert!(answers > asked / 2, "it only limits: {answers} of {asked}");
    let mut stream = connect(server);
    for _ in 0..100 {
        stream.write_all(&plain_request()).unwrap();
        read_message(&mut stream);
    }
}

#[test]
fn h11_a_client_that_repeats_a_request_gets_through_a_flood() {
    let stund = Stund::start(&["--listen", "127.0.0.1:PORT", "--set", "net.workers=1"]);
    let server = stund.at("127.0.0.1");
    flood(&client("127.0.0.1"), server);
    let honest = client("127.0.0.1");
    honest.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let answered = (0..7).any(|_| {
        honest.send_to(&plain_request(), server).unwrap();
        honest.recv_from(&mut [0; 256]).is_ok()
    });
    assert!(answered, "seven tries, as in RFC 8489 §6.2.1");
}

#[test]
fn h11_without_the_limiter_everything_is_answered() {
    let off = [
        "--listen",
        "127.0.0.1:PORT",
        "--set",
        "net.workers=1",
        "--set",
        "limits.unauthenticated_per_prefix=off",
    ];
    let stund = Stund::start(&off);
    let answers = flood(&client("127.0.0.1"), stund.at("127.0.0.1"));
    assert!(answers > BATCHES * BATCH * 99 / 100, "{answers}");
}
