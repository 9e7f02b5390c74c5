//! Rows of users whose keys are kept elsewhere: the server asks once the address is proven, waits
//! within bounds, and revokes at once.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use causeway_auth::{Authenticator, Credential, Key, RestSecret};
use causeway_relay::{Command, Discard, KeyAnswer, Transport};
use causeway_tests::addresses::{client, peer};
use causeway_tests::{Client, Fill, Lab, REALM, Reaction};
use causeway_wire::Method;
use causeway_wire::attribute::{Lifetime, RequestedTransport, XorPeerAddress};

#[test]
fn h10_no_key_is_asked_for_before_the_nonce_was_good() {
    let mut lab = lab();
    let mut carol = carol(1);
    carol.fetch_nonce(&mut lab);
    let good = carol.nonce.clone();
    for nonce in ["obMatJos2AAAAaaaaaaaaaaaaaaaaaaaaaaaaaaa", "stale", ""] {
        carol.nonce = Some(nonce.to_owned());
        assert_eq!(
            carol.ask_once(&mut lab, Method::ALLOCATE, ALLOCATE).answer().error(),
            Some(438)
        );
    }
    carol.nonce = good;
    let mut elsewhere = carol.clone();
    elsewhere.five_tuple = Client::udp(2).five_tuple;
    assert_eq!(
        elsewhere.ask_once(&mut lab, Method::ALLOCATE, ALLOCATE).answer().error(),
        Some(438),
        "a forged source address"
    );
    lab.pass_seconds(3601);
    assert_eq!(
        carol.ask_once(&mut lab, Method::ALLOCATE, ALLOCATE).answer().error(),
        Some(438),
        "too old"
    );
    assert_eq!((lab.wanted.len(), lab.server.gauges().parked), (0, 0));
}

#[test]
fn a_user_of_the_source_is_answered_as_one_of_the_configuration_is() {
    let (mut here, mut elsewhere) = (Lab::with(|setup| setup.users.push(("carol", "sea"))), lab());
    let mut clients = [carol(1), carol(1)];
    clients[0].fetch_nonce(&mut here);
    clients[1].fetch_nonce(&mut elsewhere);
    for (method, fill) in [
        (Method::ALLOCATE, ALLOCATE),
        (Method::CREATE_PERMISSION, PERMIT),
        (Method::REFRESH, REFRESH),
    ] {
        let expected = clients[0].ask_once(&mut here, method, fill).answer();
        elsewhere.command(Command::ForgetKeys);
        assert_eq!(clients[1].ask_once(&mut elsewhere, method, fill), Reaction::Later);
        assert_eq!(
            elsewhere.key("carol", found("sea")),
            [Reaction::Answer(expected)],
            "{method:?}"
        );
    }
    assert_eq!(elsewhere.wanted, ["carol", "carol", "carol"]);
    let sent = clients[1].send(&mut elsewhere, peer(1, 1), b"x");
    assert!(sent.to_peer().is_some(), "no indication waits for a key");
}

#[test]
fn an_unknown_user_is_refused_and_so_is_a_wrong_password() {
    let mut lab = lab();
    let mut unknown = Client::udp(1).named("trudy", "x");
    assert_eq!(unknown.ask(&mut lab, Method::ALLOCATE, ALLOCATE), Reaction::Later);
    assert_eq!(codes(lab.key("trudy", KeyAnswer::Unknown)), [Some(401)]);
    assert_eq!(
        unknown.ask(&mut lab, Method::ALLOCATE, ALLOCATE).answer().error(),
        Some(401),
        "remembered"
    );
    lab.pass_seconds(6);
    assert_eq!(
        unknown.ask(&mut lab, Method::ALLOCATE, ALLOCATE),
        Reaction::Later,
        "for a short while"
    );

    let mut guess = carol(2).named("carol", "guess");
    assert_eq!(guess.ask(&mut lab, Method::ALLOCATE, ALLOCATE), Reaction::Later);
    assert_eq!(codes(lab.key("carol", found("sea"))), [Some(401)]);
    assert_eq!(lab.wanted, ["trudy", "trudy", "carol"]);
}

