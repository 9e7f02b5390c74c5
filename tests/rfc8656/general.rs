//! RFC 8656 §5: rules for all TURN messages; RFC 8656 §12 on the first byte.

use causeway_relay::{Command, Discard, EndReason, Transport};
use causeway_tests::addresses::peer;
use causeway_tests::{Client, Fill, Lab, Reaction};
use causeway_wire::Method;
use causeway_wire::attribute::{
    AddressFamily, AttributeType, ChannelNumberAttribute, Lifetime, RequestedTransport,
    XorPeerAddress,
};

#[test]
fn rfc8656_5_a_request_without_an_allocation_is_437() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    for (method, fill) in requests() {
        let answer = client.ask(&mut lab, method, fill).answer();
        assert_eq!(answer.error(), Some(437), "{method:?}");
    }
}

#[test]
fn rfc8656_5_437_goes_before_what_is_wrong_with_the_request() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    assert_eq!(
        client.ask(&mut lab, Method::CHANNEL_BIND, &|_| Ok(())).answer().error(),
        Some(437),
        "not 400"
    );
    assert_eq!(
        client.permit(&mut lab, &[peer(1, 1), "127.0.0.1:1".parse().unwrap()]),
        Some(437),
        "not 403"
    );
}

#[test]
fn rfc8656_5_data_without_an_allocation_are_ignored() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    assert_eq!(client.send(&mut lab, peer(1, 1), b"x"), Reaction::Silence(Discard::NoAllocation));
    assert_eq!(
        client.send_channel(&mut lab, 0x4000, b"x"),
        Reaction::Silence(Discard::NoAllocation)
    );
}

#[test]
fn rfc8656_5_another_user_on_the_5_tuple_is_441() {
    let mut lab = Lab::default();
    let mut alice = Client::udp(1);
    alice.allocate(&mut lab);
    alice.permit(&mut lab, &[peer(1, 1)]);
    let mut bob = alice.clone().named("bob", "builder");
    for (method, fill) in requests() {
        let answer = bob.ask(&mut lab, method, fill).answer();
        assert_eq!(answer.error(), Some(441), "{method:?}");
        assert!(answer.is_signed_with(&bob.key()));
    }
    assert_eq!(lab.server.gauges().allocations, 1, "not even LIFETIME 0 harmed it");
    assert!(alice.send(&mut lab, peer(1, 1), b"x").to_peer().is_some());
}

#[test]
fn rfc8656_5_441_goes_before_what_is_wrong_with_the_request() {
    let mut lab = Lab::default();
    let mut alice = Client::udp(1);
    alice.allocate(&mut lab);
    let mut bob = alice.clone().named("bob", "builder");
    assert_eq!(
        bob.ask(&mut lab, Method::CREATE_PERMISSION, &|_| Ok(())).answer().error(),
        Some(441),
        "not 400"
    );
}

#[test]
fn rfc8656_5_the_same_user_at_two_5_tuples_has_two_allocations() {
    let mut lab = Lab::default();
    let (mut first, mut second) = (Client::udp(1), Client::udp(2));
    let (a, b) = (first.allocate(&mut lab), second.allocate(&mut lab));
    first.permit(&mut lab, &[peer(1, 1)]);
    assert_eq!(first.send(&mut lab, peer(1, 1), b"x").to_peer().unwrap().0, a);
    assert_eq!(second.send(&mut lab, peer(1, 1), b"x"), Reaction::Silence(Discard::NoPermission));
    second.permit(&mut lab, &[peer(1, 1)]);
    assert_eq!(second.send(&mut lab, peer(1, 1), b"x").to_peer().unwrap().0, b);
}

#[test]
fn rfc8656_5_requests_that_wait_for_the_relayed_address_are_not_answered_yet() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    client.fetch_nonce(&mut lab);
    lab.pool.hold = true;
    let allocate: Fill<'_> = &|w| w.put(&RequestedTransport::UDP).map(drop);
    assert_eq!(client.ask_once(&mut lab, Method::ALLOCATE, allocate), Reaction::Later);
    for (method, fill) in requests() {
        assert_eq!(client.ask_once(&mut lab, method, fill), Reaction::Later, "{method:?}");
    }
    lab.complete();
    assert_eq!(client.permit(&mut lab, &[peer(1, 1)]), None);
}

