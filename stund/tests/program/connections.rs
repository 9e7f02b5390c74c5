//! STUN over TCP through the real binary: framing and limits (H14).

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use crate::support::{self, Stund, connect, plain_request, read_message, unknown};
use causeway_wire::Message;
use causeway_wire::attribute::XorMappedAddress;

#[test]
fn rfc8489_6_2_2_requests_are_framed_however_they_are_split() {
    let stund = Stund::plain();
    let mut stream = connect(stund.at("127.0.0.1"));
    let own = stream.local_addr().unwrap();
    let optional = unknown(0xF000, 700);
    let all = [plain_request(), optional, plain_request()].concat();
    for chunk in [1, 7, 20, 333, all.len()] {
        for part in all.chunks(chunk) {
            stream.write_all(part).unwrap();
        }
        for _ in 0..3 {
            let answer = read_message(&mut stream);
            assert_eq!(
                Message::decode(&answer)
                    .unwrap()
                    .attribute::<XorMappedAddress>()
                    .unwrap()
                    .unwrap()
                    .0,
                own
            );
        }
    }
}

#[test]
fn rfc8489_6_2_2_the_client_closes_the_connection_and_the_server_does_not() {
    let stund = Stund::plain();
    let mut stream = connect(stund.at("127.0.0.1"));
    for _ in 0..3 {
        stream.write_all(&plain_request()).unwrap();
        read_message(&mut stream);
        stream.set_read_timeout(Some(support::SILENCE)).unwrap();
        let quiet = stream.read(&mut [0; 64]).unwrap_err();
        assert!(
            matches!(quiet.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            "open and silent: {quiet}"
        );
        stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    }
}

#[test]
fn ipv6_connections_are_answered() {
    let stund = Stund::start(&["--listen", "[::1]:PORT"]);
    let mut stream = connect(stund.at("::1"));
    stream.write_all(&plain_request()).unwrap();
    let answer = read_message(&mut stream);
    let mapped =
        Message::decode(&answer).unwrap().attribute::<XorMappedAddress>().unwrap().unwrap().0;
    assert_eq!(mapped, stream.local_addr().unwrap());
}

#[test]
fn h14_half_a_frame_does_not_keep_a_connection_but_whole_ones_do() {
    let stund =
        Stund::start(&["--listen", "127.0.0.1:PORT", "--set", "limits.tcp_idle_timeout=2s"]);
    let mut half = connect(stund.at("127.0.0.1"));
    let mut whole = connect(stund.at("127.0.0.1"));
    let began = Instant::now();
    let request = unknown(0xF000, 100);
    half.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    // A byte now and then is not a message and does not keep the connection open; a message does.
    let mut ended = None;
    for (number, byte) in request[..100].iter().enumerate() {
        let _ = half.write_all(&[*byte]);
        if number % 2 == 0 {
            whole.write_all(&plain_request()).unwrap();
            read_message(&mut whole);
        }
        match half.read(&mut [0; 64]) {
            Ok(0) => ended = Some(began.elapsed()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                ended = Some(began.elapsed());
            }
            Err(_) => std::thread::sleep(Duration::from_millis(40)),
            Ok(len) => panic!("{len} bytes to half a request"),
        }
        if ended.is_some() {
            break;
        }
    }
    let ended = ended.expect("the server closes it although bytes arrive");
    assert!(ended >= Duration::from_millis(1_900), "{ended:?}");
    whole.write_all(&plain_request()).unwrap();
    read_message(&mut whole);
}

#[test]
fn h14_connections_of_one_address_are_capped_and_the_place_comes_back() {
    let stund = Stund::start(&[
        "--listen",
        "127.0.0.1:PORT",
        "--set",
        "limits.tcp_connections_per_prefix=3",
        "--set",
        "net.workers=3",
    ]);
    let server = stund.at("127.0.0.1");
    let mut kept: Vec<_> = (0..3).map(|_| connect(server)).collect();
    for stream in &mut kept {
        stream.write_all(&plain_request()).unwrap();
        read_message(stream);
    }
    let refused = connect(server).read(&mut [0; 64]);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionReset);
    kept.pop();
    let deadline = Instant::now() + support::PATIENCE;
    let answered = || {
        let mut stream = connect(server);
        stream.write_all(&plain_request()).is_ok()
            && stream.read(&mut [0; 64]).is_ok_and(|len| len > 0)
    };
    while !answered() {
        assert!(Instant::now() < deadline, "the place is never free again");
    }
}

#[test]
fn h23_bytes_that_are_no_stun_close_the_connection_and_no_other() {
    let stund = Stund::plain();
    let server = stund.at("127.0.0.1");
    let mut other = connect(server);
    let starts: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0x16, 3, 1, 0, 200, 1],
        &[0x40, 0, 0, 4, 1, 2, 3, 4],
        &[0, 1, 0xFF, 0xFF],
        &[0, 1, 0, 3],
    ];
    for junk in starts {
        let mut stream = connect(server);
        stream.write_all(junk).unwrap();
        assert!(matches!(stream.read(&mut [0; 64]), Ok(0) | Err(_)), "{junk:?} is closed");
    }
    other.write_all(&plain_request()).unwrap();
    read_message(&mut other);
}

#[test]
fn rfc8489_6_2_2_a_connection_is_not_closed_before_its_requests_are_answered() {
    let stund = Stund::plain();
    let mut stream = connect(stund.at("127.0.0.1"));
    stream.write_all(&[plain_request(), plain_request()].concat()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), 2 * 32);
}
