//! What holds for an allocation that is taken over by another server.

use std::time::Duration;

use causeway_relay::{AllocationRecord, Change, EndReason};
use causeway_tests::addresses::peer;
use causeway_tests::{Client, Lab, deny};
use causeway_wire::Method;
use causeway_wire::attribute::RequestedTransport;

#[test]
fn h3_an_adopted_allocation_has_only_what_the_policy_allows_by_now() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.allocate(&mut lab);
    client.bind(&mut lab, 0x4001, peer(1, 1));
    client.bind(&mut lab, 0x4002, peer(2, 2));
    let record = export(&lab, &client);
    let mut stricter = Lab::with(|setup| setup.rules = vec![deny("20.0.0.1/32")]);
    adopt(&mut stricter, &record);
    assert_eq!((stricter.server.gauges().permissions, stricter.server.gauges().channels), (1, 1));
    assert!(client.send_channel(&mut stricter, 0x4001, b"x").silence().is_some());
    assert!(client.send_channel(&mut stricter, 0x4002, b"x").to_peer().is_some());
}

#[test]
fn h30_an_adopted_allocation_holds_quota_and_port_and_gives_them_back() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    let relayed = client.allocate(&mut lab);
    let record = export(&lab, &client);
    let mut next = Lab::with(|setup| setup.quota = 1);
    adopt(&mut next, &record);
    assert_eq!((next.quota.held("alice"), next.pool.relay(relayed).is_some()), (1, true));
    assert!(next.server.adopt(next.now(), &record).is_none(), "the 5-tuple is taken");
    client.refresh(&mut next, 0);
    assert!(next.pool.is_full() && next.quota.total() == 0);
}

#[test]
fn an_adopted_allocation_is_as_old_as_it_was_under_a_younger_clock() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.allocate(&mut lab);
    lab.pass(Duration::from_secs(500));
    let record = export(&lab, &client);
    let mut next = Lab::default();
    adopt(&mut next, &record);
    next.pass(Duration::from_secs(10));
    assert_eq!((record.age, export(&next, &client).age), (Duration::from_secs(500), Duration::from_secs(510)));
}

#[test]
fn h30_an_adopted_allocation_whose_port_is_taken_leaves_nothing() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.allocate(&mut lab);
    let record = export(&lab, &client);
    let mut next = Lab::with(|setup| setup.ports = 1);
    Client::udp(2).allocate(&mut next);
    adopt(&mut next, &record);
    assert_eq!((next.server.gauges().allocations, next.quota.total()), (1, 1));
    assert_eq!(next.ended.last().map(|ended| ended.reason), Some(EndReason::BindFailed));
}

#[test]
fn h35_what_has_expired_is_not_adopted() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.allocate(&mut lab);
    client.permit(&mut lab, &[peer(1, 1)]);
    client.refresh(&mut lab, 700);
    lab.pass_unnoticed(Duration::from_secs(300));
    let record = export(&lab, &client);
    assert_eq!((record.permissions.len(), record.lifetime, record.relayed[0].time_to_expiry.as_secs()), (0, Duration::from_secs(700), 400));
    lab.pass_unnoticed(Duration::from_secs(400));
    let expired = export(&lab, &client);
    assert!(Lab::default().server.adopt(lab.now(), &expired).is_none());
}

#[test]
fn h36_a_retransmission_that_reaches_the_next_server_gets_the_same_answer() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.fetch_nonce(&mut lab);
    let id = client.next_transaction();
    let request = client.signed(id, Method::ALLOCATE, &|w| w.put(&RequestedTransport::UDP).map(drop));
    let first = lab.client_sends(&client.five_tuple, &request).answer();
    let mut next = Lab::default();
    adopt(&mut next, &export(&lab, &client));
    assert_eq!(next.client_sends(&client.five_tuple, &request).answer(), first);
}

#[test]
fn h33_after_an_outage_everything_is_told_and_then_each_change_again() {
    let mut lab = Lab::with(|setup| setup.track_changes = true);
    let (mut stays, mut comes_and_goes) = (Client::udp(1), Client::udp(2));
    stays.allocate(&mut lab);
    for _ in 0..4200 {
        comes_and_goes.allocate(&mut lab);
        comes_and_goes.refresh(&mut lab, 0);
    }
    assert!(lab.server.unwritten() <= 2 * (4096 + 2), "{} changes wait", lab.server.unwritten());
    assert_eq!(lab.server.poll_change(), Some(Change::Everything));
    while lab.server.poll_change().is_some() {}
    let id = lab.server.allocation(&stays.five_tuple).unwrap();
    stays.permit(&mut lab, &[peer(1, 1)]);
    assert_eq!((lab.server.poll_change(), lab.server.poll_change()), (Some(Change::Changed(id)), None));
}

fn export(lab: &Lab, client: &Client) -> AllocationRecord {
    let id = lab.server.allocation(&client.five_tuple).unwrap();
    lab.server.export(lab.now(), id).unwrap()
}

fn adopt(lab: &mut Lab, record: &AllocationRecord) {
    assert!(lab.server.adopt(lab.now(), record).is_some());
    lab.time_out();
}