#[test]
fn rfc8656_5_a_connection_that_is_gone_takes_its_allocation_along() {
    let mut lab = Lab::default();
    let (mut gone, mut other) = (Client::tcp(1), Client::udp(1));
    gone.allocate(&mut lab);
    other.allocate(&mut lab);
    lab.command(Command::ClientGone(gone.five_tuple));
    assert_eq!((lab.server.gauges().allocations, lab.quota.total()), (1, 1));
    assert_eq!(
        lab.ended.iter().map(|ended| (ended.client, ended.reason)).collect::<Vec<_>>(),
        [(gone.five_tuple, EndReason::ClientGone)]
    );
    lab.command(Command::ClientGone(gone.five_tuple));
    assert_eq!(lab.ended.len(), 1, "twice is once");
}

#[test]
fn rfc8656_5_a_client_that_is_gone_while_its_address_is_bound_leaves_no_port_behind() {
    let mut lab = Lab::default();
    let mut client = Client::tcp(1);
    client.fetch_nonce(&mut lab);
    lab.pool.hold = true;
    client.ask_once(&mut lab, Method::ALLOCATE, &|w| w.put(&RequestedTransport::UDP).map(drop));
    lab.command(Command::ClientGone(client.five_tuple));
    assert_eq!(lab.complete(), [Reaction::Silence(Discard::NotReady)]);
    assert!(lab.pool.is_full() && lab.quota.total() == 0);
}

#[test]
fn rfc8656_5_the_operator_ends_an_allocation() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    client.allocate(&mut lab);
    let id = lab.server.allocation(&client.five_tuple).unwrap();
    lab.command(Command::End(id));
    assert_eq!(lab.ended.iter().map(|ended| ended.reason).collect::<Vec<_>>(), [EndReason::Ended]);
    assert!(lab.pool.is_full());
    client.allocate(&mut lab);
    lab.command(Command::End(id));
    assert_eq!(lab.server.gauges().allocations, 1, "an id never names another allocation");
}

#[test]
fn rfc8656_5_the_backwards_compatibility_mechanism_is_not_used() {
    let mut lab = Lab::default();
    let client = Client::udp(1);
    let id = Client::udp(2).next_transaction();
    for method in [
        Method::ALLOCATE,
        Method::REFRESH,
        Method::CREATE_PERMISSION,
        Method::CHANNEL_BIND,
        Method::SEND,
    ] {
        let mut request = client.unsigned(id, method, &|_| Ok(()));
        request[4] ^= 0xFF;
        assert_eq!(
            lab.client_sends(&client.five_tuple, &request),
            Reaction::Silence(Discard::NoCookie),
            "{method:?}"
        );
    }
}

#[test]
fn rfc8656_5_every_request_takes_the_long_term_credential_mechanism() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    let allocate: (Method, Fill<'static>) =
        (Method::ALLOCATE, &|w| w.put(&RequestedTransport::UDP).map(drop));
    for (method, fill) in requests().into_iter().chain([allocate]) {
        let id = client.next_transaction();
        let challenge =
            lab.client_sends(&client.five_tuple, &client.unsigned(id, method, fill)).answer();
        assert_eq!(
            (challenge.error(), challenge.realm().as_deref()),
            (Some(401), Some(causeway_tests::REALM)),
            "{method:?}"
        );
        assert!(challenge.nonce().is_some() && challenge.is_unsigned());
    }
    client.allocate(&mut lab);
    for (method, fill) in requests().into_iter().rev() {
        assert_eq!(
            client.ask(&mut lab, method, fill).answer().error(),
            None,
            "{method:?} with credentials"
        );
    }
}

#[test]
fn rfc8656_5_each_allocate_is_given_a_nonce_of_its_own() {
    let mut lab = Lab::default();
    let mut nonces: Vec<_> = (1..=50)
        .map(|host| {
            let client = Client::udp(host);
            let id = client.clone().next_transaction();
            let challenge = lab
                .client_sends(
                    &client.five_tuple,
                    &client.unsigned(id, Method::ALLOCATE, &|_| Ok(())),
                )
                .answer();
            lab.pass_seconds(1);
            challenge.nonce().unwrap()
        })
        .collect();
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), 50);
}

#[test]
fn rfc8656_5_a_nonce_expires_within_an_hour_of_the_allocation() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.allocate(&mut lab);
    client.refresh(&mut lab, 3600);
    let first = client.nonce.clone();
    lab.pass_seconds(3590);
    assert_eq!(client.refresh(&mut lab, 3600).error(), None);
    lab.pass_seconds(11);
    let stale = client.ask_once(&mut lab, Method::REFRESH, &|_| Ok(())).answer();
    assert_eq!(stale.error(), Some(438));
    assert_ne!(stale.nonce(), first);
    assert_eq!(
        client.refresh(&mut lab, 600).error(),
        None,
        "and the allocation goes on with the next one"
    );
}

