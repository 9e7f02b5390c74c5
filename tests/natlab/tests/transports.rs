//! Each way of a client to its relay, from behind a symmetric NAT: what the client says, what the internet carried, what `turnd` counted.

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
    let call = call_as(&lab, [client, peer]).map_err(|error| LabError::Unexpected(format!("{error}\n{}", services.log_tails())))?;
    let metrics = services.metrics(&lab)?;

    let side = &call.sides[0];
    assert_eq!((side.end.kind, side.end.relay_transport.as_deref()), (CandidateKind::Relay, Some(transport)), "{side:?}");
    let data = u64::from(call.sent());
    for counted in TRANSPORTS {
        let [to_peer, to_client] = metrics.relayed(counted);
        if counted == transport {
            // Each datagram of one side and the echo of each of the other's goes each way; checks come on top.
            assert!(to_peer >= data && to_client >= data, "{to_peer} and {to_client} of {data} over {counted}");
        } else {
            assert_eq!([to_peer, to_client], [0, 0], "over {counted}");
        }
        let made = metrics.sum("turnd_allocations_created_total", &[("transport", counted)]);
        assert_eq!(made > 0, counted == transport, "{made} allocations over {counted}");
    }

    let behind = [format!("symmetric, {transport} -> udp"), NatKind::PortRestricted.to_string()];
    let outcome = Outcome { behind, expected: Path::Relayed, call: Ok(call) };
    let mut stdout = std::io::stdout();
    writeln!(stdout, "\n{}\nturnd, to peer and to client: {:?}", render(std::slice::from_ref(&outcome)), metrics.relayed(transport))
        .expect("standard output takes it");
    assert_eq!(outcome.fault(), None);
    services.stop()
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