#[test]
fn a_key_is_asked_for_once_however_many_wait_for_it() {
    let mut lab = lab();
    let mut clients: Vec<_> = (1..=20).map(carol).collect();
    for carol in &mut clients {
        assert_eq!(carol.ask(&mut lab, Method::ALLOCATE, ALLOCATE), Reaction::Later);
    }
    assert_eq!((lab.wanted.len(), lab.server.gauges().parked), (1, 20));
    assert_eq!(codes(lab.key("carol", found("sea"))), [None; 20]);
    assert_eq!((lab.server.gauges().parked, lab.server.gauges().allocations), (0, 20));
    lab.pass_seconds(29);
    assert_eq!(clients[0].refresh(&mut lab, 600).error(), None);
    assert_eq!(lab.wanted.len(), 1, "the answer is remembered");
    lab.pass_seconds(2);
    assert_eq!(
        clients[0].ask(&mut lab, Method::REFRESH, REFRESH),
        Reaction::Later,
        "for half a minute"
    );
}

#[test]
fn h33_one_request_of_a_5_tuple_and_1024_of_all_wait_at_the_most() {
    let mut lab = lab_without_limiter();
    let mut first = carol(1);
    assert_eq!(first.ask(&mut lab, Method::ALLOCATE, ALLOCATE), Reaction::Later);
    let again = first.ask(&mut lab, Method::ALLOCATE, ALLOCATE);
    assert_eq!(
        (again.silence(), lab.server.gauges().parked),
        (Some(Discard::KeyPending), 1),
        "one request a 5-tuple"
    );
    for number in 1..1100u16 {
        let source =
            SocketAddr::new(Ipv4Addr::from_bits(0x6440_0000 | u32::from(number) << 4).into(), 1000);
        let mut other = Client::at(source, Transport::Udp).named(&format!("user-{number}"), "x");
        let reaction = other.ask(&mut lab, Method::ALLOCATE, ALLOCATE);
        assert_eq!(reaction == Reaction::Later, number < 1024, "{number}: {reaction:?}");
        assert_eq!(reaction.silence().is_some(), number >= 1024);
    }
    assert_eq!(
        (lab.wanted.len(), lab.server.gauges().parked),
        (1024, 1024),
        "and no other key is asked for"
    );
    // Users of the configuration do not wait.
    Client::at(client(1, 9), Transport::Udp).allocate(&mut lab);

    lab.pass(Duration::from_millis(1999));
    assert_eq!(lab.server.gauges().parked, 1024);
    assert!(lab.server.poll_timeout().is_some_and(|due| due <= Duration::from_secs(2)));
    lab.pass(Duration::from_millis(1));
    let dropped = lab.parked();
    assert!(
        dropped.len() == 1024
            && dropped.iter().all(|reaction| reaction.silence() == Some(Discard::KeyUnavailable))
    );
    assert_eq!(lab.server.gauges().parked, 0);
    assert_eq!(
        codes(lab.key("carol", found("sea"))),
        [],
        "an answer that comes too late serves the retransmission"
    );
    assert_eq!(first.ask(&mut lab, Method::ALLOCATE, ALLOCATE).answer().error(), None);
}

#[test]
fn h45_requests_of_one_connection_wait_together_since_nothing_is_sent_again_there() {
    let mut lab = lab();
    let mut carol = Client::tcp(1).named("carol", "sea");
    carol.fetch_nonce(&mut lab);
    assert_eq!(carol.ask_once(&mut lab, Method::ALLOCATE, ALLOCATE), Reaction::Later);
    assert_eq!(codes(lab.key("carol", found("sea"))), [None]);
    lab.command(Command::ForgetKeys);
    let requests = [
        (Method::CREATE_PERMISSION, PERMIT),
        (Method::REFRESH, REFRESH),
        (Method::CREATE_PERMISSION, PERMIT),
    ];
    for (method, fill) in requests {
        assert_eq!(carol.ask_once(&mut lab, method, fill), Reaction::Later);
    }
    assert_eq!(lab.wanted.len(), 2, "and are asked for once");
    let answers: Vec<_> = lab
        .key("carol", found("sea"))
        .into_iter()
        .map(|reaction| reaction.answer().method())
        .collect();
    assert_eq!(answers, requests.map(|(method, _)| method), "in their order");
    lab.command(Command::ForgetKeys);
    for number in 1..=10 {
        let waits = carol.ask_once(&mut lab, Method::REFRESH, REFRESH) == Reaction::Later;
        assert_eq!(waits, number <= 8);
    }
    lab.command(Command::ClientGone(carol.five_tuple));
    assert_eq!(lab.server.gauges().parked, 0);
}

#[test]
fn h33_a_request_that_is_longer_than_a_datagram_is_not_kept() {
    let mut lab = lab();
    let mut long = Client::tcp(1).named("carol", "sea");
    let padded: Fill<'_> = &|w| {
        w.put(&RequestedTransport::UDP)?.put(&causeway_wire::attribute::Data(&[0; 1500])).map(drop)
    };
    assert_eq!(long.ask(&mut lab, Method::ALLOCATE, padded).silence(), Some(Discard::KeyPending));
    assert_eq!((lab.wanted.len(), lab.server.gauges().parked), (0, 0));
}