#[test]
fn rfc8656_5_software_is_in_allocate_and_refresh_responses_where_it_is_configured() {
    for software in [None, Some("causeway")] {
        let mut lab = Lab::with(|setup| setup.software = software);
        let mut client = Client::udp(1);
        let answers = [
            client.allocate_with(&mut lab, &|_| Ok(())),
            client.allocate_with(&mut lab, &|w| w.put(&RequestedTransport::TCP).map(drop)),
            client.refresh(&mut lab, 600),
            client.refresh_one(&mut lab, AddressFamily::Ipv6, 600),
        ];
        assert_eq!(
            answers.each_ref().map(causeway_tests::Answer::error),
            [None, Some(437), None, Some(443)]
        );
        assert!(
            answers.iter().all(|answer| answer.has(AttributeType::SOFTWARE) == software.is_some()),
            "success or failure"
        );
    }
}

#[test]
fn rfc8656_5_the_allocations_of_one_username_are_limited() {
    let mut lab = Lab::with(|setup| setup.quota = 3);
    let mut clients: Vec<_> = (1..=3).map(Client::udp).collect();
    clients.iter_mut().for_each(|client| _ = client.allocate(&mut lab));
    assert_eq!(Client::tcp(4).allocate_with(&mut lab, &|_| Ok(())).error(), Some(486));
    clients[0].refresh(&mut lab, 0);
    assert_eq!(Client::tcp(4).allocate_with(&mut lab, &|_| Ok(())).error(), None);
}

#[test]
fn rfc8656_18_attributes_are_padded_to_four_bytes_with_zeros() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    let relayed = client.allocate(&mut lab);
    client.permit(&mut lab, &[peer(1, 1)]);
    for length in 1..9 {
        let reaction = lab.peer_sends(peer(1, 1), relayed, &vec![0xFF; length]).unwrap();
        let bytes = reaction.to_client().unwrap();
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(bytes.iter().rev().take_while(|byte| **byte == 0).count(), (4 - length % 4) % 4);
    }
}

#[test]
fn rfc8656_12_reserved_first_bytes_are_dropped() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    client.allocate(&mut lab);
    for first in (4..=63).chain(80..=255) {
        let reaction = lab.client_sends(&client.five_tuple, &[first, 0, 0, 4, 1, 2, 3, 4]);
        assert!(reaction.silence().is_some(), "first byte {first}");
    }
    assert_eq!(lab.client_sends(&client.five_tuple, &[]), Reaction::Silence(Discard::NotStun));
}

#[test]
fn rfc8656_5_every_transport_between_client_and_server_is_served() {
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Dtls] {
        let mut lab = Lab::default();
        let mut client = Client::at(causeway_tests::addresses::client(1, 1), transport);
        let relayed = client.allocate(&mut lab);
        client.bind(&mut lab, 0x4000, peer(1, 1));
        assert_eq!(
            client.send_channel(&mut lab, 0x4000, b"x").to_peer(),
            Some((relayed, peer(1, 1), &b"x"[..]))
        );
    }
}

#[test]
fn rfc8656_6_the_key_is_stored_and_the_password_is_not() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.allocate(&mut lab);
    let id = lab.server.allocation(&client.five_tuple).unwrap();
    let record = lab.server.export(lab.now(), id).unwrap();
    let key = causeway_auth::Key::long_term_md5("alice", causeway_tests::REALM, "wonderland");
    assert_eq!(
        record.credential.key(causeway_auth::Algorithm::Md5).unwrap().as_bytes(),
        key.as_bytes(),
        "a hash over username, realm and password"
    );
    assert!(!format!("{record:?} {:?}", lab.setup.authenticator()).contains("wonderland"));
}

fn requests() -> [(Method, Fill<'static>); 3] {
    [
        (Method::REFRESH, &|w| w.put(&Lifetime(0)).map(drop)),
        (Method::CREATE_PERMISSION, &|w| w.put(&XorPeerAddress(peer(1, 1))).map(drop)),
        (Method::CHANNEL_BIND, &|w| {
            w.put(&ChannelNumberAttribute(0x4000))?.put(&XorPeerAddress(peer(1, 1))).map(drop)
        }),
    ]
}
