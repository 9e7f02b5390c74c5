//! Rows of authentication, through the server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use causeway_auth::{Known, NonceKey, NonceKeys, Refusal, RestName, RestSecret};
use causeway_relay::{Command, Transport};
use causeway_tests::addresses::{client, peer};
use causeway_tests::{Client, Fill, Lab, Setup};
use causeway_wire::attribute::{
    ChannelNumberAttribute, Lifetime, RequestedTransport, XorPeerAddress,
};
use causeway_wire::{Message, Method, TransactionId};

#[test]
fn h10_a_nonce_is_verified_without_a_table_and_by_any_worker_of_the_key() {
    let (mut first, mut second) =
        (Lab::with(|setup| setup.seed = 1), Lab::with(|setup| setup.seed = 2));
    let mut client = Client::udp(1);
    client.fetch_nonce(&mut first);
    assert_eq!(client.ask_once(&mut second, Method::ALLOCATE, ALLOCATE).answer().error(), None);
}

#[test]
fn h10_a_nonce_is_bound_to_the_address_and_not_to_the_port() {
    let mut lab = Lab::default();
    let mut first = Client::udp(1);
    first.fetch_nonce(&mut lab);
    for (host, port, transport, code) in [
        (1, 2, Transport::Udp, None),
        (1, 3, Transport::Tcp, None),
        (2, 2, Transport::Udp, Some(438)),
    ] {
        let mut other = Client::at(client(host, port), transport);
        (other.realm, other.nonce) = (first.realm.clone(), first.nonce.clone());
        assert_eq!(
            other.ask_once(&mut lab, Method::ALLOCATE, ALLOCATE).answer().error(),
            code,
            "192.0.2.{host}:{port}"
        );
    }
}

#[test]
fn h10_the_nonce_is_looked_at_before_the_user() {
    let mut lab = Lab::default();
    for (name, password) in [("alice", "wonderland"), ("alice", "guess"), ("trudy", "x")] {
        let mut client = Client::udp(1).named(name, password);
        client.fetch_nonce(&mut lab);
        client.nonce = Some("obMatJos2AAAAaaaaaaaaaaaaaaaaaaaaaaaaaaa".to_owned());
        assert_eq!(
            client.ask_once(&mut lab, Method::REFRESH, &|_| Ok(())).answer().error(),
            Some(438),
            "{name}"
        );
    }
}

#[test]
fn h16_an_expired_credential_works_no_more_at_any_request() {
    for (grace, last_good) in [(0, 100), (30, 130)] {
        let mut lab = Lab::with(|setup| setup.grace = grace);
        let mut client = Client::udp(1).with_rest(b"north", lab.unix() + 100, "alice");
        let relayed = client.allocate(&mut lab);
        client.bind(&mut lab, 0x4000, peer(1, 1));
        lab.pass_seconds(last_good);
        for (method, fill) in REQUESTS {
            assert_eq!(
                client.ask(&mut lab, method, fill).answer().error(),
                None,
                "{method:?} at {last_good} s"
            );
        }
        lab.pass_seconds(1);
        for (method, fill) in REQUESTS {
            assert_eq!(
                client.ask(&mut lab, method, fill).answer().error(),
                Some(401),
                "{method:?}"
            );
        }
        let mut another = Client::udp(2).with_rest(b"north", lab.unix() - grace - 1, "alice");
        assert_eq!(another.ask(&mut lab, Method::ALLOCATE, ALLOCATE).answer().error(), Some(401));
        assert!(
            lab.peer_sends(peer(1, 1), relayed, b"x").unwrap().to_client().is_some(),
            "permissions and channels expire by themselves"
        );
        lab.pass_seconds(900);
        assert!(lab.pool.is_full());
    }
}

#[test]
fn h16_a_new_credential_is_another_username_and_441() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1).with_rest(b"north", lab.unix() + 100, "alice");
    client.allocate(&mut lab);
    let mut renewed = client.clone().with_rest(b"north", lab.unix() + 1000, "alice");
    assert_eq!(renewed.refresh(&mut lab, 600).error(), Some(441));
}

#[test]
fn h16_a_user_removed_from_the_configuration_is_refused() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1);
    client.allocate(&mut lab);
    let password =
        |password| Setup::with(|setup| setup.users = vec![("alice", password)]).authenticator();
    lab.command(Command::SetAuthenticator(password("looking-glass")));
    for (method, fill) in REQUESTS {
        assert_eq!(client.ask(&mut lab, method, fill).answer().error(), Some(401), "{method:?}");
    }
    lab.command(Command::SetAuthenticator(password("wonderland")));
    assert_eq!(client.refresh(&mut lab, 600).error(), None);
    lab.command(Command::SetAuthenticator(
        Setup::with(|setup| setup.users.clear()).authenticator(),
    ));
    assert_eq!(client.refresh(&mut lab, 600).error(), Some(401));
}

