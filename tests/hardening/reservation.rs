//! Row H32, and other effects of port pairs on the pool.

use causeway_relay::{BindFailure, Discard};
use causeway_tests::{Client, Fill, Lab, Reaction};
use causeway_wire::Method;
use causeway_wire::attribute::{
    AdditionalAddressFamily, AddressFamily, EvenPort, RequestedTransport, ReservationToken,
};

const EVEN: Fill<'static> = &|w| w.put(&EvenPort { reserve: false }).map(drop);
const PAIR: Fill<'static> = &|w| w.put(&EvenPort { reserve: true }).map(drop);

#[test]
fn h32_ten_thousand_requests_for_an_even_port_leave_the_pool_at_full_size() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    for request in 0..10_000 {
        assert_eq!(client.allocate_with(&mut lab, EVEN).error(), None, "request {request}");
        assert_eq!(lab.pool.free(), 2 * 100 - 1);
        client.refresh(&mut lab, 0);
    }
    assert!(lab.pool.is_full());
}

#[test]
fn h32_ten_thousand_reservations_come_back_unclaimed() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    for _ in 0..10_000 {
        match client.ask(&mut lab, Method::ALLOCATE, &|w| PAIR(w.put(&RequestedTransport::UDP)?)) {
            Reaction::Answer(answer) if answer.error().is_none() => {
                drop(client.refresh(&mut lab, 0));
            }
            Reaction::Answer(answer) => assert_eq!(answer.error(), Some(508)),
            other => assert_eq!(other, Reaction::Silence(Discard::RefusalsSpent)),
        }
        lab.pass(std::time::Duration::from_millis(20));
    }
    assert!(lab.pool.reserved() > 0);
    lab.pass_seconds(30);
    assert!(lab.pool.is_full() && lab.quota.total() == 0);
}

#[test]
fn h32_a_token_is_valid_only_for_the_user_that_got_it() {
    let mut lab = Lab::default();
    let token = Client::udp(1).allocate_with(&mut lab, PAIR).token().unwrap();
    let claim: Fill<'_> = &|w| w.put(&token).map(drop);
    assert_eq!(
        Client::udp(2).named("bob", "builder").allocate_with(&mut lab, claim).error(),
        Some(508)
    );
    assert_eq!(Client::udp(3).allocate_with(&mut lab, claim).error(), None);
}

#[test]
fn h32_guessing_tokens_yields_nothing_and_leaves_nothing() {
    let mut lab = Lab::default();
    let first = Client::udp(1).allocate_with(&mut lab, PAIR);
    let mut client = Client::udp(2);
    for guess in 0..1000u64 {
        let token = ReservationToken((guess << 32 | 0xFFFF).to_be_bytes());
        let guess = client.ask(&mut lab, Method::ALLOCATE, &|w| {
            w.put(&RequestedTransport::UDP)?.put(&token).map(drop)
        });
        match guess {
            Reaction::Answer(answer) => assert_eq!(answer.error(), Some(508)),
            other => assert_eq!(other, Reaction::Silence(Discard::RefusalsSpent)),
        }
    }
    assert_eq!(
        (lab.server.gauges().allocations, lab.quota.total(), lab.pool.reserved()),
        (1, 1, 1)
    );
    assert!(first.token().is_some());
}

#[test]
fn h32_a_claim_that_cannot_be_bound_holds_nothing() {
    let mut lab = Lab::default();
    let token = Client::udp(1).allocate_with(&mut lab, PAIR).token().unwrap();
    lab.pool.failure = Some(BindFailure::Capacity);
    assert_eq!(
        Client::udp(2).allocate_with(&mut lab, &|w| w.put(&token).map(drop)).error(),
        Some(508)
    );
    lab.pass_seconds(600);
    assert!(lab.pool.is_full() && lab.quota.total() == 0);
}

#[test]
fn h30_every_end_of_a_dual_allocation_frees_both_ports() {
    let both: Fill<'_> = &|w| {
        w.put(&RequestedTransport::UDP)?
            .put(&AdditionalAddressFamily(AddressFamily::Ipv6))
            .map(drop)
    };
    let ways: [fn(&mut Lab, &mut Client); 5] = [
        |lab, client| _ = client.refresh(lab, 0),
        |lab, client| {
            client.refresh_one(lab, AddressFamily::Ipv6, 0);
            client.refresh_one(lab, AddressFamily::Ipv4, 0);
        },
        |lab, _| lab.pass_seconds(600),
        |lab, client| lab.command(causeway_relay::Command::ClientGone(client.five_tuple)),
        |lab, client| {
            let id = lab.server.allocation(&client.five_tuple).unwrap();
            lab.command(causeway_relay::Command::End(id));
        },
    ];
    for (number, way) in ways.into_iter().enumerate() {
        let (mut lab, mut client) = (Lab::with(|setup| setup.quota = 1), Client::tcp(1));
        for _ in 0..3 {
            client.allocate_both(&mut lab);
            way(&mut lab, &mut client);
            assert!(lab.pool.is_full() && lab.quota.total() == 0, "way {number}");
        }
        assert_eq!(lab.ended.len(), 3);
    }
    // The allocation ends while the second socket is being bound.
    let (mut lab, mut client) = (Lab::default(), Client::tcp(1));
    client.fetch_nonce(&mut lab);
    lab.pool.hold = true;
    client.ask_once(&mut lab, Method::ALLOCATE, both);
    lab.command(causeway_relay::Command::ClientGone(client.five_tuple));
    lab.complete();
    assert!(lab.pool.is_full() && lab.quota.total() == 0);
}