#[test]
fn a_revoked_user_is_stopped_at_the_next_request() {
    let mut lab = lab();
    let mut carol = carol(1);
    carol.ask(&mut lab, Method::ALLOCATE, ALLOCATE);
    assert_eq!(codes(lab.key("carol", found("sea"))), [None]);
    assert_eq!(carol.refresh(&mut lab, 600).error(), None);
    lab.command(Command::ForgetKeys);
    for (method, fill) in [(Method::REFRESH, REFRESH), (Method::CREATE_PERMISSION, PERMIT)] {
        assert_eq!(
            carol.ask(&mut lab, method, fill),
            Reaction::Later,
            "{method:?}: not even for its own allocation"
        );
        assert_eq!(codes(lab.key("carol", KeyAnswer::Unknown)), [Some(401)]);
        lab.command(Command::ForgetKeys);
    }
    carol.ask(&mut lab, Method::REFRESH, REFRESH);
    assert_eq!(codes(lab.key("carol", found("changed"))), [Some(401)], "another password");
    let mut changed = carol.clone().named("carol", "changed");
    assert_eq!(changed.refresh(&mut lab, 600).error(), None);
}

#[test]
fn h45_no_call_dies_with_the_store_and_new_users_are_refused() {
    let mut lab = lab();
    let mut carol = carol(1);
    carol.ask(&mut lab, Method::ALLOCATE, ALLOCATE);
    lab.key("carol", found("sea"));
    lab.pass_seconds(60);
    assert_eq!(carol.ask(&mut lab, Method::REFRESH, REFRESH), Reaction::Later);
    assert_eq!(codes(lab.key("carol", KeyAnswer::Unavailable)), [None], "an existing call goes on");
    assert_eq!(carol.ask(&mut lab, Method::REFRESH, REFRESH), Reaction::Later);
    lab.pass_seconds(2);
    assert_eq!(codes(lab.parked()), [None], "also when the source never answers");

    let mut guess = carol.clone().named("carol", "guess");
    guess.ask(&mut lab, Method::REFRESH, REFRESH);
    assert_eq!(codes(lab.key("carol", KeyAnswer::Unavailable)), [Some(401)]);
    let mut dave = Client::udp(2).named("dave", "x");
    assert_eq!(dave.ask(&mut lab, Method::ALLOCATE, ALLOCATE), Reaction::Later);
    assert_eq!(
        lab.key("dave", KeyAnswer::Unavailable),
        [Reaction::Silence(Discard::KeyUnavailable)]
    );
    assert_eq!(dave.ask(&mut lab, Method::ALLOCATE, ALLOCATE), Reaction::Later, "asked for again");
    assert_eq!(lab.wanted.iter().filter(|name| *name == "dave").count(), 2);
}

#[test]
fn h30_a_client_that_goes_between_the_key_and_the_answer_gets_no_allocation() {
    let mut lab = lab();
    let mut carol = Client::tcp(1).named("carol", "sea");
    assert_eq!(carol.ask(&mut lab, Method::ALLOCATE, ALLOCATE), Reaction::Later);
    lab.server.handle_key(lab.now(), "carol", found("sea"));
    lab.command(Command::ClientGone(carol.five_tuple));
    assert_eq!(lab.parked(), []);
    assert_eq!((lab.server.gauges().allocations, lab.server.gauges().parked), (0, 0));
}

#[test]
fn h30_a_client_that_is_gone_gets_no_allocation_afterwards() {
    let mut lab = lab();
    let mut gone = Client::tcp(1).named("carol", "sea");
    gone.ask(&mut lab, Method::ALLOCATE, ALLOCATE);
    lab.command(Command::ClientGone(gone.five_tuple));
    assert_eq!(codes(lab.key("carol", found("sea"))), []);
    assert_eq!((lab.server.gauges().allocations, lab.server.gauges().parked), (0, 0));
}

#[test]
fn a_credential_that_ends_is_asked_for_and_ends() {
    let mut lab = lab();
    let until = lab.unix() + 10;
    let key = Key::long_term_md5("carol", REALM, "sea");
    let mut carol = carol(1);
    carol.ask(&mut lab, Method::ALLOCATE, ALLOCATE);
    assert_eq!(
        codes(lab.key(
            "carol",
            KeyAnswer::Found(Arc::new(Credential::expiring("carol", 0..5, key, until)))
        )),
        [None]
    );
    lab.pass_seconds(10);
    assert_eq!(carol.refresh(&mut lab, 600).error(), None);
    lab.pass_seconds(1);
    assert_eq!(carol.refresh(&mut lab, 600).error(), Some(401), "h16");
}