#[test]
fn h30_the_quota_of_a_rest_user_is_counted_by_name_whatever_the_expiry() {
    let mut lab = Lab::with(|setup| setup.quota = 2);
    let codes: Vec<_> = (1..=3)
        .map(|host| {
            let expiry = lab.unix() + 1000 + u64::from(host);
            Client::udp(host)
                .with_rest(b"north", expiry, "alice")
                .ask(&mut lab, Method::ALLOCATE, ALLOCATE)
                .answer()
                .error()
        })
        .collect();
    assert_eq!((codes, lab.quota.held("alice")), (vec![None, None, Some(486)], 2));
}

#[test]
fn h30_a_rest_credential_without_a_name_is_no_user_and_prefixes_hold_it() {
    let mut lab = Lab::with(|setup| {
        setup.quota = 1;
        setup.limits.allocations_per_prefix = 3;
    });
    let mut codes = Vec::new();
    for nameless in [format!("{}", lab.unix() + 1000), format!("{}:", lab.unix() + 1000)] {
        let password = RestSecret::new(b"north").password_sha1(&nameless);
        for _ in 0..2 {
            let mut client = Client::udp(1).named(&nameless, &password);
            client.five_tuple.client.set_port(codes.len() as u16 + 1);
            codes.push(client.ask(&mut lab, Method::ALLOCATE, ALLOCATE).answer().error());
        }
    }
    assert_eq!((codes, lab.quota.total()), (vec![None, None, None, Some(486)], 0));
}

#[test]
fn rest_names_are_taken_in_the_form_that_is_configured() {
    for (form, taken) in [
        (RestName::TimeName, [true, false, true]),
        (RestName::NameTime, [false, true, true]),
        (RestName::Either, [true, true, true]),
    ] {
        let mut lab = Lab::with(|setup| setup.rest_name = form);
        let time = lab.unix() + 1000;
        for (username, is_taken) in
            [format!("{time}:carol"), format!("carol:{time}"), format!("{time}")].iter().zip(taken)
        {
            let password = RestSecret::new(b"north").password_sha1(username);
            let mut client = Client::udp(1).named(username, &password);
            let code = client.ask(&mut lab, Method::ALLOCATE, ALLOCATE).answer().error();
            assert_eq!(code.is_none(), is_taken, "{form:?}: {username}");
            if is_taken {
                assert_eq!(
                    lab.quota.held("carol"),
                    usize::from(username.contains("carol")),
                    "{form:?}: {username}"
                );
                client.refresh(&mut lab, 0);
            }
        }
    }
}

#[test]
fn refusals_differ_in_the_log_and_not_in_the_answer() {
    let mut lab = Lab::default();
    let minted = |time: u64| {
        let username = format!("{time}:carol");
        let password = RestSecret::new(b"north").password_sha1(&username);
        (username, password.to_string())
    };
    let (expired, guess) =
        (minted(lab.unix() - 1), (minted(lab.unix() + 100).0, "guess".to_owned()));
    let mut answers = Vec::new();
    for ((username, password), reason) in [
        (("dave".into(), "x".into()), "no-rest-name"),
        (expired, "expired"),
        (guess, "wrong-password"),
        (("alice".into(), "guess".into()), "wrong-password"),
    ] {
        let mut client = Client::udp(1).named(&username, &password);
        client.fetch_nonce(&mut lab);
        let request = client.signed(TransactionId([7; 12]), Method::ALLOCATE, ALLOCATE);
        let mut buffer = [0; 1500];
        let verdict =
            lab.server.handle_client(lab.now(), &client.five_tuple, &request, &mut buffer);
        let Some(respond) = verdict.respond() else { panic!("{username}: {verdict:?}") };
        assert_eq!(respond.refusal.map(Refusal::reason), Some(reason), "{username}");
        let length = respond.len;
        answers.push(buffer[..length].to_vec());
    }
    let first = answers[0].clone();
    assert!(answers.iter().all(|answer| *answer == first), "{answers:?}");
    let mut users_only = Lab::with(|setup| setup.rest_secret = b"");
    let mut client = Client::udp(1).named("dave", "x");
    client.fetch_nonce(&mut users_only);
    let request = client.signed(TransactionId([7; 12]), Method::ALLOCATE, ALLOCATE);
    let verdict = users_only.server.handle_client(
        users_only.now(),
        &client.five_tuple,
        &request,
        &mut [0; 1500],
    );
    let refusal = verdict.respond().and_then(|respond| respond.refusal);
    assert_eq!(refusal, Some(Refusal::UnknownUser));
}

#[test]
fn h34_the_username_is_compared_on_every_method() {
    let mut lab = Lab::default();
    let mut alice = Client::udp(1);
    alice.allocate(&mut lab);
    for (name, password) in [
        ("bob", "builder"),
        ("alice", "guess"),
        ("trudy", "x"),
        ("Alice", "wonderland"),
        ("alice ", "wonderland"),
    ] {
        let mut other = alice.clone().named(name, password);
        for (method, fill) in REQUESTS {
            let expected = if name == "bob" { Some(441) } else { Some(401) };
            assert_eq!(
                other.ask(&mut lab, method, fill).answer().error(),
                expected,
                "{name:?}: {method:?}"
            );
        }
    }
    assert_eq!(lab.server.gauges().permissions, 0);
}

