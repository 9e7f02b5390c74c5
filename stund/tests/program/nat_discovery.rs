//! NAT behaviour discovery (RFC 5780) through the real binary: four endpoints per family.

#![allow(clippy::print_stderr)] // a test without coturn says so

use std::io::Write;
use std::net::SocketAddr;
use std::process::Command;

use crate::support::{
    PRIVATE, Stund, ask, change_request, client, connect, ip, plain_request, read_message,
};
use causeway_wire::attribute::{
    ChangedAddress, ErrorCodeAttribute, MappedAddress, OtherAddress, ResponseOrigin, SourceAddress,
    XorMappedAddress,
};
use causeway_wire::{ErrorCode, Message};

/// The endpoints A1 P1, A1 P2, A2 P1, A2 P2.
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
        for (change_ip, change_port) in [(false, false), (false, true), (true, false), (true, true)]
        {
            let expected = *all
                .iter()
                .find(|one| {
                    (one.ip() != asked.ip()) == change_ip
                        && (one.port() != asked.port()) == change_port
                })
                .unwrap();
            let (answer, from) = ask(&client, asked, &change_request(change_ip, change_port));
            assert_eq!(
                from, expected,
                "asked {asked} to change address: {change_ip}, port: {change_port}"
            );
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
    assert_eq!(
        answer.attribute::<ErrorCodeAttribute<'_>>().unwrap().unwrap().code,
        ErrorCode::UNKNOWN_ATTRIBUTE
    );
}

#[test]
fn a_connection_learns_the_other_address_on_all_four_endpoints_and_cannot_change_the_origin() {
    let stund = Stund::discovering();
    for asked in endpoints(&stund) {
        let mut stream = connect(asked);
        stream.write_all(&plain_request()).unwrap();
        let answer = read_message(&mut stream);
        let answer = Message::decode(&answer).unwrap();
        assert_eq!(
            answer.attribute::<XorMappedAddress>().unwrap().unwrap().0,
            stream.local_addr().unwrap()
        );
        assert_eq!(answer.attribute::<ResponseOrigin>().unwrap().unwrap().0, asked);
        assert_ne!(answer.attribute::<OtherAddress>().unwrap().unwrap().0.ip(), asked.ip());
        stream.write_all(&change_request(true, false)).unwrap();
        let answer = read_message(&mut stream);
        let answer = Message::decode(&answer).unwrap();
        assert_eq!(
            answer.attribute::<ErrorCodeAttribute<'_>>().unwrap().unwrap().code,
            ErrorCode::UNKNOWN_ATTRIBUTE
        );
    }
}

#[test]
fn h44_behind_1_to_1_nat_clients_are_told_the_outer_addresses() {
    let outer = "127.0.0.1=203.0.113.7,127.0.0.2=203.0.113.8";
    let arguments = [
        "--listen",
        "127.0.0.1:PORT",
        "--alternate-address",
        "127.0.0.2",
        "--alternate-port",
        "OTHER",
        "--external-address",
        outer,
    ];
    let stund = Stund::start(&arguments);
    let all = endpoints(&stund);
    let outside = |local: SocketAddr| {
        let host = if local.ip() == ip("127.0.0.1") { "203.0.113.7" } else { "203.0.113.8" };
        SocketAddr::new(ip(host), local.port())
    };
    let opposite = |asked: SocketAddr| {
        *all.iter().find(|one| one.ip() != asked.ip() && one.port() != asked.port()).unwrap()
    };
    let client = client("127.0.0.1");
    for asked in all {
        for (change_ip, change_port) in [(false, false), (false, true), (true, false), (true, true)]
        {
            for classic in [false, true] {
                let mut request = change_request(change_ip, change_port);
                request[4] ^= u8::from(classic);
                let (answer, from) = ask(&client, asked, &request);
                assert_eq!(
                    (from.ip() != asked.ip(), from.port() != asked.port()),
                    (change_ip, change_port),
                    "from where it is bound"
                );
                let answer = Message::decode(&answer).unwrap();
                let (origin, other) = if classic {
                    (
                        answer.attribute::<SourceAddress>().unwrap().unwrap().0,
                        answer.attribute::<ChangedAddress>().unwrap().unwrap().0,
                    )
                } else {
                    (
                        answer.attribute::<ResponseOrigin>().unwrap().unwrap().0,
                        answer.attribute::<OtherAddress>().unwrap().unwrap().0,
                    )
                };
                assert_eq!(
                    (origin, other),
                    (outside(from), outside(opposite(asked))),
                    "classic: {classic}"
                );
            }
        }
        let mut stream = connect(asked);
        stream.write_all(&plain_request()).unwrap();
        let answer = read_message(&mut stream);
        assert_eq!(
            Message::decode(&answer).unwrap().attribute::<ResponseOrigin>().unwrap().unwrap().0,
            outside(asked)
        );
    }
}

