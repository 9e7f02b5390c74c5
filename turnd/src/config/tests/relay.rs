//! The addresses and ports to relay from.

use super::*;

#[test]
fn the_address_listened_on_by_name_is_relayed_from() {
    let args = ["--realm", "r", "--user", "a:b", "--listen", "203.0.113.7:3478,[2001:db8::7]:3478"];
    let config = configure(&args, &[]).unwrap();
    let bound: Vec<String> =
        config.relay.addresses.iter().map(|address| address.bound.to_string()).collect();
    assert_eq!(bound, ["203.0.113.7", "2001:db8::7"]);
}

#[test]
fn h44_a_private_relay_address_needs_an_external_one_or_the_private_scope() {
    for address in [
        "10.0.0.7",
        "172.16.3.4",
        "192.168.1.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.1.1",
        "::1",
        "fe80::1",
        "fd00::1",
    ] {
        refused(
            with(&["--relay-address", address]),
            &["relay.addresses", address, "--external-address", "relay.scope"],
        );
        assert!(
            with(&["--relay-address", address, "--set", "relay.scope=private"]).is_ok(),
            "{address}"
        );
    }
    let config =
        with(&["--relay-address", "10.0.0.7", "--external-address", "203.0.113.7"]).unwrap();
    assert_eq!(config.relay.addresses[0].advertised.to_string(), "203.0.113.7");
    refused(with(&["--external-address", "10.0.0.7"]), &["relay.external", "10.0.0.7 (private)"]);
}

#[test]
fn h44_relay_addresses_that_no_peer_could_answer_to_are_refused() {
    refused(
        with(&["--relay-address", "0.0.0.0"]),
        &["relay.addresses (--relay-address)", "every address"],
    );
    refused(with(&["--relay-address", "::"]), &["every address"]);
    refused(with(&["--relay-address", "224.0.0.1"]), &["not a host's address"]);
    refused(with(&["--relay-address", "::ffff:203.0.113.7"]), &["write 203.0.113.7"]);
    refused(with(&["--relay-address", "203.0.113.8,203.0.113.8"]), &["named twice"]);
    let none = configure(&["--realm", "r", "--user", "a:b"], &[]);
    refused(none, &["relay.addresses: no address to relay from", "--relay-address"]);
}

#[test]
fn external_addresses_are_paired_by_family_or_by_name() {
    let two = ["--relay-address", "10.0.0.7,10.0.0.8"];
    let with_two = |external: &str| with(&[&two[..], &["--external-address", external]].concat());
    refused(with_two("203.0.113.7"), &["relay.external", "not clear", "table"]);
    let config = with_two("10.0.0.7=203.0.113.7,10.0.0.8=203.0.113.8").unwrap();
    assert_eq!(config.relay.addresses[1].advertised.to_string(), "203.0.113.8");
    refused(with_two("10.0.0.9=203.0.113.7"), &["10.0.0.9 is not among"]);
    refused(with_two("10.0.0.7=2001:db8::7"), &["different families"]);
    refused(
        with_two("10.0.0.7=203.0.113.7,10.0.0.8=203.0.113.7"),
        &["relay.external", "the same external address 203.0.113.7"],
    );
    refused(
        with(&["--external-address", "2001:db8::7"]),
        &["relay.external", "no address of the family of 2001:db8::7 among relay.addresses"],
    );
    refused(with(&["--external-address", "stun"]), &["not supported yet"]);
}

#[test]
fn h44_relay_ports_must_be_such_as_may_be_lent() {
    refused(with(&["--relay-ports", "1000-2000"]), &["relay.ports (--relay-ports)", "well-known"]);
    refused(with(&["--relay-ports", "2000-1000"]), &["ends before it starts"]);
    refused(with(&["--relay-ports", "3000-4000"]), &["listen[0].address", "3478", "relay.ports"]);
    assert!(with(&["--relay-ports", "50000-50000"]).is_ok());
}
