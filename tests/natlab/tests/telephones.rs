//! Two SIP telephones, each behind a symmetric NAT, through a SIP proxy that touches no body: RTP
//! both ways through `turnd`, whether they offer the relayed address alone or use ICE.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

use std::io::Write;

use causeway_natlab::metrics::Metrics;
use causeway_natlab::services::Services;
use causeway_natlab::telephone::{Heard, Media, SipServer, Telephone};
use causeway_natlab::{Lab, LabError, NatKind, parallel};

/// Of fifty a second, for several seconds.
const ENOUGH: u64 = 200;

#[test]
fn rtp_goes_both_ways_between_telephones_behind_symmetric_nats() {
    let lab = Lab::new(&[NatKind::Symmetric, NatKind::Symmetric]).unwrap();
    let services = Services::start(&lab).unwrap();
    let sip = SipServer::start(&lab).unwrap();
    let start = |site: usize, user: &str, dial, seconds| {
        Telephone::start(&lab.sites[site], &services, Media::Relay, user, dial, seconds)
            .unwrap_or_else(|error| panic!("{error}\n{}", sip.log()))
    };
    let mut callee = start(1, "bob", None, 15);
    let mut caller = start(0, "alice", Some("bob"), 10);
    for telephone in [&mut caller, &mut callee] {
        telephone
            .wait_established()
            .unwrap_or_else(|error| panic!("{error}\n{}\n{}", sip.log(), services.log_tails()));
    }
    let caller = caller
        .finish()
        .unwrap_or_else(|error| panic!("{error}\n{}\n{}", sip.log(), services.log_tails()));
    let callee = callee
        .finish()
        .unwrap_or_else(|error| panic!("{error}\n{}\n{}", sip.log(), services.log_tails()));
    let metrics = services.metrics(&lab).unwrap();
    let relayed = metrics.relayed("udp");

    let mut stdout = std::io::stdout();
    writeln!(
        stdout,
        "\ncaller {caller:?}, callee {callee:?}\nturnd, to peer and to client: {relayed:?}"
    )
    .unwrap();
    for heard in [caller, callee] {
        assert!(heard.received >= ENOUGH && heard.sent >= ENOUGH, "{heard:?}\n{}", sip.log());
        assert_eq!(heard.lost, [0, 0], "{heard:?}");
    }
    let heard = caller.received + callee.received;
    let [to_peer, to_client] = relayed;
    // From one's relayed address to the other's, so each packet counts both ways.
    assert!(to_peer >= heard && to_client >= heard, "{relayed:?} relayed of {heard}");
    let in_memory = metrics.sum("turnd_relayed_in_memory_total", &[]);
    assert!(in_memory >= heard, "{in_memory} of {heard} past the kernel");
    services.stop().unwrap();
}

/// A call of two telephones that use ICE, each behind a symmetric NAT: what each heard, what
/// `turnd` counted, and the logs.
fn call_by_ice(denied: &str) -> ([Result<Heard, LabError>; 2], Metrics, String) {
    let lab = Lab::new(&[NatKind::Symmetric, NatKind::Symmetric]).unwrap();
    let services = Services::start_with(
        &lab,
        &format!("[peers]\ndenied = \"{denied}\"\n[log]\nlevel = \"debug\"\n"),
    )
    .unwrap();
    let sip = SipServer::start(&lab).unwrap();
    let start = |site: usize, user: &str, dial, seconds| {
        Telephone::start(&lab.sites[site], &services, Media::Ice, user, dial, seconds)
            .unwrap_or_else(|error| panic!("{error}\n{}", sip.log()))
    };
    // It checks the private candidates for some 18 seconds before it takes the relayed ones.
    let callee = start(1, "bob", None, 32);
    let caller = start(0, "alice", Some("bob"), 28);
    let heard = [caller, callee].map(Telephone::finish);
    let metrics = services.metrics(&lab).unwrap();
    let logs = format!("{}\n{}", sip.log(), services.log_tails());
    services.stop().unwrap();
    (heard, metrics, logs)
}

#[test]
fn rfc8656_9_ice_with_private_candidates_calls_through_the_relay_where_denied_peers_are_ignored_and_gives_up_where_they_are_refused()
 {
    let mut calls = parallel(vec!["refuse", "ignore"], 2, call_by_ice).into_iter();
    let (Some(refused), Some(ignored)) = (calls.next(), calls.next()) else { panic!("two calls") };

    let (heard, metrics, logs) = refused;
    assert!(heard.iter().all(Result::is_err), "a telephone has heard something: {heard:?}\n{logs}");
    assert_eq!(metrics.relayed("udp"), [0, 0], "{logs}");
    assert!(
        metrics.sum("turnd_stun_errors_total", &[("code", "403")]) >= 2,
        "both are refused the other's private address\n{logs}"
    );

    let (heard, metrics, logs) = ignored;
    for heard in heard {
        let heard = heard.unwrap_or_else(|error| panic!("{error}\n{logs}"));
        assert!(
            heard.received >= ENOUGH && heard.sent >= ENOUGH && heard.lost == [0, 0],
            "{heard:?}\n{logs}"
        );
    }
    assert!(metrics.relayed("udp").into_iter().all(|packets| packets >= 2 * ENOUGH), "{logs}");
    assert_eq!(metrics.sum("turnd_stun_errors_total", &[("code", "403")]), 0, "{logs}");
    assert!(
        metrics.sum("turnd_discarded_total", &[("cause", "peer_denied")]) > 0,
        "its checks of private candidates\n{logs}"
    );
}