#[test]
fn h44_a_plain_server_tells_old_clients_its_outer_address_on_a_wildcard_listener_too() {
    let set = ["--set", "nat_discovery.external={ \"127.0.0.1\" = \"203.0.113.7\" }"];
    for listen in ["127.0.0.1:PORT", "0.0.0.0:PORT"] {
        let stund = Stund::start(&[&["--listen", listen][..], &set].concat());
        let mut request = plain_request();
        request[4] ^= 1;
        for (asked, told) in [("127.0.0.1", "203.0.113.7"), ("127.0.0.2", "127.0.0.2")]
            .into_iter()
            .take(if listen.starts_with('0') { 2 } else { 1 })
        {
            let (answer, _) = ask(&client("127.0.0.1"), stund.at(asked), &request);
            let told = SocketAddr::new(ip(told), stund.port);
            assert_eq!(
                Message::decode(&answer).unwrap().attribute::<SourceAddress>().unwrap().unwrap().0,
                told
            );
        }
    }
}

#[test]
fn a_family_without_an_alternate_address_still_answers() {
    let arguments = [
        "--listen",
        "127.0.0.1:PORT,[::1]:PORT",
        "--alternate-address",
        "127.0.0.2",
        "--alternate-port",
        "OTHER",
    ];
    let stund = Stund::start(&[&arguments[..], &PRIVATE].concat());
    let (answer, _) = ask(&client("::1"), stund.at("::1"), &plain_request());
    assert!(Message::decode(&answer).unwrap().attribute::<OtherAddress>().unwrap().is_none());
    let (answer, _) = ask(&client("127.0.0.1"), stund.at("127.0.0.1"), &plain_request());
    assert!(Message::decode(&answer).unwrap().attribute::<OtherAddress>().unwrap().is_some());
}

/// Runs one of coturn's utilities, where it is installed (Debian's package `coturn`). They have no
/// timeout of their own.
fn coturn(tool: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new("timeout")
        .args(["20", tool])
        .args(arguments)
        .output()
        .expect("coreutils' timeout");
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
    // To a server of RFC 5780 it sends RESPONSE-PORT, and never ends if the server does not know
    // that.
    let stund = Stund::plain();
    let port = stund.port.to_string();
    let Some(said) = coturn("turnutils_stunclient", &["-p", &port, "127.0.0.1"]) else { return };
    assert!(said.contains("UDP reflexive addr: 127.0.0.1:"), "{said}");
}

#[test]
fn coturns_discovery_finds_no_nat_on_loopback() {
    let stund = Stund::discovering();
    let port = stund.port.to_string();
    let Some(said) = coturn(
        "turnutils_natdiscovery",
        &["-m", "-f", "-p", &port, "-L", "127.0.0.1", "127.0.0.1"],
    ) else {
        return;
    };
    assert!(
        said.contains("NAT with Endpoint Independent Mapping") || said.contains("No NAT"),
        "{said}"
    );
    assert!(said.contains("NAT with Endpoint Independent Filtering"), "{said}");
}
