//! Rows of the relay core, through the server.

use std::net::SocketAddr;
use std::time::Duration;

use causeway_relay::{BindFailure, Command, Discard, EndReason, Limits, Transport};
use causeway_tests::addresses::{client, client_v6, peer};
use causeway_tests::{Client, Fill, LIMITS, Lab, Reaction};
use causeway_wire::attribute::{
    AttributeType, ChannelNumberAttribute, ErrorCodeAttribute, Lifetime, RequestedTransport,
    XorPeerAddress,
};
use causeway_wire::{ChannelRange, Class, Message, MessageWriter, Method};

const ALLOCATE: Fill<'static> = &|w| w.put(&RequestedTransport::UDP).map(drop);

const EMPTY: Fill<'static> = &|_| Ok(());

#[test]
fn h10_an_unauthenticated_datagram_leaves_no_state_behind() {
    let mut lab = Lab::with(|setup| setup.unauthenticated = None);
    let before = lab.server.gauges();
    for port in 1..=1000 {
        let client = Client::at(client(1, port), Transport::Udp);
        let id = client.clone().next_transaction();
        for method in [
            Method::ALLOCATE,
            Method::REFRESH,
            Method::CREATE_PERMISSION,
            Method::CHANNEL_BIND,
            Method::BINDING,
        ] {
            let _ = lab
                .client_sends(&client.five_tuple, &client.unsigned(id, method, ALLOCATE))
                .answer();
        }
    }
    assert_eq!(lab.server.gauges(), before);
    assert_eq!(
        (lab.server.poll_timeout(), lab.quota.total(), lab.ended.len()),
        (None, 0, 0),
        "no timer either"
    );
}

#[test]
fn h11_an_answer_to_an_unproven_client_is_at_most_2_6_times_its_request() {
    for realm in ["r", "example.org", "turn.example.org", "twenty-bytes.example"] {
        let mut lab = Lab::with(|setup| setup.realm = realm);
        for (from, around) in [(client(1, 1), 20 + 8), (client_v6(1, 1), 40 + 8)] {
            for fingerprint in [false, true] {
                let mut client = Client::at(from, Transport::Udp);
                client.fingerprint = fingerprint;
                for (method, fill) in [
                    (Method::ALLOCATE, ALLOCATE),
                    (Method::ALLOCATE, EMPTY),
                    (Method::REFRESH, EMPTY),
                    (Method::BINDING, EMPTY),
                ] {
                    let request = client.unsigned(client.clone().next_transaction(), method, fill);
                    let answer = lab.client_sends(&client.five_tuple, &request).answer();
                    let factor =
                        (answer.bytes.len() + around) as f64 / (request.len() + around) as f64;
                    assert!(
                        factor <= 2.6,
                        "{method:?} of {} bytes in realm {realm}: {factor:.2}",
                        request.len()
                    );
                }
            }
        }
    }
}

#[test]
fn h11_the_phrase_is_left_out_only_where_it_must_be() {
    let (mut lab, udp, tcp) = (Lab::default(), Client::udp(1), Client::tcp(1));
    let mut reason = |client: &Client, fill: Fill<'_>| {
        let request = client.unsigned(client.clone().next_transaction(), Method::ALLOCATE, fill);
        let answer = lab.client_sends(&client.five_tuple, &request).answer();
        let message = answer.message();
        message.attribute::<ErrorCodeAttribute<'_>>().unwrap().unwrap().reason.to_owned()
    };
    assert_eq!(reason(&udp, ALLOCATE), "Unauthenticated", "as a real client's first request is");
    assert_eq!(
        (reason(&udp, EMPTY), reason(&tcp, EMPTY)),
        (String::new(), "Unauthenticated".to_owned())
    );
}

