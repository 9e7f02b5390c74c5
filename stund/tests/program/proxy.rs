//! Clients behind a proxy with the PROXY protocol, version 2, through the real binary.

use std::io::{Read, Write};
use std::net::SocketAddr;

use crate::support::{Stund, ask, assert_silence, client, connect, plain_request, read_message};
use causeway_wire::Message;
use causeway_wire::attribute::XorMappedAddress;

const CLIENT: &str = "192.0.2.7:5000";
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

/// A header with the address of [`CLIENT`]. `family` is 0x11 for TCP, 0x12 for UDP, over IPv4.
fn header(command: u8, family: u8) -> Vec<u8> {
    let addresses =
        [&[192, 0, 2, 7, 198, 51, 100, 1][..], &5_000u16.to_be_bytes(), &3_478u16.to_be_bytes()]
            .concat();
    [&SIGNATURE[..], &[command, family, 0, 12], &addresses].concat()
}

/// Starts stund on 127.0.0.1. It trusts 127.0.0.1 as a proxy, and not 127.0.0.2.
fn stund() -> Stund {
    Stund::start(&[
        "--set",
        "listen.0.address=127.0.0.1:PORT",
        "--set",
        "listen.0.proxy_protocol={ trusted = [\"127.0.0.1/32\"] }",
    ])
}

/// The log has the host's own address, by which an operator finds the socket, and not the external
/// one.
#[test]
fn h57_a_refused_header_is_logged_with_the_bound_address() {
    let external = "nat_discovery.external={ \"127.0.0.1\" = \"203.0.113.7\" }";
    let stund = Stund::start(&["--listen", "127.0.0.1:PORT", "--set", external]);
    let (server, stranger) = (stund.at("127.0.0.1"), client("127.0.0.2"));
    assert_silence(&stranger, server, &[header(PROXY, 0x12), plain_request()].concat());
    stund.signal("TERM");
    let said = stund.ended().1;
    let line = said.lines().find(|line| line.contains("proxy-untrusted")).unwrap_or_default();
    assert!(line.contains(&format!("local={server}")), "{said}");
}

fn mapped(answer: &[u8]) -> SocketAddr {
    Message::decode(answer).unwrap().attribute::<XorMappedAddress>().unwrap().unwrap().0
}

#[test]
fn a_trusted_proxy_speaks_for_its_clients_over_udp_and_tcp() {
    let stund = stund();
    let server = stund.at("127.0.0.1");
    let proxy = client("127.0.0.1");
    let (answer, from) = ask(&proxy, server, &[header(PROXY, 0x12), plain_request()].concat());
    assert_eq!(
        (mapped(&answer), from),
        (CLIENT.parse().unwrap(), server),
        "the answer goes to the proxy"
    );
    let mut stream = connect(server);
    let all = [header(PROXY, 0x11), plain_request()].concat();
    for part in all.chunks(5) {
        stream.write_all(part).unwrap();
    }
    assert_eq!(mapped(&read_message(&mut stream)), CLIENT.parse().unwrap());
    stream.write_all(&plain_request()).unwrap();
    assert_eq!(
        mapped(&read_message(&mut stream)),
        CLIENT.parse().unwrap(),
        "one header per connection"
    );
}

#[test]
fn what_a_proxy_says_for_itself_keeps_its_address() {
    let stund = stund();
    let server = stund.at("127.0.0.1");
    let proxy = client("127.0.0.1");
    let (answer, _) = ask(&proxy, server, &[header(LOCAL, 0x12), plain_request()].concat());
    assert_eq!(mapped(&answer), proxy.local_addr().unwrap());
    let mut stream = connect(server);
    stream.write_all(&[header(LOCAL, 0x11), plain_request()].concat()).unwrap();
    assert_eq!(mapped(&read_message(&mut stream)), stream.local_addr().unwrap());
}

#[test]
fn a_trusted_proxy_without_a_header_is_not_answered() {
    let stund = stund();
    let server = stund.at("127.0.0.1");
    assert_silence(&client("127.0.0.1"), server, &plain_request());
    let mut stream = connect(server);
    stream.write_all(&plain_request()).unwrap();
    assert!(matches!(stream.read(&mut [0; 64]), Ok(0) | Err(_)));
}

#[test]
fn a_header_from_an_untrusted_address_is_ignored() {
    let stund = stund();
    let server = stund.at("127.0.0.1");
    let stranger = client("127.0.0.2");
    assert_silence(&stranger, server, &[header(PROXY, 0x12), plain_request()].concat());
    let (answer, _) = ask(&stranger, server, &plain_request());
    assert_eq!(mapped(&answer), stranger.local_addr().unwrap());
}
