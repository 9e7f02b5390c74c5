//! RFC 8656 §7.2: EVEN-PORT with R set, and RESERVATION-TOKEN.

use causeway_relay::{Families, Transport};
use causeway_tests::addresses::client;
use causeway_tests::{Answer, Client, Lab};
use causeway_wire::Method;
use causeway_wire::attribute::{
    AddressFamily, AttributeType, EvenPort, RequestedAddressFamily, RequestedTransport,
    ReservationToken,
};

#[test]
fn rfc8656_7_2_the_port_after_an_even_one_is_reserved() {
    let mut lab = Lab::default();
    let (answer, token) = reserve(&mut Client::udp(1), &mut lab);
    let first = answer.relayed().unwrap();
    assert_eq!(first.port() % 2, 0);
    assert_eq!(lab.pool.free(), 2 * 100 - 2, "two ports are in use");
    let second = claim(&mut Client::udp(2), &mut lab, token);
    assert_eq!(second.error(), None);
    assert_eq!(
        second.relayed().map(|relayed| (relayed.ip(), relayed.port())),
        Some((first.ip(), first.port() + 1))
    );
    assert_eq!((lab.pool.reserved(), lab.pool.free()), (0, 2 * 100 - 2));
}

#[test]
fn rfc8656_7_2_a_reservation_is_claimed_from_any_5_tuple() {
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Dtls] {
        let mut lab = Lab::default();
        let (_, token) = reserve(&mut Client::udp(1), &mut lab);
        let mut other = Client::at(client(7, 7), transport);
        other.five_tuple.server.set_port(5349);
        assert_eq!(claim(&mut other, &mut lab, token).error(), None, "{transport:?}");
    }
}

#[test]
fn rfc8656_7_2_a_reservation_is_held_for_thirty_seconds() {
    let mut lab = Lab::default();
    let (_, token) = reserve(&mut Client::udp(1), &mut lab);
    lab.pass(std::time::Duration::from_millis(29_999));
    assert_eq!(claim(&mut Client::udp(2), &mut lab, token).error(), None);
    let (_, late) = reserve(&mut Client::udp(3), &mut lab);
    lab.pass_seconds(30);
    assert_eq!(claim(&mut Client::udp(4), &mut lab, late).error(), Some(508));
}

#[test]
fn rfc8656_7_2_a_reservation_outlives_the_allocation_that_made_it() {
    let mut lab = Lab::default();
    let mut first = Client::udp(1);
    let (_, token) = reserve(&mut first, &mut lab);
    first.refresh(&mut lab, 0);
    assert_eq!(claim(&mut Client::udp(2), &mut lab, token).error(), None);
}

#[test]
fn rfc8656_7_2_a_token_is_good_once() {
    let mut lab = Lab::default();
    let (_, token) = reserve(&mut Client::udp(1), &mut lab);
    assert_eq!(claim(&mut Client::udp(2), &mut lab, token).error(), None);
    assert_eq!(claim(&mut Client::udp(3), &mut lab, token).error(), Some(508));
}

#[test]
fn rfc8656_7_2_a_reserved_port_is_of_the_family_of_the_first() {
    let mut lab = Lab::with(|setup| setup.families = Families { ipv4: false, ipv6: true });
    let answer = Client::udp_v6(1).allocate_with(&mut lab, &|w| {
        w.put(&EvenPort { reserve: true })?
            .put(&RequestedAddressFamily(AddressFamily::Ipv6))
            .map(drop)
    });
    let second = claim(&mut Client::udp_v6(2), &mut lab, answer.token().unwrap());
    assert_eq!(
        second.relayed().map(|relayed| (relayed.is_ipv6(), relayed.port())),
        Some((true, answer.relayed().unwrap().port() + 1))
    );
}

#[test]
fn rfc8656_7_2_a_retransmission_gets_the_token_again() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.fetch_nonce(&mut lab);
    let id = client.next_transaction();
    let request = client.signed(id, Method::ALLOCATE, &|w| {
        w.put(&RequestedTransport::UDP)?.put(&EvenPort { reserve: true }).map(drop)
    });
    let [first, again] = [0, 1].map(|_| lab.client_sends(&client.five_tuple, &request).answer());
    assert!(first.token().is_some());
    assert_eq!((first, lab.pool.reserved()), (again, 1));
}

#[test]
fn rfc8656_7_2_without_r_nothing_is_reserved() {
    let mut lab = Lab::default();
    let answer =
        Client::udp(1).allocate_with(&mut lab, &|w| w.put(&EvenPort { reserve: false }).map(drop));
    assert_eq!((answer.token(), lab.pool.reserved(), lab.pool.free()), (None, 0, 2 * 100 - 1));
}

#[test]
fn rfc8656_18_7_the_other_bits_of_even_port_are_ignored() {
    let mut lab = Lab::default();
    for (bits, reserved) in [(0x7F, 0), (0xFF, 1)] {
        let answer = Client::udp(bits)
            .allocate_with(&mut lab, &|w| w.put_raw(AttributeType::EVEN_PORT, &[bits]).map(drop));
        assert_eq!((answer.error(), lab.pool.reserved()), (None, reserved));
    }
}

#[test]
fn rfc8656_7_2_the_quota_counts_for_who_claims_too() {
    let mut lab = Lab::with(|setup| setup.quota = 1);
    let (_, token) = reserve(&mut Client::udp(1), &mut lab);
    assert_eq!(claim(&mut Client::udp(2), &mut lab, token).error(), Some(486));
}

fn reserve(client: &mut Client, lab: &mut Lab) -> (Answer, ReservationToken) {
    let answer = client.allocate_with(lab, &|w| w.put(&EvenPort { reserve: true }).map(drop));
    assert_eq!(answer.error(), None);
    let token = answer.token().expect("a success with a reservation has its token");
    (answer, token)
}

fn claim(client: &mut Client, lab: &mut Lab, token: ReservationToken) -> Answer {
    client.allocate_with(lab, &|w| w.put(&token).map(drop))
}
