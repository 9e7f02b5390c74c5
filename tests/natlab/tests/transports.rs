//! Each way of a client to its relay, from behind a symmetric NAT: what the client says, what the
//! internet carried, what `turnd` counted; and relays on both sides.

use std::io::Write;

use causeway_natlab::agent::Agent;
use causeway_natlab::call::{CandidateKind, call_as};
use causeway_natlab::matrix::{Outcome, render};
use causeway_natlab::services::Services;
use causeway_natlab::theory::Path;
use causeway_natlab::{Lab, LabError, NatKind};

/// All that `turnd` knows.
const TRANSPORTS: [&str; 4] = ["udp", "tcp", "tls", "dtls"];

/// A client that may use its relay only, over one transport, and a peer that has none.
fn relayed_over(transport: &str, uri: [&str; 2]) -> Result<(), LabError> {
    let lab = Lab::new(&[NatKind::Symmetric, NatKind::PortRestricted])?;
    let services = Services::start(&lab)?;
    let mut peer = Agent::alone(&services);
    peer.options.extend(["--stun".to_owned(), format!("stun:{}", services.stun())]);
    let client = Agent::relayed(&services, uri[0], uri[1]);
    let call = call_as(&lab, [client, peer])
        .map_err(|error| LabError::Unexpected(format!("{error}\n{}", services.log_tails())))?;
    let metrics = services.metrics(&lab)?;

    let side = &call.sides[0];
    assert_eq!(
        (side.end.kind, side.end.relay_transport.as_deref()),
        (CandidateKind::Relay, Some(transport)),
        "{side:?}"
    );
    let data = u64::from(call.sent());
    for counted in TRANSPORTS {
        let [to_peer, to_client] = metrics.relayed(counted);
        if counted == transport {
            // Each datagram of one side and the echo of each of the other's goes each way; checks
            // come on top.
            assert!(
                to_peer >= data && to_client >= data,
                "{to_peer} and {to_client} of {data} over {counted}"
            );
        } else {
            assert_eq!([to_peer, to_client], [0, 0], "over {counted}");
        }
        let made = metrics.sum("turnd_allocations_created_total", &[("transport", counted)]);
        assert_eq!(made > 0, counted == transport, "{made} allocations over {counted}");
    }

    let behind = [format!("symmetric, {transport} -> udp"), NatKind::PortRestricted.to_string()];
    let outcome = Outcome { behind, expected: Path::Relayed, call: Ok(call) };
    let mut stdout = std::io::stdout();
    writeln!(
        stdout,
        "\n{}\nturnd, to peer and to client: {:?}",
        render(std::slice::from_ref(&outcome)),
        metrics.relayed(transport)
    )
    .expect("standard output takes it");
    assert_eq!(outcome.fault(), None);
    services.stop()
}

/// Two clients that may use their relays only, each over its transport: what one sends, the other
/// gets past `turnd`'s kernel.
fn relayed_by_both(transports: [&str; 2], uris: [[&str; 2]; 2]) -> Result<(), LabError> {
    let lab = Lab::new(&[NatKind::Symmetric, NatKind::Symmetric])?;
    let services = Services::start(&lab)?;
    let clients = uris.map(|[scheme, transport]| Agent::relayed(&services, scheme, transport));
    let call = call_as(&lab, clients)
        .map_err(|error| LabError::Unexpected(format!("{error}\n{}", services.log_tails())))?;
    let metrics = services.metrics(&lab)?;
    for (side, transport) in call.sides.iter().zip(transports) {
        assert_eq!(
            (side.end.kind, side.end.relay_transport.as_deref()),
            (CandidateKind::Relay, Some(transport)),
            "{side:?}"
        );
    }
    let in_memory = metrics.sum("turnd_relayed_in_memory_total", &[]);
    let data = 2 * u64::from(call.sent());
    assert!(in_memory >= data, "{in_memory} of {data}");
    assert_eq!(metrics.sum("turnd_crossing_lost_total", &[]), 0);
    let outcome = Outcome {
        behind: transports.map(|transport| format!("symmetric, {transport}")),
        expected: Path::Relayed,
        call: Ok(call),
    };
    writeln!(
        std::io::stdout(),
        "\n{}\nturnd, in memory: {in_memory}",
        render(std::slice::from_ref(&outcome))
    )
    .expect("standard output takes it");
    assert_eq!(outcome.fault(), None);
    services.stop()
}

#[test]
fn h8_udp_to_udp_by_relays_of_both() {
    relayed_by_both(["udp", "udp"], [["turn", "udp"]; 2]).unwrap();
}

#[test]
fn h8_tls_to_dtls_by_relays_of_both() {
    relayed_by_both(["tls", "dtls"], [["turns", "tcp"], ["turns", "udp"]]).unwrap();
}

#[test]
fn udp_to_udp() {
    relayed_over("udp", ["turn", "udp"]).unwrap();
}

#[test]
fn tcp_to_udp() {
    relayed_over("tcp", ["turn", "tcp"]).unwrap();
}

#[test]
fn tls_to_udp() {
    relayed_over("tls", ["turns", "tcp"]).unwrap();
}

#[test]
fn dtls_to_udp() {
    relayed_over("dtls", ["turns", "udp"]).unwrap();
}