#[test]
fn h33_a_client_with_many_ports_keeps_no_other_client_out() {
    for (flood, one_client) in [("one address", 0), ("a /24", 1), ("a /64", 2), ("a /48", 3)] {
        let mut lab = lab_without_limiter();
        let mut parked = 0;
        for number in 0..3000u32 {
            let port = 1000 + number as u16;
            let source: SocketAddr = match one_client {
                0 => client(1, port),
                1 => SocketAddr::new([198, 51, 100, number as u8].into(), port),
                2 => SocketAddr::new(
                    Ipv6Addr::from_bits(0x2a02 << 112 | u128::from(number)).into(),
                    port,
                ),
                _ => SocketAddr::new(
                    Ipv6Addr::from_bits(0x2a02 << 112 | u128::from(number) << 64).into(),
                    port,
                ),
            };
            let mut mallory =
                Client::at(source, Transport::Udp).named(&format!("unknown-{number}"), "x");
            parked +=
                u32::from(mallory.ask(&mut lab, Method::ALLOCATE, ALLOCATE) == Reaction::Later);
        }
        assert!((64..=256).contains(&parked), "{flood}: {parked}");
        for mut carol in [carol(200), Client::udp_v6(7).named("carol", "sea")] {
            assert_eq!(carol.ask(&mut lab, Method::ALLOCATE, ALLOCATE), Reaction::Later, "{flood}");
            assert_eq!(codes(lab.key("carol", found("sea"))), [None], "{flood}");
            lab.command(Command::ForgetKeys);
        }
        // Its share is free again.
        lab.pass_seconds(3);
        assert_eq!((lab.parked().len() as u32, lab.server.gauges().parked), (parked, 0), "{flood}");
    }
}

#[test]
fn an_answer_for_another_user_is_ignored() {
    let mut lab = lab();
    let mut mallory = Client::udp(1).named("mallory", "sea");
    mallory.ask(&mut lab, Method::ALLOCATE, ALLOCATE);
    assert_eq!(lab.key("mallory", found("sea")), [Reaction::Silence(Discard::KeyUnavailable)]);
    assert_eq!(lab.key("never asked", KeyAnswer::Unknown), []);
}

#[test]
fn a_removed_rest_secret_revokes_its_credentials() {
    let mut lab = lab();
    let before: Arc<Authenticator> = lab.setup.authenticator();
    let mut client = Client::udp(1).with_rest(b"south", lab.unix() + 1000, "erin");
    assert_eq!(client.ask(&mut lab, Method::ALLOCATE, ALLOCATE).answer().error(), Some(401));
    lab.command(Command::SetAuthenticator(Arc::new(
        before.with_rest_secrets([RestSecret::new(b"south")]),
    )));
    client.allocate(&mut lab);
    assert_eq!(client.refresh(&mut lab, 600).error(), None);
    lab.command(Command::SetAuthenticator(before));
    assert_eq!(client.refresh(&mut lab, 600).error(), Some(401), "not even for its own allocation");
}

fn lab() -> Lab {
    Lab::with(|setup| (setup.further_source, setup.limits.allocations_per_prefix) = (true, 1000))
}

fn lab_without_limiter() -> Lab {
    Lab::with(|setup| {
        (setup.further_source, setup.limits.allocations_per_prefix, setup.unauthenticated) =
            (true, 1000, None);
    })
}

/// A client of a user of the source, at `192.0.2.host`.
fn carol(host: u8) -> Client {
    Client::udp(host).named("carol", "sea")
}

fn found(password: &str) -> KeyAnswer {
    KeyAnswer::Found(Arc::new(Credential::new(
        "carol",
        Key::long_term_md5("carol", REALM, password),
    )))
}

fn codes(reactions: Vec<Reaction>) -> Vec<Option<u16>> {
    reactions.into_iter().map(|reaction| reaction.answer().error()).collect()
}

const ALLOCATE: Fill<'static> = &|w| w.put(&RequestedTransport::UDP).map(drop);
const PERMIT: Fill<'static> = &|w| w.put(&XorPeerAddress(peer(1, 1))).map(drop);
const REFRESH: Fill<'static> = &|w| w.put(&Lifetime(600)).map(drop);
