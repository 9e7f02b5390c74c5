//! RFC 8489 §9.2: long-term credentials, as a server checks them.

use causeway_auth::Key;
use causeway_relay::Transport;
use causeway_tests::addresses::client;
use causeway_tests::{Answer, Client, Lab, REALM};
use causeway_wire::attribute::{AttributeType, Lifetime, Nonce, Realm, Userhash, Username};
use causeway_wire::{Class, IntegrityKey, MessageWriter, Method, TransactionId};

#[test]
fn rfc8489_9_2_4_without_integrity_it_is_401_with_realm_and_nonce() {
    let (mut lab, client) = (Lab::default(), Client::udp(1));
    let answer = ask(&mut lab, &client, |_| {});
    challenges(&answer, 401);
}

#[test]
fn rfc8489_9_2_4_credentials_without_integrity_are_none() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.fetch_nonce(&mut lab);
    let nonce = client.nonce.clone().unwrap();
    let answer = ask(&mut lab, &client, |w| put(w, Some("alice"), Some(REALM), Some(&nonce)));
    challenges(&answer, 401);
}

#[test]
fn rfc8489_14_10_the_nonce_begins_with_the_cookie_and_is_short() {
    let (mut lab, client) = (Lab::default(), Client::udp(1));
    let nonce = ask(&mut lab, &client, |_| {}).nonce().unwrap();
    assert!(nonce.starts_with("obMatJos2") && nonce.len() < 128);
    assert!(
        nonce.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'),
        "qdtext"
    );
}

#[test]
fn rfc8489_9_2_4_no_two_requests_get_the_same_nonce() {
    let mut lab = Lab::default();
    let mut nonces = Vec::new();
    for host in 1..=20 {
        for port in 1..=20 {
            let client = Client::at(client(host, port), Transport::Udp);
            nonces.push(ask(&mut lab, &client, |_| {}).nonce().unwrap());
        }
    }
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), 400);
}

#[test]
fn rfc8489_9_2_4_with_integrity_but_without_the_rest_it_is_400() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.fetch_nonce(&mut lab);
    let (key, nonce) = (client.key(), client.nonce.clone().unwrap());
    let full = [Some("alice"), Some(REALM), Some(&*nonce)];
    for missing in 0..3 {
        let mut given = full;
        given[missing] = None;
        let answer = ask(&mut lab, &client, |w| {
            put(w, given[0], given[1], given[2]);
            w.integrity(&key).unwrap();
        });
        assert_eq!(answer.error(), Some(400), "without number {missing}");
        assert!(answer.is_unsigned());
        for kind in [
            AttributeType::REALM,
            AttributeType::NONCE,
            AttributeType::USERNAME,
            AttributeType::USERHASH,
        ] {
            assert!(!answer.has(kind), "{kind:?}");
        }
    }
}

#[test]
fn rfc8489_9_2_4_malformed_credentials_are_400() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.fetch_nonce(&mut lab);
    let (key, nonce) = (client.key(), client.nonce.clone().unwrap());
    for kind in [AttributeType::USERNAME, AttributeType::REALM, AttributeType::NONCE] {
        for value in [&[0xFF, 0xFE][..], &[b'a'; 764]] {
            let answer = ask(&mut lab, &client, |w| {
                w.put_raw(kind, value).unwrap();
                put(w, Some("alice"), Some(REALM), Some(&nonce));
                w.integrity(&key).unwrap();
            });
            assert_eq!(answer.error(), Some(400), "{kind:?}");
        }
    }
}

#[test]
fn rfc8489_14_3_a_username_of_763_bytes_is_read() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client = client.named(&"ä".repeat(381), "x");
    client.fetch_nonce(&mut lab);
    let answer = client.ask_once(&mut lab, Method::REFRESH, &|_| Ok(())).answer();
    challenges(&answer, 401);
}

#[test]
fn rfc8489_9_2_4_an_unknown_user_is_401_with_realm_and_nonce() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1).named("trudy", "x"));
    client.fetch_nonce(&mut lab);
    challenges(&client.ask_once(&mut lab, Method::REFRESH, &|_| Ok(())).answer(), 401);
}

#[test]
fn rfc8489_9_2_4_a_wrong_password_is_401_with_realm_and_nonce() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1).named("alice", "looking-glass"));
    client.fetch_nonce(&mut lab);
    challenges(&client.ask_once(&mut lab, Method::REFRESH, &|_| Ok(())).answer(), 401);
}

