//! Clients of both readings of the nonce's feature bits (erratum 6290 of RFC 8489), and clients
//! that read none of them, log in where the server offers all that there is: SHA-256 and hidden
//! names. What they sent is what a tap between them and the server saw.

use std::net::{Ipv4Addr, SocketAddr};

use causeway_kit::program;
use causeway_tests::daemon::echo::Echo;
use causeway_tests::daemon::service::{PASSWORD, USER};
use serde_json::json;
use turn_client_proto::stun::auth::Feature;
use turn_client_proto::types::AddressFamily;
use turn_client_proto::types::stun::message::IntegrityAlgorithm;

use crate::legs::Server;
use crate::peer::{Client, Peer};
use crate::tap::{Login, Tap};
use crate::turn_proto::{TurnProto, Wish};

const OLD: Login = Login { sha256: false, algorithm: false, hidden_name: false };
const NEW: Login = Login { sha256: true, algorithm: true, hidden_name: true };
const IPV4: &[AddressFamily] = &[AddressFamily::IPV4];

#[test]
fn a_client_that_reads_the_bits_from_the_left_logs_in_with_sha256() {
    let server = Server::start(Ipv4Addr::LOCALHOST, "");
    let echo = Echo::start();
    // With MD5 alone it asks for PASSWORD-ALGORITHM MD5, and does not take the
    // MESSAGE-INTEGRITY-SHA256 that RFC 8489 §9.2.4 has in the answer.
    for (hidden_name, login) in
        [(Feature::Required, NEW), (Feature::Disabled, Login { hidden_name: false, ..NEW })]
    {
        let tap = Tap::start(server.turnd.address);
        let wish = Wish { integrity: IntegrityAlgorithm::Sha256, hidden_name, families: IPV4 };
        let mut client = TurnProto::allocate(tap.address, USER, PASSWORD, wish)
            .unwrap_or_else(|| panic!("{login:?}\n{}", server.turnd.log()));
        assert!(
            client.round_trip(echo.address, b"there and back"),
            "{login:?}\n{}",
            server.turnd.log()
        );
        assert_eq!(tap.logins(), [login]);
        client.close();
    }
    server.end();
}

#[test]
fn such_a_client_gets_both_families() {
    let server = Server::start(Ipv4Addr::LOCALHOST, "");
    let families = &[AddressFamily::IPV4, AddressFamily::IPV6];
    let wish =
        Wish { integrity: IntegrityAlgorithm::Sha256, hidden_name: Feature::Required, families };
    let mut client = TurnProto::allocate(server.turnd.address, USER, PASSWORD, wish)
        .expect("the server has both");
    let relayed = client.relayed();
    assert!(
        relayed.len() == 2
            && relayed.iter().any(SocketAddr::is_ipv4)
            && relayed.iter().any(SocketAddr::is_ipv6),
        "{relayed:?}"
    );
    for echo in [Echo::start(), Echo::start_on(std::net::Ipv6Addr::LOCALHOST.into())] {
        assert!(
            client.round_trip(echo.address, b"there and back"),
            "{}\n{}",
            echo.address,
            server.turnd.log()
        );
    }
    client.close();
    server.end();
}

#[test]
fn a_client_that_reads_the_bits_from_the_right_hides_its_name() {
    // libjuice gives up where the one bit is set and PASSWORD-ALGORITHMS is missing, and then takes
    // MD5 all the same.
    assert_eq!(logins_of(Client::Libdatachannel), [Login { hidden_name: true, ..OLD }]);
}

#[test]
fn clients_that_read_no_bits_log_in_as_ever() {
    for client in [Client::Aiortc, Client::Libwebrtc, Client::Pion] {
        assert_eq!(logins_of(client), [OLD], "{client:?}");
    }
    let server = Server::start(Ipv4Addr::LOCALHOST, "[protocol]\nchannel_numbers = \"rfc5766\"\n");
    let tap = Tap::start(server.turnd.address);
    let mut uclient = std::process::Command::new("turnutils_uclient");
    uclient.args(["-y", "-c", "-n", "5", "-m", "2", "-u", USER, "-w", PASSWORD]);
    uclient.args(["-p", &tap.address.port().to_string(), &tap.address.ip().to_string()]);
    let output = program::run(uclient, std::time::Duration::from_secs(30));
    assert!(output.succeeded, "{}", output.text);
    assert_eq!(tap.logins(), [OLD]);
    server.end();
}

/// How a WebRTC client logs in to get its relayed candidate.
fn logins_of(client: Client) -> Vec<Login> {
    let server = Server::start(Ipv4Addr::LOCALHOST, "");
    let tap = Tap::start(server.turnd.address);
    let url = format!("turn:{}?transport=udp", tap.address);
    let settings = json!({
        "role": "caller", "url": url, "user": USER, "password": PASSWORD,
        "messages": 1, "audio": false
    });
    let mut peer = Peer::start(client, None, &settings);
    let description = peer.hear("description");
    let sdp = description["sdp"].as_str().expect("a description has it");
    assert!(
        sdp.contains("typ relay"),
        "{client:?} has no relayed candidate: {sdp}\n{}",
        server.turnd.log()
    );
    drop(peer);
    let logins = tap.logins();
    server.end();
    logins
}