#[test]
fn h12_nothing_unauthenticated_changes_an_allocation() {
    let mut lab = Lab::default();
    let mut alice = Client::udp(1);
    let relayed = alice.allocate(&mut lab);
    alice.bind(&mut lab, 0x4000, peer(1, 1));
    let before = lab.server.gauges();
    let id = alice.next_transaction();
    let attempts: [(Method, Fill<'_>); 4] = [
        (Method::REFRESH, &|w| w.put(&Lifetime(0)).map(drop)),
        (Method::CREATE_PERMISSION, &|w| w.put(&XorPeerAddress(peer(2, 2))).map(drop)),
        (Method::CHANNEL_BIND, &|w| {
            w.put(&ChannelNumberAttribute(0x4001))?.put(&XorPeerAddress(peer(2, 2))).map(drop)
        }),
        (Method::ALLOCATE, ALLOCATE),
    ];
    for (method, fill) in attempts {
        assert_eq!(
            lab.client_sends(&alice.five_tuple, &alice.unsigned(id, method, fill)).answer().error(),
            Some(401)
        );
        let mut guessing = alice.clone().named("alice", "guess");
        assert_eq!(guessing.ask_once(&mut lab, method, fill).answer().error(), Some(401));
        let mut elsewhere = alice.clone();
        elsewhere.nonce = Some("obMatJos2AAAA".to_owned());
        assert_eq!(elsewhere.ask_once(&mut lab, method, fill).answer().error(), Some(438));
    }
    assert_eq!(lab.server.gauges(), before);
    assert!(alice.send_channel(&mut lab, 0x4000, b"x").to_peer().is_some());
    assert!(lab.peer_sends(peer(1, 1), relayed, b"x").unwrap().to_client().is_some());
    lab.pass_seconds(600);
    assert_eq!(lab.server.gauges().allocations, 0, "its lifetime is unchanged");
}

#[test]
fn h26_the_same_seed_gives_the_same_output_and_another_seed_another() {
    let run = |seed| {
        let mut lab = Lab::with(|setup| setup.seed = seed);
        let mut client = Client::udp(1);
        let relayed = client.allocate(&mut lab);
        client.permit(&mut lab, &[peer(1, 1)]);
        let indications: Vec<_> = (0..3)
            .map(|_| {
                let reaction = lab.peer_sends(peer(1, 1), relayed, b"x").unwrap();
                Message::decode(reaction.to_client().unwrap()).unwrap().transaction_id()
            })
            .collect();
        indications
    };
    let (one, same, other) = (run(1), run(1), run(2));
    assert_eq!(one, same);
    assert!(one.iter().all(|id| !other.contains(id)), "the transaction ids");
}

#[test]
fn h29_every_answer_to_an_authenticated_request_carries_integrity() {
    let mut lab = Lab::with(|setup| setup.quota = 1);
    let mut client = Client::udp(1);
    client.fingerprint = true;
    let mut bob = client.clone().named("bob", "builder");
    let mut second = Client::udp(2);
    let mut answers = vec![client.ask(&mut lab, Method::ALLOCATE, &|_| Ok(())).answer()];
    answers.push(
        client
            .ask(&mut lab, Method::ALLOCATE, &|w| w.put(&RequestedTransport::TCP).map(drop))
            .answer(),
    );
    lab.pool.failure = Some(BindFailure::Capacity);
    answers.push(client.ask(&mut lab, Method::ALLOCATE, ALLOCATE).answer());
    lab.pool.failure = Some(BindFailure::Family);
    answers.push(client.ask(&mut lab, Method::ALLOCATE, ALLOCATE).answer());
    lab.pool.failure = None;
    answers.push(client.refresh(&mut lab, 600));
    client.allocate(&mut lab);
    answers.push(client.ask(&mut lab, Method::ALLOCATE, ALLOCATE).answer());
    answers.push(
        client
            .ask(&mut lab, Method::CREATE_PERMISSION, &|w| {
                w.put(&XorPeerAddress("10.0.0.1:1".parse().unwrap())).map(drop)
            })
            .answer(),
    );
    answers.push(
        client
            .ask(&mut lab, Method::CREATE_PERMISSION, &|w| {
                w.put(&XorPeerAddress("[::2]:1".parse().unwrap())).map(drop)
            })
            .answer(),
    );
    answers.push(client.refresh(&mut lab, 600));
    let codes = [
        Some(400),
        Some(442),
        Some(508),
        Some(440),
        Some(437),
        Some(437),
        Some(403),
        Some(443),
        None,
    ];
    assert_eq!(answers.iter().map(causeway_tests::Answer::error).collect::<Vec<_>>(), codes);
    for answer in answers {
        assert!(answer.is_signed_with(&client.key()), "{:?}", answer.error());
        assert_eq!(answer.message().fingerprint(), Some(true));
    }
    let wrong_user = bob.ask(&mut lab, Method::REFRESH, &|_| Ok(())).answer();
    assert!(wrong_user.error() == Some(441) && wrong_user.is_signed_with(&bob.key()));
    let over_quota = second.ask(&mut lab, Method::ALLOCATE, ALLOCATE).answer();
    assert!(over_quota.error() == Some(486) && over_quota.is_signed_with(&second.key()));
}

#[test]
fn h30_every_end_frees_port_and_quota() {
    type End = fn(&mut Lab, &mut Client);
    let ends: [(EndReason, End); 5] = [
        (EndReason::Released, |lab, client| _ = client.refresh(lab, 0)),
        (EndReason::Expired, |lab, _| lab.pass_seconds(600)),
        (EndReason::ClientGone, |lab, client| lab.command(Command::ClientGone(client.five_tuple))),
        (EndReason::Ended, |lab, client| {
            let id = lab.server.allocation(&client.five_tuple).unwrap();
            lab.command(Command::End(id));
        }),
        (EndReason::Expired, |lab, client| {
            lab.pass_unnoticed(Duration::from_secs(601));
            client.permit(lab, &[peer(1, 1)]);
        }),
    ];
    for (reason, end) in ends {
        let mut lab = Lab::with(|setup| setup.quota = 1);
        let mut client = Client::tcp(1);
        for round in 0..3 {
            client.allocate(&mut lab);
            client.bind(&mut lab, 0x4000, peer(1, 1));
            assert_eq!(lab.quota.total(), 1);
            end(&mut lab, &mut client);
            let gauges = lab.server.gauges();
            assert_eq!(
                (gauges.allocations, gauges.permissions, gauges.channels, gauges.prefixes),
                (0, 0, 0, 0),
                "{reason:?} {round}"
            );
            assert!(lab.pool.is_full() && lab.quota.total() == 0, "{reason:?}");
            assert_eq!(lab.ended.last().unwrap().reason, reason);
        }
    }
}

#[test]
fn h30_a_failed_bind_holds_nothing() {
    let mut lab = Lab::with(|setup| setup.quota = 1);
    lab.pool.failure = Some(BindFailure::Capacity);
    let mut client = Client::udp(1);
    for _ in 0..3 {
        assert_eq!(client.ask(&mut lab, Method::ALLOCATE, ALLOCATE).answer().error(), Some(508));
        assert_eq!((lab.quota.total(), lab.server.gauges().allocations), (0, 0));
    }
    assert!(
        lab.ended
            .iter()
            .all(|ended| ended.reason == EndReason::BindFailed && ended.relayed.is_empty())
    );
}

#[test]
fn h30_an_account_is_given_once_for_each_allocation() {
    let mut lab = Lab::default();
    for host in 1..=10 {
        Client::udp(host).allocate(&mut lab);
    }
    lab.pass_seconds(3600);
    assert_eq!(lab.ended.len(), 10);
}

#[test]
fn h52_allocations_that_expire_together_end_in_several_turns() {
    const COUNT: u16 = 200;
    let mut lab = Lab::with(|setup| (setup.quota, setup.ports) = (1_000, 1_000));
    for port in 1..=COUNT {
        Client::at(client(1, port), Transport::Udp).allocate(&mut lab);
    }
    lab.pass_unnoticed(Duration::from_secs(700));
    let now = lab.now();
    let mut turns = 0;
    while lab.server.gauges().allocations > 0 {
        let before = lab.server.gauges().allocations;
        lab.server.handle_timeout(now);
        let ended = before - lab.server.gauges().allocations;
        assert!(ended <= 64, "{ended} in one turn");
        assert!(
            lab.server.gauges().allocations == 0
                || lab.server.poll_timeout().is_some_and(|at| at <= now.monotonic),
            "the others are due at once"
        );
        turns += 1;
    }
    assert_eq!(turns, 4);
}

#[test]
fn h33_refreshing_again_and_again_fills_no_table() {
    for default_lifetime in [600, 2] {
        let limits = Limits { default_lifetime: Duration::from_secs(default_lifetime), ..LIMITS };
        let mut lab = Lab::with(|setup| setup.limits = limits);
        let mut client = Client::udp(1);
        client.allocate(&mut lab);
        for _ in 0..1000 {
            client.refresh(&mut lab, 3600);
            client.refresh(&mut lab, 1);
            lab.pass(Duration::from_micros(100));
        }
        assert!(lab.server.gauges().timers <= 4, "{} entries", lab.server.gauges().timers);
        lab.pass_seconds(default_lifetime);
        assert_eq!(lab.server.gauges().allocations, 0, "and it expires in time");
    }
}

#[test]
fn h33_allocations_per_source_prefix_are_limited() {
    let limits = Limits { allocations_per_prefix: 2, ..LIMITS };
    let mut lab = Lab::with(|setup| setup.limits = limits);
    let allocate = |lab: &mut Lab, from: SocketAddr| {
        Client::at(from, Transport::Udp).ask(lab, Method::ALLOCATE, ALLOCATE).answer().error()
    };
    for host in [1, 2] {
        let codes = [1, 2, 3].map(|port| allocate(&mut lab, client(host, port)));
        assert_eq!(codes, [None, None, Some(486)], "an IPv4 address");
    }
    let codes = [1, 2, 3].map(|host| allocate(&mut lab, client_v6(host, 1)));
    assert_eq!(codes, [None, None, Some(486)], "a /64: another host in it has the same prefix");
    assert_eq!(allocate(&mut lab, "[2001:db8:0:1::1]:1".parse().unwrap()), None);
    assert_eq!(lab.server.gauges().prefixes, 4);
    lab.pass_seconds(600);
    assert_eq!(lab.server.gauges().prefixes, 0);
    assert_eq!(allocate(&mut lab, client(1, 3)), None);
}

#[test]
fn h33_the_tables_of_an_allocation_are_bounded() {
    let limits = Limits { permissions_per_allocation: 16, channels_per_allocation: 8, ..LIMITS };
    let mut lab = Lab::with(|setup| setup.limits = limits);
    let mut client = Client::udp(1);
    client.allocate(&mut lab);
    for host in 1..=30 {
        client.permit(&mut lab, &[peer(host, 1)]);
        client.bind(&mut lab, 0x4000 + u16::from(host), peer(1, u16::from(host)));
        client.permit(&mut lab, &(1..=100).map(|other| peer(other, 1)).collect::<Vec<_>>());
        // A client that pauses is told each refusal.
        lab.pass_unnoticed(Duration::from_secs(3));
    }
    assert_eq!((lab.server.gauges().permissions, lab.server.gauges().channels), (16, 8));
}

#[test]
fn h35_lifetimes_are_clamped_and_expired_allocations_are_gone() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    let relayed = client.allocate(&mut lab);
    assert_eq!(client.refresh(&mut lab, u32::MAX).lifetime(), Some(3600));
    client.bind(&mut lab, 0x4000, peer(1, 1));
    lab.pass_seconds(299);
    assert!(lab.peer_sends(peer(1, 1), relayed, b"x").unwrap().to_client().is_some());
    lab.pass_seconds(1);
    assert_eq!(
        lab.peer_sends(peer(1, 2), relayed, b"x"),
        Some(Reaction::Silence(Discard::NoPermission))
    );
    lab.pass_seconds(300);
    assert_eq!(client.send_channel(&mut lab, 0x4000, b"x"), Reaction::Silence(Discard::NoChannel));
    lab.pass_seconds(60);
    assert_eq!(
        (lab.server.gauges().permissions, lab.server.gauges().channels),
        (0, 0),
        "and cleared within a minute"
    );
    lab.pass_seconds(3600);
    assert!(lab.pool.is_full());
}