#[test]
fn rfc8489_9_2_4_a_message_that_was_changed_is_401() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.allocate(&mut lab);
    let id = client.next_transaction();
    let request = client.signed(id, Method::REFRESH, &|w| w.put(&Lifetime(0)).map(drop));
    for at in [20 + 7, 8, 15, request.len() - 1, request.len() - 20] {
        let mut changed = request.clone();
        changed[at] ^= 1;
        assert_eq!(
            lab.client_sends(&client.five_tuple, &changed).answer().error(),
            Some(401),
            "byte {at}"
        );
    }
    assert_eq!(lab.server.gauges().allocations, 1);
}

#[test]
fn rfc8489_9_2_4_another_realm_is_401() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.fetch_nonce(&mut lab);
    client.realm = Some("example.com".to_owned());
    let answer = client.ask_once(&mut lab, Method::REFRESH, &|_| Ok(())).answer();
    challenges(&answer, 401);
    assert_eq!(answer.realm().as_deref(), Some(REALM), "the answer has the right realm");
}

#[test]
fn rfc8489_9_2_4_a_userhash_that_was_not_offered_is_no_user_of_ours() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.fetch_nonce(&mut lab);
    let (key, nonce) = (client.key(), client.nonce.clone().unwrap());
    let answer = ask(&mut lab, &client, |w| {
        w.put(&Userhash([1; 32])).unwrap();
        put(w, None, Some(REALM), Some(&nonce));
        w.integrity(&key).unwrap();
    });
    challenges(&answer, 401);
}

#[test]
fn rfc8489_9_2_4_a_stale_nonce_is_438_and_the_new_one_is_valid() {
    let (mut lab, mut client) = (Lab::with(|setup| setup.nonce_lifetime = 600), Client::udp(1));
    client.allocate(&mut lab);
    client.refresh(&mut lab, 3600);
    lab.pass_seconds(600);
    assert_eq!(
        client
            .ask_once(&mut lab, Method::REFRESH, &|w| w.put(&Lifetime(3600)).map(drop))
            .answer()
            .error(),
        None
    );
    lab.pass_seconds(1);
    let stale = client.ask_once(&mut lab, Method::REFRESH, &|_| Ok(())).answer();
    challenges(&stale, 438);
    client.nonce = stale.nonce();
    assert_eq!(client.ask_once(&mut lab, Method::REFRESH, &|_| Ok(())).answer().error(), None);
}

#[test]
fn rfc8489_9_2_4_a_stale_nonce_harms_neither_the_allocation_nor_the_data() {
    let (mut lab, mut client) = (Lab::with(|setup| setup.nonce_lifetime = 60), Client::udp(1));
    let relayed = client.allocate(&mut lab);
    let peer = causeway_tests::addresses::peer(1, 1);
    client.bind(&mut lab, 0x4000, peer);
    lab.pass_seconds(100);
    assert!(client.send_channel(&mut lab, 0x4000, b"x").to_peer().is_some());
    assert!(lab.peer_sends(peer, relayed, b"x").unwrap().to_client().is_some());
    assert_eq!(client.refresh(&mut lab, 600).error(), None, "after one 438");
}

#[test]
fn rfc8489_9_2_4_a_nonce_that_is_not_ours_is_438() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.fetch_nonce(&mut lab);
    for nonce in
        ["", "x", "obMatJos2AAAA", "obMatJos2AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &"n".repeat(763)]
    {
        client.nonce = Some(nonce.to_owned());
        challenges(&client.ask_once(&mut lab, Method::REFRESH, &|_| Ok(())).answer(), 438);
    }
}

#[test]
fn rfc8489_9_2_4_answers_to_who_is_let_in_carry_integrity_but_no_credentials() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.allocate(&mut lab);
    let answers = [
        client.refresh(&mut lab, 600),
        client.ask(&mut lab, Method::ALLOCATE, &|_| Ok(())).answer(),
        client.ask(&mut lab, Method::CREATE_PERMISSION, &|_| Ok(())).answer(),
        client
            .ask(&mut lab, Method::REFRESH, &|w| w.put_raw(AttributeType(0x7FFF), &[]).map(drop))
            .answer(),
        client.refresh(&mut lab, 0),
        client.refresh(&mut lab, 0),
    ];
    assert_eq!(
        answers.each_ref().map(Answer::error),
        [None, Some(437), Some(400), Some(420), None, Some(437)]
    );
    for answer in answers {
        assert!(answer.is_signed_with(&client.key()), "{:?}", answer.error());
        for kind in [
            AttributeType::REALM,
            AttributeType::NONCE,
            AttributeType::USERNAME,
            AttributeType::USERHASH,
        ] {
            assert!(!answer.has(kind), "{kind:?} in {:?}", answer.error());
        }
    }
}

