//! Allocations that another server adopts.

use std::time::Duration;

use causeway_relay::{AllocationRecord, Change, Command, EndReason};
use causeway_tests::addresses::peer;
use causeway_tests::{Client, Lab, Setup, deny};
use causeway_wire::Method;
use causeway_wire::attribute::{AddressFamily, RequestedTransport};

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
    assert_eq!(
        (record.age, export(&next, &client).age),
        (Duration::from_secs(500), Duration::from_secs(510))
    );
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
fn h35_an_expired_allocation_is_not_adopted() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.allocate(&mut lab);
    client.permit(&mut lab, &[peer(1, 1)]);
    client.refresh(&mut lab, 700);
    lab.pass_unnoticed(Duration::from_secs(300));
    let record = export(&lab, &client);
    assert_eq!(
        (record.permissions.len(), record.lifetime, record.relayed[0].time_to_expiry.as_secs()),
        (0, Duration::from_secs(700), 400)
    );
    lab.pass_unnoticed(Duration::from_secs(400));
    let expired = export(&lab, &client);
    assert!(Lab::default().server.adopt(lab.now(), &expired).is_none());
}

#[test]
fn h49_no_time_that_is_read_back_counts_for_more_than_was_granted() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    let relayed = client.allocate(&mut lab);
    client.permit(&mut lab, &[peer(2, 2)]);
    client.bind(&mut lab, 0x4000, peer(1, 1));
    lab.pass_seconds(100);
    // At the restart the clock is an hour back, or a day, or as far as possible.
    for back in [Duration::from_secs(3600), Duration::from_secs(86_400), Duration::MAX / 2] {
        let mut record = export(&lab, &client);
        record.relayed.iter_mut().for_each(|relayed| relayed.time_to_expiry += back);
        record.permissions.iter_mut().for_each(|permission| permission.time_to_expiry += back);
        record.channels.iter_mut().for_each(|channel| channel.time_to_expiry += back);
        let mut next = Lab::default();
        adopt(&mut next, &record);
        next.pass_seconds(299);
        assert!(next.peer_sends(peer(2, 2), relayed, b"x").unwrap().to_client().is_some());
        next.pass_seconds(1);
        assert!(
            next.peer_sends(peer(2, 2), relayed, b"x").unwrap().silence().is_some(),
            "300 s were granted: {back:?}"
        );
        next.pass_seconds(299);
        assert!(client.send_channel(&mut next, 0x4000, b"x").to_peer().is_some());
        next.pass_seconds(1);
        assert!(
            client.send_channel(&mut next, 0x4000, b"x").silence().is_some(),
            "600 s were granted: {back:?}"
        );
        assert_eq!(next.server.gauges().allocations, 0, "and the allocation ends, too: {back:?}");
        assert!(next.pool.is_full());
    }
}

#[test]
fn h49_a_restore_does_not_shorten_a_grant() {
    // The configuration is stricter, the client has refreshed one of two addresses for less, and
    // the record is restored several times.
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.allocate_both(&mut lab);
    client.refresh(&mut lab, 3600);
    client.bind(&mut lab, 0x4000, peer(1, 1));
    client.refresh_one(&mut lab, AddressFamily::Ipv6, 600);
    lab.pass_unnoticed(Duration::from_millis(300));
    lab.setup.limits.max_lifetime = Duration::from_secs(600);
    for restart in 1..=5 {
        let record = export(&lab, &client);
        let longest = record.relayed.iter().map(|relayed| relayed.time_to_expiry).max().unwrap();
        assert!(
            Duration::from_secs(record.lifetime.as_secs()) >= longest,
            "whole seconds are kept: {record:?}"
        );
        lab.pass_seconds(100);
        lab = lab.succeed();
        let left: Vec<_> = export(&lab, &client)
            .relayed
            .iter()
            .map(|relayed| relayed.time_to_expiry.as_secs_f64().ceil())
            .collect();
        let passed = f64::from(restart) * 100.0;
        assert_eq!(
            left,
            [3600.0 - passed, 600.0 - passed]
                .into_iter()
                .filter(|left| *left > 0.0)
                .collect::<Vec<_>>()
        );
        assert!(client.send_channel(&mut lab, 0x4000, b"x").to_peer().is_some());
    }
}

