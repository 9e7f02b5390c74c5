//! H33: a client is told of refusals a bounded number of times; a client that pauses is told each
//! time.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use causeway_auth::{NonceKey, NonceKeys};
use causeway_relay::{Command, Discard, Limits, Transport};
use causeway_tests::addresses::{client, peer};
use causeway_tests::{Client, Fill, LIMITS, Lab, Reaction, Setup};
use causeway_wire::attribute::{
    AddressFamily, AttributeType, ChannelNumberAttribute, EvenPort, Lifetime, Nonce, Realm,
    RequestedAddressFamily, RequestedTransport, ReservationToken, Username, XorPeerAddress,
};
use causeway_wire::{Class, IntegrityKey, MessageWriter, Method, TransactionId};

/// Requests in ten seconds; an ice4j agent was seen to send five times as many after a 403.
const STORM: u32 = 1_170;

const ALLOCATE: Fill<'static> = &|w| w.put(&RequestedTransport::UDP).map(drop);
const DENIED: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3)), 7);

/// The change of a test to the setup.
type Change = fn(&mut Setup);

/// Sends a storm of requests over ten seconds; the number of answers, each of which has this code.
fn storm(lab: &mut Lab, mut ask: impl FnMut(&mut Lab) -> Reaction, code: u16) -> u32 {
    let mut answered = 0;
    for _ in 0..STORM {
        match ask(lab) {
            Reaction::Answer(answer) => {
                assert_eq!(answer.error(), Some(code));
                answered += 1;
            }
            other => assert_eq!(other, Reaction::Silence(Discard::RefusalsSpent)),
        }
        lab.pass_unnoticed(Duration::from_micros(8_547));
    }
    answered
}

#[test]
fn h33_a_refused_request_that_is_repeated_without_pause_is_answered_70_times_in_ten_seconds() {
    let refused: [(&str, u16, Method, Fill<'_>); 9] = [
        ("a denied peer", 403, Method::CREATE_PERMISSION, &|w| {
            w.put(&XorPeerAddress(DENIED)).map(drop)
        }),
        ("a channel to it", 403, Method::CHANNEL_BIND, &|w| {
            w.put(&ChannelNumberAttribute(0x4000))?.put(&XorPeerAddress(DENIED)).map(drop)
        }),
        ("no peer", 400, Method::CREATE_PERMISSION, &|_| Ok(())),
        ("another family", 443, Method::CREATE_PERMISSION, &|w| {
            w.put(&XorPeerAddress("[2a02:20::1]:7".parse().unwrap())).map(drop)
        }),
        ("a family that it has not", 443, Method::REFRESH, &|w| {
            w.put(&RequestedAddressFamily(AddressFamily::Ipv6)).map(drop)
        }),
        ("too many peers", 508, Method::CREATE_PERMISSION, &|w| {
            (1..=9).try_for_each(|host| w.put(&XorPeerAddress(peer(host, 1))).map(drop))
        }),
        ("a second Allocate", 437, Method::ALLOCATE, ALLOCATE),
        ("an unknown attribute", 420, Method::REFRESH, &|w| {
            w.put_raw(AttributeType(0x7FFF), &[]).map(drop)
        }),
        ("a number of the reserved range", 400, Method::CHANNEL_BIND, &|w| {
            w.put(&ChannelNumberAttribute(0x5000))?.put(&XorPeerAddress(peer(1, 1))).map(drop)
        }),
    ];
    for (what, code, method, fill) in refused {
        for transport in [Transport::Udp, Transport::Tls] {
            let mut lab = Lab::with(|setup| {
                setup.limits = Limits { permissions_per_allocation: 8, ..LIMITS }
            });
            let mut client = Client::at(client(1, 1), transport);
            client.allocate(&mut lab);
            let answered = storm(&mut lab, |lab| client.ask_once(lab, method, fill), code);
            assert!((64..=75).contains(&answered), "{what} over {transport:?}: {answered}");
            // Requests that succeed are always answered.
            assert_eq!(client.permit(&mut lab, &[peer(1, 1)]), None, "{what}");
            assert_eq!(client.refresh(&mut lab, 600).error(), None, "{what}");
        }
    }
}

#[test]
fn h33_the_same_holds_without_an_allocation() {
    let refused: [(&str, u16, Method, Fill<'_>, Change); 7] = [
        ("no allocation", 437, Method::REFRESH, &|_| Ok(()), |_| ()),
        (
            "another transport",
            442,
            Method::ALLOCATE,
            &|w| w.put(&RequestedTransport(6)).map(drop),
            |_| (),
        ),
        ("no quota", 486, Method::ALLOCATE, ALLOCATE, |setup| setup.quota = 0),
        ("no port", 508, Method::ALLOCATE, ALLOCATE, |setup| setup.ports = 0),
        (
            "no family",
            440,
            Method::ALLOCATE,
            &|w| {
                w.put(&RequestedTransport::UDP)?
                    .put(&RequestedAddressFamily(AddressFamily::Ipv6))
                    .map(drop)
            },
            |setup| setup.families.ipv6 = false,
        ),
        (
            "two wishes",
            400,
            Method::ALLOCATE,
            &|w| {
                w.put(&RequestedTransport::UDP)?
                    .put(&EvenPort { reserve: false })?
                    .put(&ReservationToken([0; 8]))
                    .map(drop)
            },
            |_| (),
        ),
        (
            "an unknown token",
            508,
            Method::ALLOCATE,
            &|w| w.put(&RequestedTransport::UDP)?.put(&ReservationToken([0; 8])).map(drop),
            |_| (),
        ),
    ];
    for (what, code, method, fill, change) in refused {
        let mut lab = Lab::with(change);
        let mut client = Client::udp(1);
        client.fetch_nonce(&mut lab);
        let answered = storm(&mut lab, |lab| client.ask_once(lab, method, fill), code);
        assert!((64..=75).contains(&answered), "{what}: {answered}");
        // Clients of other 5-tuples have budgets of their own.
        let answered = (2..=200).filter(|host| {
            let mut other = Client::udp(*host);
            other.fetch_nonce(&mut lab);
            other.ask_once(&mut lab, method, fill).silence().is_none()
        });
        assert!(answered.count() > 190, "{what}");
    }
}

#[test]
fn h33_a_stale_nonce_that_stays_stale_is_answered_70_times_in_ten_seconds() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let (mut lab, mut client) = (Lab::default(), Client::at(client(1, 1), transport));
        client.allocate(&mut lab);
        // As behind a load balancer whose nodes do not know each other's nonces.
        lab.command(Command::SetNonceKeys(Box::new(NonceKeys::new(
            NonceKey::new(&[9; 32]),
            None,
            3600,
        ))));
        let answered = storm(
            &mut lab,
            |lab| client.ask_once(lab, Method::REFRESH, &|w| w.put(&Lifetime(600)).map(drop)),
            438,
        );
        assert!((64..=75).contains(&answered), "{transport:?}: {answered}");
        lab.pass_seconds(2);
        assert_eq!(
            client.refresh(&mut lab, 600).error(),
            None,
            "the nonce of the next 438 is valid"
        );
    }
}