#[test]
fn rfc8489_9_2_4_a_sha256_integrity_is_checked_where_it_is_there() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.allocate(&mut lab);
    let (key, nonce) = (client.key(), client.nonce.clone().unwrap());
    let wrong = IntegrityKey::new(b"wrong");
    for (sha1, sha256, code) in [
        (None, Some(&key), None),
        (None, Some(&wrong), Some(401)),
        (Some(&key), Some(&wrong), Some(401)),
        (Some(&wrong), Some(&key), None),
    ] {
        let answer = ask(&mut lab, &client, |w| {
            put(w, Some("alice"), Some(REALM), Some(&nonce));
            sha1.map(|key| w.integrity(key).map(drop)).transpose().unwrap();
            sha256.map(|key| w.integrity_sha256(key).map(drop)).transpose().unwrap();
        });
        assert_eq!(answer.error(), code);
    }
}

#[test]
fn rfc8489_9_2_4_without_password_algorithm_the_answer_has_message_integrity() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.allocate(&mut lab);
    let (key, nonce) = (client.key(), client.nonce.clone().unwrap());
    let answer = ask(&mut lab, &client, |w| {
        put(w, Some("alice"), Some(REALM), Some(&nonce));
        w.integrity_sha256(&key).unwrap();
    });
    assert!(
        answer.error().is_none() && answer.is_signed_with(&key),
        "processed as though PASSWORD-ALGORITHM were MD5"
    );
}

#[test]
fn rfc8489_9_attributes_behind_the_integrity_are_ignored() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.allocate(&mut lab);
    let (key, nonce) = (client.key(), client.nonce.clone().unwrap());
    let answer = ask(&mut lab, &client, |w| {
        put(w, Some("alice"), Some(REALM), Some(&nonce));
        w.integrity(&key).unwrap();
        w.put(&Lifetime(0)).unwrap().put_raw(AttributeType(0x7FFF), &[]).unwrap();
    });
    assert_eq!((answer.error(), answer.lifetime()), (None, Some(600)), "neither deleted nor 420");
    assert_eq!(lab.server.gauges().allocations, 1);
}

#[test]
fn rfc8489_9_2_credentials_behind_the_integrity_do_not_count() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.fetch_nonce(&mut lab);
    let (key, nonce) = (client.key(), client.nonce.clone().unwrap());
    let answer = ask(&mut lab, &client, |w| {
        w.integrity(&key).unwrap();
        put(w, Some("alice"), Some(REALM), Some(&nonce));
    });
    assert_eq!(answer.error(), Some(400));
}

#[test]
fn rfc8489_9_2_2_the_key_is_md5_over_username_realm_and_password() {
    let lab = &mut Lab::with(|setup| setup.users = vec![("a:b", "c:d")]);
    let mut client = Client::udp(1).named("a:b", "c:d");
    client.allocate(lab);
    let key = Key::long_term_md5("a:b", REALM, "c:d");
    assert!(client.refresh(lab, 600).is_signed_with(&key.integrity_key()));
}

/// Asserts the common content of a 401 and a 438.
#[track_caller]
fn challenges(answer: &Answer, code: u16) {
    assert_eq!((answer.error(), answer.realm().as_deref()), (Some(code), Some(REALM)));
    assert!(answer.nonce().is_some_and(|nonce| nonce.starts_with("obMatJos2")));
    assert!(answer.is_unsigned());
    assert!(!answer.has(AttributeType::USERNAME) && !answer.has(AttributeType::USERHASH));
}

fn put(
    w: &mut MessageWriter<'_>,
    username: Option<&str>,
    realm: Option<&str>,
    nonce: Option<&str>,
) {
    username.map(|username| w.put(&Username(username)).map(drop)).transpose().unwrap();
    realm.map(|realm| w.put(&Realm(realm)).map(drop)).transpose().unwrap();
    nonce.map(|nonce| w.put(&Nonce(nonce)).map(drop)).transpose().unwrap();
}

/// A Refresh with what `fill` writes.
fn ask(lab: &mut Lab, client: &Client, fill: impl FnOnce(&mut MessageWriter<'_>)) -> Answer {
    let mut bytes = vec![0; 4096];
    let mut writer =
        MessageWriter::new(&mut bytes, Class::Request, Method::REFRESH, TransactionId([3; 12]))
            .unwrap();
    fill(&mut writer);
    let len = writer.finish();
    lab.client_sends(&client.five_tuple, &bytes[..len]).answer()
}
