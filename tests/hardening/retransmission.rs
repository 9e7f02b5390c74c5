//! Rows of retransmitted requests, through the server.

use causeway_tests::{Client, Fill, Lab, Reaction};
use causeway_wire::Method;
use causeway_wire::attribute::{Lifetime, RequestedTransport};

const ALLOCATE: Fill<'static> = &|w| w.put(&RequestedTransport::UDP).map(drop);

#[test]
fn h36_a_retransmitted_allocate_gets_the_same_answer() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.fetch_nonce(&mut lab);
    let id = client.next_transaction();
    let request = client.signed(id, Method::ALLOCATE, &|w| {
        w.put(&RequestedTransport::UDP)?.put(&Lifetime(777)).map(drop)
    });
    let first = lab.client_sends(&client.five_tuple, &request).answer();
    let again = lab.client_sends(&client.five_tuple, &request).answer();
    assert_eq!((first.error(), &first), (None, &again));
    lab.pass_seconds(7);
    let later = lab.client_sends(&client.five_tuple, &request).answer();
    assert_eq!(
        (later.relayed(), later.lifetime()),
        (first.relayed(), Some(770)),
        "LIFETIME may be the remaining time"
    );
    assert_eq!((lab.server.gauges().allocations, lab.quota.total()), (1, 1));
}

#[test]
fn h36_an_allocate_under_the_id_of_the_one_that_was_challenged_is_another_request() {
    // libjuice does this.
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    let id = client.next_transaction();
    let fill: Fill<'_> = &|w| w.put(&RequestedTransport::UDP).map(drop);
    let challenge =
        lab.client_sends(&client.five_tuple, &client.unsigned(id, Method::ALLOCATE, fill)).answer();
    assert_eq!(challenge.error(), Some(401));
    (client.realm, client.nonce) = (challenge.realm(), challenge.nonce());
    let request = client.signed(id, Method::ALLOCATE, fill);
    let first = lab.client_sends(&client.five_tuple, &request).answer();
    assert_eq!(
        (first.error(), lab.client_sends(&client.five_tuple, &request).answer()),
        (None, first.clone())
    );
    let again =
        lab.client_sends(&client.five_tuple, &client.unsigned(id, Method::ALLOCATE, fill)).answer();
    assert_eq!(
        (again.error(), lab.server.gauges().allocations),
        (Some(401), 1),
        "a late copy of the first request does no harm"
    );
}

#[test]
fn h36_a_retransmission_that_overtakes_the_port_is_answered_once() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.fetch_nonce(&mut lab);
    lab.pool.hold = true;
    let id = client.next_transaction();
    let request = client.signed(id, Method::ALLOCATE, ALLOCATE);
    for _ in 0..3 {
        assert_eq!(lab.client_sends(&client.five_tuple, &request), Reaction::Later);
    }
    assert_eq!(lab.complete().len(), 1);
    assert_eq!((lab.server.gauges().allocations, lab.quota.total()), (1, 1));
}

#[test]
fn h36_another_clients_transaction_id_is_no_retransmission() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.fetch_nonce(&mut lab);
    let id = client.next_transaction();
    assert_eq!(
        lab.client_sends(&client.five_tuple, &client.signed(id, Method::ALLOCATE, ALLOCATE))
            .answer()
            .error(),
        None
    );
    let bob = client.clone().named("bob", "builder");
    assert_eq!(
        lab.client_sends(&client.five_tuple, &bob.signed(id, Method::ALLOCATE, ALLOCATE))
            .answer()
            .error(),
        Some(437)
    );
}