#[test]
fn h49_nothing_shortens_a_grant_but_the_client_itself() {
    let mut lab = Lab::with(|setup| setup.grace = 0);
    let mut client = Client::udp(1).with_rest(b"north", lab.unix() + 60, "alice");
    let (relayed, _) = client.allocate_both(&mut lab);
    client.refresh(&mut lab, 1800);
    client.bind(&mut lab, 0x4000, peer(1, 1));
    let left = |lab: &Lab| {
        export(lab, &client)
            .relayed
            .iter()
            .map(|relayed| relayed.time_to_expiry.as_secs())
            .collect::<Vec<_>>()
    };
    // Its credential expires, the realm gets other secrets, the policy changes.
    lab.pass_seconds(100);
    assert_eq!(client.clone().refresh(&mut lab, 600).error(), Some(401));
    lab.command(Command::SetAuthenticator(
        Setup::with(|setup| setup.rest_secret = b"south").authenticator(),
    ));
    lab.command(Command::SetPolicy(
        Lab::with(|setup| setup.rules = vec![deny("20.0.0.2/32")]).setup.policy(),
    ));
    assert_eq!(left(&lab), [1700, 1700]);
    lab.pass_seconds(499);
    assert!(lab.peer_sends(peer(1, 1), relayed, b"x").unwrap().to_client().is_some());
    assert_eq!(left(&lab), [1201, 1201]);
}

#[test]
fn h36_a_retransmission_that_reaches_the_next_server_gets_the_same_answer() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.fetch_nonce(&mut lab);
    let id = client.next_transaction();
    let request =
        client.signed(id, Method::ALLOCATE, &|w| w.put(&RequestedTransport::UDP).map(drop));
    let first = lab.client_sends(&client.five_tuple, &request).answer();
    let mut next = Lab::default();
    adopt(&mut next, &export(&lab, &client));
    assert_eq!(next.client_sends(&client.five_tuple, &request).answer(), first);
}

#[test]
fn h33_after_an_outage_everything_is_reported_and_then_each_change_again() {
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
    assert_eq!(
        (lab.server.poll_change(), lab.server.poll_change()),
        (Some(Change::Changed(id)), None)
    );
}

#[test]
fn h47_dropped_changes_are_asked_for_and_an_offer_covers_them() {
    let mut lab = Lab::with(|setup| setup.track_changes = true);
    let (mut stays, mut comes_and_goes) = (Client::udp(1), Client::udp(2));
    stays.allocate(&mut lab);
    let give_up = |lab: &mut Lab, client: &mut Client| {
        for _ in 0..4200 {
            client.allocate(lab);
            client.refresh(lab, 0);
            // The caller asks for changes while this number is not zero.
            assert!(lab.server.unwritten() > 0);
        }
    };
    give_up(&mut lab, &mut comes_and_goes);
    let id = lab.server.allocation(&stays.five_tuple).unwrap();
    lab.server.offer_all();
    assert_eq!((lab.server.offer_left(), lab.server.unwritten()), (1, 1));
    assert_eq!(
        (lab.server.poll_change(), lab.server.poll_change()),
        (Some(Change::Changed(id)), None)
    );
    assert_eq!((lab.server.offer_left(), lab.server.unwritten()), (0, 0));
    // From then on each change is reported again.
    stays.permit(&mut lab, &[peer(1, 1)]);
    assert_eq!(
        (lab.server.poll_change(), lab.server.poll_change()),
        (Some(Change::Changed(id)), None)
    );
}

#[test]
fn h47_a_record_that_cannot_be_restored_is_not_reported_as_ended() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.allocate(&mut lab);
    let record = export(&lab, &client);
    let mut next = Lab::with(|setup| (setup.ports, setup.track_changes) = (1, true));
    let mut other = Client::udp(2);
    other.allocate(&mut next);
    while next.server.poll_change().is_some() {}
    adopt(&mut next, &record);
    assert_eq!(
        next.server.poll_change(),
        None,
        "its port is taken, perhaps by the server that it belongs to"
    );
    other.refresh(&mut next, 0);
    while next.server.poll_change().is_some() {}
    adopt(&mut next, &record);
    let id = next.server.allocation(&client.five_tuple).unwrap();
    assert_eq!(
        (next.server.poll_change(), next.server.poll_change()),
        (Some(Change::Changed(id)), None)
    );
}

fn export(lab: &Lab, client: &Client) -> AllocationRecord {
    let id = lab.server.allocation(&client.five_tuple).unwrap();
    lab.server.export(lab.now(), id).unwrap()
}

fn adopt(lab: &mut Lab, record: &AllocationRecord) {
    assert!(lab.server.adopt(lab.now(), record).is_some());
    lab.time_out();
}