#[test]
fn h23_junk_from_a_client_with_an_allocation_is_silence() {
    let (mut lab, mut client) =
        (Lab::with(|setup| setup.channels = ChannelRange::Rfc5766), Client::udp(1));
    client.allocate(&mut lab);
    let mut junk = vec![0; 65_532 + 20];
    let len = {
        let mut writer = MessageWriter::new(
            &mut junk,
            Class::Request,
            Method::REFRESH,
            client.next_transaction(),
        )
        .unwrap();
        while writer.put_raw(AttributeType(0xC001), &[0xFF; 5]).is_ok() {}
        writer.finish()
    };
    assert!(len > 65_000);
    assert_eq!(lab.client_sends(&client.five_tuple, &junk[..len]).answer().error(), Some(401));
    for cut in [0, 1, 3, 4, 19, 20, 21, len / 2, len - 1] {
        assert!(lab.client_sends(&client.five_tuple, &junk[..cut]).silence().is_some());
    }
    assert_eq!(lab.server.gauges().allocations, 1);
}

#[test]
fn h28_a_wrong_fingerprint_is_silence_for_every_client() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.fingerprint = true;
    client.allocate(&mut lab);
    let id = client.next_transaction();
    let lifetime_zero: Fill<'_> = &|w| w.put(&Lifetime(0)).map(drop);
    for mut request in [
        client.signed(id, Method::REFRESH, lifetime_zero),
        client.unsigned(id, Method::BINDING, EMPTY),
    ] {
        *request.last_mut().unwrap() ^= 1;
        assert_eq!(
            lab.client_sends(&client.five_tuple, &request),
            Reaction::Silence(Discard::Fingerprint)
        );
    }
    assert_eq!(lab.server.gauges().allocations, 1);
}

#[test]
fn h33_one_call_ends_a_bounded_number_of_allocations() {
    const MANY: u16 = 2500;
    let mut lab = Lab::with(|setup| (setup.ports, setup.quota) = (MANY, usize::from(MANY)));
    for port in 1..=MANY {
        Client::at(client(1, port), Transport::Udp).allocate(&mut lab);
    }
    lab.pass_unnoticed(Duration::from_secs(600));
    let mut calls = 0;
    while lab.server.poll_timeout().is_some_and(|due| due <= lab.now().monotonic) {
        let before = lab.server.gauges().allocations;
        lab.server.handle_timeout(lab.now());
        let ended = before - lab.server.gauges().allocations;
        assert!(ended <= 1024, "{ended} in one call, while packets wait");
        calls += 1;
        assert!(calls < 100, "each call makes progress");
    }
    lab.time_out();
    assert!(lab.pool.is_full() && lab.ended.len() == usize::from(MANY));
}
