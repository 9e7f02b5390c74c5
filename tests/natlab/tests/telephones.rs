//! Two SIP telephones, each behind a symmetric NAT, through a SIP proxy that touches no body: RTP both ways through `turnd`.

use std::io::Write;

use causeway_natlab::services::Services;
use causeway_natlab::telephone::{SipServer, Telephone};
use causeway_natlab::{Lab, NatKind};

/// Of fifty a second, for several seconds.
const ENOUGH: u64 = 200;

#[test]
fn rtp_goes_both_ways_between_telephones_behind_symmetric_nats() {
    let lab = Lab::new(&[NatKind::Symmetric, NatKind::Symmetric]).unwrap();
    let services = Services::start(&lab).unwrap();
    let sip = SipServer::start(&lab).unwrap();
    let start = |site: usize, user: &str, dial, seconds| {
        Telephone::start(&lab.sites[site], &services, user, dial, seconds).unwrap_or_else(|error| panic!("{error}\n{}", sip.log()))
    };
    let mut callee = start(1, "bob", None, 15);
    let mut caller = start(0, "alice", Some("bob"), 10);
    for telephone in [&mut caller, &mut callee] {
        telephone.wait_established().unwrap_or_else(|error| panic!("{error}\n{}\n{}", sip.log(), services.log_tails()));
    }
    let caller = caller.finish().unwrap_or_else(|error| panic!("{error}\n{}\n{}", sip.log(), services.log_tails()));
    let callee = callee.finish().unwrap_or_else(|error| panic!("{error}\n{}\n{}", sip.log(), services.log_tails()));
    let metrics = services.metrics(&lab).unwrap();
    let relayed = metrics.relayed("udp");

    let mut stdout = std::io::stdout();
    writeln!(stdout, "\ncaller {caller:?}, callee {callee:?}\nturnd, to peer and to client: {relayed:?}").unwrap();
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