#[test]
fn h33_an_expired_credential_is_told_so_70_times_in_ten_seconds() {
    let mut lab = Lab::default();
    let mut client = Client::udp(1).with_rest(b"north", lab.unix() + 100, "alice");
    client.allocate(&mut lab);
    lab.pass_seconds(101);
    let answered = storm(
        &mut lab,
        |lab| client.ask_once(lab, Method::REFRESH, &|w| w.put(&Lifetime(600)).map(drop)),
        401,
    );
    assert!((64..=75).contains(&answered), "{answered}");
}

#[test]
fn h33_honest_clients_are_never_silenced() {
    let (mut lab, mut client) = (Lab::with(|setup| setup.nonce_lifetime = 60), Client::udp(1));
    client.allocate(&mut lab);
    for _ in 0..120 {
        // pion and ice-agent ask for a refused peer eight times, every 200 ms; Chromium needs three
        // 438s for each new nonce.
        for _ in 0..8 {
            assert_eq!(client.permit(&mut lab, &[DENIED]), Some(403));
            lab.pass(Duration::from_millis(200));
        }
        for _ in 0..3 {
            client.nonce = Some("obMatJos2gAABAAAAAAAAAAAAAAA".to_owned());
            let stale = client
                .ask_once(&mut lab, Method::REFRESH, &|w| w.put(&Lifetime(600)).map(drop))
                .answer();
            assert_eq!(stale.error(), Some(438));
            client.nonce = stale.nonce();
        }
        assert_eq!(client.refresh(&mut lab, 600).error(), None);
        lab.pass_seconds(20);
    }
    for _ in 0..8 {
        for host in 1..=8 {
            assert_eq!(
                client.permit(&mut lab, &[SocketAddr::new([10, 0, 0, host].into(), 1)]),
                Some(403),
                "eight refused peers at once"
            );
        }
    }
}

#[test]
fn h11_no_stranger_spends_the_budget_of_an_allocation() {
    let (mut lab, mut alice) = (Lab::default(), Client::udp(1));
    alice.allocate(&mut lab);
    let nonces = [alice.nonce.clone().unwrap(), "obMatJos2gAABAAAAAAAAAAAAAAA".to_owned()];
    let mut forge = |fill: &dyn Fn(&mut MessageWriter<'_>)| {
        for _ in 0..1000 {
            let mut bytes = vec![0; 500];
            let mut writer = MessageWriter::new(
                &mut bytes,
                Class::Request,
                Method::REFRESH,
                TransactionId([3; 12]),
            )
            .unwrap();
            fill(&mut writer);
            let len = writer.finish();
            let _ = lab.client_sends(&alice.five_tuple, &bytes[..len]);
        }
    };
    forge(&|_| ());
    for nonce in &nonces {
        for name in ["alice", "bob", "trudy"] {
            let wrong = IntegrityKey::new(b"a guess");
            forge(&|w| {
                w.put(&Username(name))
                    .unwrap()
                    .put(&Realm("example.org"))
                    .unwrap()
                    .put(&Nonce(nonce))
                    .unwrap()
                    .integrity(&wrong)
                    .unwrap();
            });
        }
    }
    // Refusals of another user, with a valid password, count against that user.
    let mut bob = alice.clone().named("bob", "builder");
    for _ in 0..200 {
        let _ = bob.ask_once(&mut lab, Method::REFRESH, &|_| Ok(()));
    }
    for _ in 0..64 {
        assert_eq!(alice.permit(&mut lab, &[DENIED]), Some(403));
    }
}