#[test]
fn h34_an_unknown_user_takes_as_long_as_a_wrong_password() {
    let authenticator = Setup::default().authenticator();
    let mut lab = Lab::default();
    let requests = ["alice", "trudy"].map(|name| {
        let mut client = Client::udp(1).named(name, "guess");
        client.fetch_nonce(&mut lab);
        client.signed(client.clone().next_transaction(), Method::REFRESH, &|_| Ok(()))
    });
    let mut fastest = [Duration::MAX; 2];
    // The fastest of many short turns is the time of the code itself, on a busy machine, too.
    for _ in 0..2000 {
        for (request, fastest) in requests.iter().zip(&mut fastest) {
            let message = Message::decode(request).unwrap();
            let start = Instant::now();
            let refused = authenticator.authenticate(
                &message,
                client(1, 1).ip(),
                lab.unix(),
                &Known::default(),
            );
            *fastest = start.elapsed().min(*fastest);
            assert!(refused.is_err());
        }
    }
    let [wrong, unknown] = fastest.map(|time| time.as_nanos() as f64);
    assert!(
        (0.7..1.4).contains(&(unknown / wrong)),
        "wrong password {wrong} ns, unknown user {unknown} ns"
    );
}

#[test]
fn h34_wrong_password_and_unknown_user_get_the_same_answer() {
    let mut lab = Lab::default();
    let [wrong, unknown] = ["alice", "trudy"].map(|name| {
        let mut client = Client::udp(1).named(name, "guess");
        client.fetch_nonce(&mut lab);
        client.ask_once(&mut lab, Method::REFRESH, &|_| Ok(())).answer()
    });
    let [a, b] = [&wrong, &unknown].map(|answer| {
        answer.message().attributes().map(|raw| (raw.kind, raw.value.len())).collect::<Vec<_>>()
    });
    assert_eq!((wrong.error(), a), (unknown.error(), b));
}

const ALLOCATE: Fill<'static> = &|w| w.put(&RequestedTransport::UDP).map(drop);

const REQUESTS: [(Method, Fill<'static>); 3] = [
    (Method::REFRESH, &|w| w.put(&Lifetime(600)).map(drop)),
    (Method::CREATE_PERMISSION, &|w| w.put(&XorPeerAddress(peer(1, 1))).map(drop)),
    (Method::CHANNEL_BIND, &|w| {
        w.put(&ChannelNumberAttribute(0x4000))?.put(&XorPeerAddress(peer(1, 1))).map(drop)
    }),
];

#[test]
fn h10_new_nonce_keys_cost_no_client_a_challenge() {
    let keys = |current: u8, previous: u8| {
        Box::new(NonceKeys::new(
            NonceKey::new(&[current; 32]),
            Some(NonceKey::new(&[previous; 32])),
            3600,
        ))
    };
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    lab.command(Command::SetNonceKeys(keys(1, 0)));
    client.allocate(&mut lab);
    lab.command(Command::SetNonceKeys(keys(2, 1)));
    let refresh: Fill<'_> = &|w| w.put(&Lifetime(600)).map(drop);
    assert_eq!(
        client.ask_once(&mut lab, Method::REFRESH, refresh).answer().error(),
        None,
        "the previous key still verifies"
    );
    lab.command(Command::SetNonceKeys(keys(3, 2)));
    assert_eq!(client.ask_once(&mut lab, Method::REFRESH, refresh).answer().error(), Some(438));
}

#[test]
fn h16_a_rest_secret_is_valid_between_its_beginning_and_its_end_only() {
    let mut lab = Lab::default();
    let (start, end) = (lab.unix() + 100, lab.unix() + 200);
    let secret = RestSecret::new(b"south").from(Some(start)).until(Some(end));
    lab.command(Command::SetAuthenticator(Arc::new(
        Setup::default().authenticator().with_rest_secrets([secret]),
    )));
    let mut client = Client::udp(1).with_rest(b"south", lab.unix() + 1000, "alice");
    assert_eq!(
        client.ask(&mut lab, Method::ALLOCATE, ALLOCATE).answer().error(),
        Some(401),
        "its time has not begun"
    );
    lab.pass_seconds(100);
    assert_eq!(client.ask(&mut lab, Method::ALLOCATE, ALLOCATE).answer().error(), None);
    lab.pass_seconds(100);
    assert_eq!(client.refresh(&mut lab, 600).error(), None);
    lab.pass_seconds(1);
    assert_eq!(
        client.refresh(&mut lab, 600).error(),
        Some(401),
        "although the username has a later expiry"
    );
    let mut other = Client::udp(2).with_rest(b"north", lab.unix() + 1000, "bob");
    assert_eq!(
        other.ask(&mut lab, Method::ALLOCATE, ALLOCATE).answer().error(),
        None,
        "the other secret is still valid"
    );
}
