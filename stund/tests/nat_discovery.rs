//! NAT behaviour discovery (RFC 5780) through the real binary: four endpoints a family.

#![allow(clippy::print_stderr)] // for whoever runs the test by hand
#![allow(clippy::unwrap_used)] // what a test calls fails as the test would

mod support;

use std::io::Write;
use std::net::SocketAddr;
use std::process::Command;

use causeway_wire::attribute::{ErrorCodeAttribute, MappedAddress, OtherAddress, ResponseOrigin, XorMappedAddress};
use causeway_wire::{ErrorCode, Message};
use support::{Stund, ask, change_request, client, connect, ip, plain_request, read_message};

/// A1 P1, A1 P2, A2 P1, A2 P2.
fn endpoints(stund: &Stund) -> [SocketAddr; 4] {
    let [a1, a2] = [ip("127.0.0.1"), ip("127.0.0.2")];
    let (p1, p2) = (stund.port, stund.alternate_port);
    [(a1, p1), (a1, p2), (a2, p1), (a2, p2)].map(SocketAddr::from)
}

#[test]
fn rfc5780_6_1_each_endpoint_answers_from_the_one_that_was_asked_for() {
    let stund = Stund::discovering();
    let all = endpoints(&stund);
    let client = client("127.0.0.1");
    for asked in all {
        for (change_ip, change_port) in [(false, false), (false, true), (true, false), (true, true)] {
            let expected =
                *all.iter().find(|one| (one.ip() != asked.ip()) == change_ip && (one.port() != asked.port()) == change_port).unwrap();
            let (answer, from) = ask(&client, asked, &change_request(change_ip, change_port));
            assert_eq!(from, expected, "asked {asked} to change address: {change_ip}, port: {change_port}");
            let answer = Message::decode(&answer).unwrap();
            assert_eq!(answer.attribute::<ResponseOrigin>().unwrap().unwrap().0, from);
            let other = answer.attribute::<OtherAddress>().unwrap().unwrap().0;
            assert_eq!((other.ip() != asked.ip(), other.port() != asked.port()), (true, true));
            assert!(all.contains(&other));
            let own = client.local_addr().unwrap();
            assert_eq!(answer.attribute::<XorMappedAddress>().unwrap().unwrap().0, own);
            assert_eq!(answer.attribute::<MappedAddress>().unwrap().unwrap().0, own);
        }
    }
}

#[test]
fn rfc5780_6_1_without_an_alternate_address_change_request_is_unknown() {
    let stund = Stund::plain();
    let (answer, _) = ask(&client("127.0.0.1"), stund.at("127.0.0.1"), &change_request(true, true));
    let answer = Message::decode(&answer).unwrap();
    assert_eq!(answer.attribute::<ErrorCodeAttribute<'_>>().unwrap().unwrap().code, ErrorCode::UNKNOWN_ATTRIBUTE);
}

#[test]
fn a_connection_learns_the_other_address_on_all_four_endpoints_and_cannot_change_the_origin() {
    let stund = Stund::discovering();
    for asked in endpoints(&stund) {
        let mut stream = connect(asked);
        stream.write_all(&plain_request()).unwrap();
        let answer = read_message(&mut stream);
        let answer = Message::decode(&answer).unwrap();
        assert_eq!(answer.attribute::<XorMappedAddress>().unwrap().unwrap().0, stream.local_addr().unwrap());
        assert_eq!(answer.attribute::<ResponseOrigin>().unwrap().unwrap().0, asked);
        assert_ne!(answer.attribute::<OtherAddress>().unwrap().unwrap().0.ip(), asked.ip());
        stream.write_all(&change_request(true, false)).unwrap();
        let answer = read_message(&mut stream);
        let answer = Message::decode(&answer).unwrap();
        assert_eq!(answer.attribute::<ErrorCodeAttribute<'_>>().unwrap().unwrap().code, ErrorCode::UNKNOWN_ATTRIBUTE);
    }
}

#[test]
fn a_family_without_an_alternate_address_still_answers() {
    let stund = Stund::start(&["--listen", "127.0.0.1:PORT,[::1]:PORT", "--alternate-address", "127.0.0.2", "--alternate-port", "OTHER"]);
    let (answer, _) = ask(&client("::1"), stund.at("::1"), &plain_request());
    assert!(Message::decode(&answer).unwrap().attribute::<OtherAddress>().unwrap().is_none());
    let (answer, _) = ask(&client("127.0.0.1"), stund.at("127.0.0.1"), &plain_request());
    assert!(Message::decode(&answer).unwrap().attribute::<OtherAddress>().unwrap().is_some());
}

/// Runs one of coturn's utilities, where it is installed (Debian's package `coturn`). They wait for ever for what does not come.
fn coturn(tool: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new("timeout").args(["20", tool]).args(arguments).output().expect("coreutils' timeout");
    if output.status.code() == Some(127) {
        eprintln!("{tool} is not installed: not tried");
        return None;
    }
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{tool} ended with {}: {said}", output.status);
    Some(said)
}

#[test]
fn coturns_client_reads_our_answer() {
    let stund = Stund::plain(); // to a server of RFC 5780 it sends RESPONSE-PORT, and waits for ever if that is unknown
    let port = stund.port.to_string();
    let Some(said) = coturn("turnutils_stunclient", &["-p", &port, "127.0.0.1"]) else { return };
    assert!(said.contains("UDP reflexive addr: 127.0.0.1:"), "{said}");
}

#[test]
fn coturns_discovery_finds_no_nat_on_loopback() {
    let stund = Stund::discovering();
    let port = stund.port.to_string();
    let Some(said) = coturn("turnutils_natdiscovery", &["-m", "-f", "-p", &port, "-L", "127.0.0.1", "127.0.0.1"]) else { return };
    assert!(said.contains("NAT with Endpoint Independent Mapping") || said.contains("No NAT"), "{said}");
    assert!(said.contains("NAT with Endpoint Independent Filtering"), "{said}");
}
