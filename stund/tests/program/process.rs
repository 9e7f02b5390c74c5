//! The start, the health and the end of the process.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::Command;

use crate::support::{self, Stund, ask, client, connect, plain_request, read_message};
use causeway_kit::port;

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_stund")).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_port_in_use_ends_the_start_with_the_address_and_the_reason() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, said) = run(&["--set", "admin.listen=off", "--listen", &address]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains(&format!("cannot listen on {address} (udp)")) && said.contains("in use"),
        "{said}"
    );
}

#[test]
fn a_second_stund_does_not_share_the_port_of_the_first() {
    let first = Stund::plain();
    let address = first.at("127.0.0.1").to_string();
    for transports in ["udp", "tcp"] {
        let listen = format!("listen.0.address={address}");
        let transports = format!("listen.0.transports=[\"{transports}\"]");
        let (code, _, said) =
            run(&["--set", "admin.listen=off", "--set", &listen, "--set", &transports]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("in use"), "{said}");
    }
}

#[test]
fn sigterm_and_sigint_end_it_cleanly() {
    for signal in ["TERM", "INT"] {
        let stund = Stund::plain();
        let server = stund.at("127.0.0.1");
        ask(&client("127.0.0.1"), server, &plain_request());
        let mut stream = connect(server);
        stream.write_all(&plain_request()).unwrap();
        read_message(&mut stream);
        // SIGHUP reloads certificates, and here there are none.
        stund.signal("HUP");
        ask(&client("127.0.0.1"), server, &plain_request());
        stund.signal(signal);
        let (status, said) = stund.ended();
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(said.contains("ended"), "{said}");
    }
}

#[test]
fn a_restart_does_not_wait_for_old_connections() {
    let first = Stund::plain();
    let mut stream = connect(first.at("127.0.0.1"));
    stream.write_all(&plain_request()).unwrap();
    read_message(&mut stream);
    let address = first.at("127.0.0.1").to_string();
    first.signal("TERM");
    assert_eq!(first.ended().0.code(), Some(0));
    let second = Stund::start(&["--listen", &address]);
    let server: std::net::SocketAddr = address.parse().unwrap();
    let mut stream = connect(server);
    stream.write_all(&plain_request()).unwrap();
    read_message(&mut stream);
    drop(second);
}

#[test]
fn h44_a_wrong_configuration_is_refused_with_the_key() {
    let (code, _, said) = run(&["--set", "limits.tcp_idle_timout=5s"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("did you mean limits.tcp_idle_timeout?"), "{said}");
}

#[test]
fn the_configuration_is_checked_and_printed() {
    let (code, said, _) =
        run(&["--listen", "192.0.2.1:3478", "--alternate-address", "192.0.2.2", "--check-config"]);
    assert_eq!(code, Some(0));
    assert!(said.contains("NAT discovery between 192.0.2.1:3478 and 192.0.2.2:3479"), "{said}");
    let (code, said, _) = run(&["--print-default-config"]);
    assert_eq!(code, Some(0));
    assert!(said.contains("[nat_discovery]"), "{said}");
}

fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: stund\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn health_and_metrics_show_the_work_of_the_workers() {
    let admin = port::free();
    let listen = format!("127.0.0.1:{admin}");
    let stund = Stund::start(&["--listen", "127.0.0.1:PORT", "--admin-listen", &listen]);
    let client = client("127.0.0.1");
    for _ in 0..3 {
        ask(&client, stund.at("127.0.0.1"), &plain_request());
    }
    ask(&client, stund.at("127.0.0.1"), &crate::support::unknown(0x7000, 0));
    client.send_to(b"junk", stund.at("127.0.0.1")).unwrap();
    ask(&client, stund.at("127.0.0.1"), &plain_request());
    let mut stream = connect(stund.at("127.0.0.1"));
    stream.write_all(&plain_request()).unwrap();
    read_message(&mut stream);
    assert!(get(admin, "/healthz").starts_with("HTTP/1.1 200"));
    assert!(get(admin, "/readyz").starts_with("HTTP/1.1 200"));
    let metrics = get(admin, "/metrics");
    for line in [
        "stund_binding_success_total{transport=\"udp\"} 4",
        "stund_binding_success_total{transport=\"tcp\"} 1",
        "stund_binding_errors_total{code=\"420\"} 1",
        "stund_discarded_total{cause=\"not_stun\"} 1",
        "stund_datagrams_received_total 6",
        "stund_streams_open 1",
        "stund_dropped_total{cause=\"send_buffer_full\"} 0",
        "stund_datagrams_received_bytes_total 108",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
}
