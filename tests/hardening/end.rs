//! Rows of failing peers and of allocations that end, through the server.

use causeway_relay::{BindFailure, Completion, Discard, IcmpNotice};
use causeway_tests::addresses::{peer, peer_v6};
use causeway_tests::{Client, Lab, Reaction};
use causeway_wire::attribute::AddressFamily;

#[test]
fn h38_one_peer_that_cannot_be_reached_harms_no_other() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    let relayed = client.allocate(&mut lab);
    client.permit(&mut lab, &[peer(1, 1), peer(2, 2)]);
    for _ in 0..100 {
        // The kernel refuses datagrams to the first peer. The core does not learn of it, and its
        // decisions do not depend on it.
        assert!(client.send(&mut lab, peer(1, 1), b"lost").to_peer().is_some());
        assert_eq!(
            client.send(&mut lab, peer(2, 2), b"ping").to_peer(),
            Some((relayed, peer(2, 2), &b"ping"[..]))
        );
        assert!(lab.peer_sends(peer(2, 2), relayed, b"pong").unwrap().to_client().is_some());
    }
    assert_eq!((lab.server.gauges().allocations, lab.ended.len()), (1, 0));
}

#[test]
fn h38_icmp_about_one_peer_changes_nothing_for_any() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    let relayed = client.allocate(&mut lab);
    client.bind(&mut lab, 0x4000, peer(1, 1));
    client.permit(&mut lab, &[peer(2, 2)]);
    let mut bystander = Client::udp(2);
    let relayed_bystander = bystander.allocate(&mut lab);
    bystander.permit(&mut lab, &[peer(1, 1)]);
    let before = lab.server.gauges();
    for code in 0..=255 {
        let notice = IcmpNotice { kind: 3, code, data: u32::MAX };
        let Reaction::Notice { to, .. } = lab.icmp_arrives(relayed, peer(1, 1), notice) else {
            panic!("the client gets no indication")
        };
        assert_eq!(to, client.five_tuple, "and no other client");
        assert!(
            lab.icmp_arrives(relayed, peer(3, 3), notice).silence().is_some(),
            "a peer that it does not know"
        );
    }
    assert_eq!(lab.server.gauges(), before);
    assert!(
        client.send_channel(&mut lab, 0x4000, b"x").to_peer().is_some(),
        "the peer may be reachable again"
    );
    assert!(client.send(&mut lab, peer(2, 2), b"x").to_peer().is_some());
    assert!(lab.peer_sends(peer(1, 1), relayed_bystander, b"x").unwrap().to_client().is_some());
    let traffic = lab.server.traffic(lab.server.allocation(&client.five_tuple).unwrap()).unwrap();
    assert_eq!(
        (traffic.packets_to_client, traffic.packets_to_peer),
        (0, 2),
        "ICMP does not count as data"
    );
}

#[test]
fn h39_deleting_one_family_ends_its_relaying_at_once() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    let (_, ipv6) = client.allocate_both(&mut lab);
    let relay = lab.pool.relay(ipv6).unwrap();
    client.bind(&mut lab, 0x4000, peer_v6(1, 1));
    client.refresh_one(&mut lab, AddressFamily::Ipv6, 0);
    assert_eq!(lab.pool.free(), 2 * 100 - 1, "the port is free again");
    assert_eq!(
        lab.peer_sends_to(relay, peer_v6(1, 1), b"x"),
        Reaction::Silence(Discard::NotReady),
        "a datagram on its way"
    );
    assert_eq!(client.send_channel(&mut lab, 0x4000, b"x"), Reaction::Silence(Discard::NoChannel));
}

#[test]
fn h38_a_bind_that_fails_late_ends_no_allocation_that_stands() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    let relayed = client.allocate(&mut lab);
    let relay = lab.pool.relay(relayed).unwrap();
    let mut out = [0; 1500];
    let failed = Completion::BindFailed { relay, failure: BindFailure::Capacity };
    assert_eq!(
        lab.server.handle_completion(lab.now(), failed, &mut out),
        causeway_relay::Reply::Discard(Discard::NotReady)
    );
    lab.time_out();
    assert_eq!(lab.server.gauges().allocations, 1);
    assert_eq!(client.permit(&mut lab, &[peer(1, 1)]), None);
}

#[test]
fn h39_lifetime_zero_ends_relaying_at_once() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    let relayed = client.allocate(&mut lab);
    let relay = lab.pool.relay(relayed).unwrap();
    client.bind(&mut lab, 0x4000, peer(1, 1));
    client.refresh(&mut lab, 0);
    assert!(lab.pool.is_full(), "the port is free again");
    assert_eq!(
        lab.peer_sends_to(relay, peer(1, 1), b"x"),
        Reaction::Silence(Discard::NotReady),
        "a datagram on its way"
    );
    assert_eq!(
        client.send_channel(&mut lab, 0x4000, b"x"),
        Reaction::Silence(Discard::NoAllocation)
    );
    assert_eq!(client.send(&mut lab, peer(1, 1), b"x"), Reaction::Silence(Discard::NoAllocation));
}

#[test]
fn h39_data_for_an_earlier_allocation_reach_no_later_one() {
    let (mut lab, mut first, mut second) = (Lab::default(), Client::udp(1), Client::udp(2));
    let relayed = first.allocate(&mut lab);
    let stale = lab.pool.relay(relayed).unwrap();
    first.refresh(&mut lab, 0);
    second.allocate(&mut lab);
    second.permit(&mut lab, &[peer(1, 1)]);
    assert_eq!(
        lab.peer_sends_to(stale, peer(1, 1), b"for the first"),
        Reaction::Silence(Discard::NotReady)
    );
}
