//! Needs of real clients that the servers meet (docs/clients.md).

use std::net::UdpSocket;
use std::time::Duration;

use causeway_tests::daemon::service;

use crate::turnd::turnd_with;

#[test]
fn libnice_gets_its_reflexive_address_by_a_request_of_rfc_3489() {
    let (turnd, stund) = (turnd_with("", ""), service::stund_with_one_address());
    for server in [turnd.address, stund.address] {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        // Without the magic cookie; libnice accepts an answer only if it repeats all 16 bytes.
        let id = *b"sixteen bytes id";
        socket.send_to(&[&[0, 1, 0, 0][..], &id].concat(), server).unwrap();
        let mut answer = [0; 200];
        let len = socket.recv(&mut answer).unwrap();
        let port = socket.local_addr().unwrap().port().to_be_bytes();
        let mapped = [&[0, 1, 0, 8, 0, 1][..], &port, &[127, 0, 0, 1]].concat();
        assert_eq!((&answer[..2], &answer[4..20]), (&[1, 1][..], &id[..]));
        assert!(
            answer[20..len].windows(12).any(|attribute| attribute == mapped),
            "{:?}",
            &answer[..len]
        );
    }
    stund.end();
}

#[test]
fn lifetimes_that_end_calls_of_known_clients_cause_warnings() {
    let usual = turnd_with("", "");
    let short = turnd_with(
        "",
        "[limits]\nmax_lifetime = \"9m\"\ndefault_lifetime = \"9m\"\n\
         [protocol]\nnonce_lifetime = \"59m\"\n",
    );
    for words in [
        "calls of libjuice, turn-client-proto and ice4j end early",
        "calls of werift end when their nonce is stale",
    ] {
        short.until_log(words);
        assert!(!usual.log().contains(words), "{}", usual.log());
    }
    let default = turnd_with("", "[limits]\ndefault_lifetime = \"5m\"\n");
    default.until_log("calls of ice4j end early");
}
