//! Rows of the limiter: requests without credentials, and floods of them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use causeway_auth::LimiterSettings;
use causeway_relay::{Discard, Transport, challenge_is_modest};
use causeway_tests::addresses::client;
use causeway_tests::{Client, Fill, Lab, Reaction, Setup};
use causeway_wire::attribute::{AttributeType, RequestedTransport};
use causeway_wire::{Method, TransactionId};

const ALLOCATE: Fill<'static> = &|w| w.put(&RequestedTransport::UDP).map(drop);

/// Sends datagrams from forged addresses, 20,000 a second; bytes on the wire in and out.
fn flood(lab: &mut Lab, source: impl Fn(u32) -> SocketAddr, method: Method) -> (usize, usize) {
    let (mut bytes_in, mut bytes_out) = (0, 0);
    let fill: Fill<'_> = if method == Method::ALLOCATE { ALLOCATE } else { &|_| Ok(()) };
    for number in 0..70_000 {
        let client = Client::at(source(number), Transport::Udp);
        let around = if client.five_tuple.client.is_ipv4() { 28 } else { 48 };
        let request = client.unsigned(TransactionId([7; 12]), method, fill);
        bytes_in += request.len() + around;
        match lab.client_sends(&client.five_tuple, &request) {
            Reaction::Answer(answer) => bytes_out += answer.bytes.len() + around,
            other => assert_eq!(other, Reaction::Silence(Discard::RateLimited)),
        }
        lab.pass_unnoticed(Duration::from_micros(50));
    }
    (bytes_in, bytes_out)
}

#[test]
fn h11_a_forged_flood_is_answered_with_fewer_bytes_than_it_brought() {
    let scattered = |number: u32| number.wrapping_mul(2_654_435_761);
    let one_net =
        |number: u32| SocketAddr::new([192, 0, 2, number as u8].into(), number as u16 | 1);
    let anywhere =
        move |number: u32| SocketAddr::new(Ipv4Addr::from_bits(scattered(number)).into(), 5000);
    let anywhere_v6 = move |number: u32| {
        SocketAddr::new(
            Ipv6Addr::from_bits(0x2a02 << 112 | u128::from(scattered(number)) << 64).into(),
            5000,
        )
    };
    for method in [Method::ALLOCATE, Method::BINDING] {
        for (name, (bytes_in, bytes_out)) in [
            ("one /24", flood(&mut Lab::default(), one_net, method)),
            ("many /16", flood(&mut Lab::default(), anywhere, method)),
            ("many /48", flood(&mut Lab::default(), anywhere_v6, method)),
        ] {
            assert!(
                bytes_out <= bytes_in,
                "{name}: {method:?}: {bytes_in} bytes in, {bytes_out} out"
            );
            assert!(
                bytes_out > bytes_in / 2,
                "{name}: {method:?}: answers continue up to the limit"
            );
        }
    }
}

#[test]
fn h11_a_client_with_a_nonce_or_a_connection_is_never_limited() {
    let mut lab =
        Lab::with(|setup| setup.unauthenticated = Some(LimiterSettings { burst: 0, rate: 0 }));
    let mut alice = Client::udp(1);
    alice.allocate(&mut lab);
    let mut guessing = alice.clone().named("alice", "guess");
    let stranger = Client::at(client(1, 7), Transport::Udp);
    let mut silent = 0;
    for number in 0..2000 {
        let first = lab.client_sends(
            &stranger.five_tuple,
            &stranger.unsigned(TransactionId([7; 12]), Method::ALLOCATE, ALLOCATE),
        );
        silent += u32::from(first == Reaction::Silence(Discard::RateLimited));
        assert_eq!(alice.refresh(&mut lab, 600).error(), None, "{number}: it has logged in");
        assert_eq!(
            guessing.refresh(&mut lab, 600).error(),
            Some(401),
            "{number}: its address is proven"
        );
        for transport in [Transport::Tcp, Transport::Tls, Transport::Dtls] {
            let connected = Client::at(client(9, 7), transport);
            let answer = lab.client_sends(
                &connected.five_tuple,
                &connected.unsigned(TransactionId([7; 12]), Method::ALLOCATE, ALLOCATE),
            );
            assert_eq!(answer.answer().error(), Some(401), "{number}: {transport:?}");
        }
    }
    assert_eq!(silent, 0, "a client that logs in pays for its neighbours");
    let elsewhere = Client::at(client(2, 7), Transport::Udp);
    let answers = (0..2000).filter(|_| {
        let answer = lab.client_sends(
            &elsewhere.five_tuple,
            &elsewhere.unsigned(TransactionId([7; 12]), Method::BINDING, &|_| Ok(())),
        );
        answer != Reaction::Silence(Discard::RateLimited)
    });
    assert!((1000..1600).contains(&answers.count()), "the limiter was active");
}

#[test]
fn h11_a_stale_or_a_foreign_nonce_is_limited() {
    let mut lab =
        Lab::with(|setup| setup.unauthenticated = Some(LimiterSettings { burst: 0, rate: 0 }));
    let mut client = Client::udp(1);
    (client.realm, client.nonce) =
        (Some("example.org".to_owned()), Some("obMatJos2gAABAAAAAAAAAAAAAAA".to_owned()));
    let codes: Vec<_> = (0..200)
        .map(|_| match client.ask_once(&mut lab, Method::REFRESH, &|_| Ok(())) {
            Reaction::Answer(answer) => answer.error(),
            other => {
                assert_eq!(other, Reaction::Silence(Discard::RateLimited));
                None
            }
        })
        .collect();
    let answered = codes.iter().filter(|code| **code == Some(438)).count();
    assert!(
        (100..200).contains(&answered) && codes.iter().all(|code| matches!(code, Some(438) | None)),
        "{answered}"
    );
}

#[test]
fn h11_a_challenge_with_the_list_keeps_its_size_for_every_realm_that_is_not_warned_of() {
    for length in 1..=127 {
        let realm: &'static str = "r".repeat(length).leak();
        let modest = challenge_is_modest(&Setup::with(|setup| setup.realm = realm).authenticator());
        assert_eq!(modest, length <= 40, "{length}");
        let mut lab = Lab::with(|setup| setup.realm = realm);
        let first = Client::udp(1);
        let mut factor = |method, fill| {
            let request = first.unsigned(TransactionId([7; 12]), method, fill);
            match lab.client_sends(&first.five_tuple, &request) {
                Reaction::Answer(answer) => {
                    assert!(answer.has(AttributeType::PASSWORD_ALGORITHMS));
                    (answer.bytes.len() + 28) as f64 / (request.len() + 28) as f64
                }
                other => {
                    assert_eq!(other, Reaction::Silence(Discard::RateLimited));
                    0.0
                }
            }
        };
        let (allocate, bare) =
            (factor(Method::ALLOCATE, ALLOCATE), factor(Method::REFRESH, &|_| Ok(())));
        assert!(allocate > 0.0, "a first Allocate is answered in every realm");
        assert_eq!(allocate <= 2.6, modest, "{length}: {allocate:.2}");
        assert!(bare <= 2.6 && (bare > 0.0) == (length <= 20), "{length}: {bare:.2}");
    }
}
