//! WebRTC clients behind a firewall that passes TCP to port 443 and nothing else: a data channel by
//! TURN over TLS to a peer outside.

use std::io::Write;

use causeway_natlab::services::Services;
use causeway_natlab::webrtc::{Client, Endpoint, MESSAGES, Role};
use causeway_natlab::{Access, Lab, LabError, NatKind};

fn calls_out_over_tls(client: Client) -> Result<(), LabError> {
    let lab = Lab::of(&[Access::TlsOnly, Access::Ipv4(NatKind::None)])?;
    let services = Services::start(&lab)?;
    let called = || -> Result<_, LabError> {
        let inside = format!("turns:{}?transport=tcp", services.turn_https());
        let outside = format!("turn:{}?transport=udp", services.turn());
        let mut caller = Endpoint::start(client, &lab.sites[0], &services, Role::Caller, &inside)?;
        let mut callee =
            Endpoint::start(Client::Aiortc, &lab.sites[1], &services, Role::Callee, &outside)?;
        callee.describe(&caller.description()?)?;
        caller.describe(&callee.description()?)?;
        Ok([caller.seen()?, callee.seen()?])
    };
    let seen = called().map_err(|error| {
        LabError::Unexpected(format!("{client:?}: {error}\n{}", services.log_tails()))
    })?;
    let metrics = services.metrics(&lab)?;
    let relayed =
        ["tls", "udp", "tcp", "dtls"].map(|transport| (transport, metrics.relayed(transport)));

    let mut stdout = std::io::stdout();
    writeln!(
        stdout,
        "\n{client:?} inside, aiortc outside: {seen:?}\nturnd, to peer and to client: {relayed:?}"
    )
    .expect("standard output takes it");
    for side in &seen {
        assert_eq!((side.messages, side.intact), (MESSAGES, true));
        assert_eq!(side.ends, ["relay", "relay"]);
    }
    let [(_, [to_peer, to_client]), _, tcp, dtls] = relayed;
    assert!(
        to_peer > MESSAGES / 2 && to_client > MESSAGES / 2,
        "the TLS client's own relay has carried it"
    );
    assert_eq!([tcp.1, dtls.1], [[0, 0]; 2]);
    services.stop()
}

#[test]
fn aiortc_calls_out_of_a_firewall_that_passes_https_only() {
    calls_out_over_tls(Client::Aiortc).unwrap();
}

#[test]
fn chromium_calls_out_of_a_firewall_that_passes_https_only() {
    calls_out_over_tls(Client::Chromium).unwrap();
}
