//! RFC 8489 §18.1: clients count the bits of the nonce cookie from the left, as the text says, or
//! from the right (erratum 6290), or do not know the cookie. All of them log in, with whatever
//! features the server offers.

use causeway_auth::{Algorithm, Key, userhash};
use causeway_tests::{Answer, Client, Lab, REALM, Setup};
use causeway_wire::attribute::{
    AttributeType, Nonce as OurNonce, PasswordAlgorithm as OurAlgorithm, PasswordAlgorithmEntry,
    Realm as OurRealm, Userhash, Username,
};
use causeway_wire::{Class, MessageWriter, Method, TransactionId as OurId};
use stun_rs::attributes::stun::nonce_cookie::StunSecurityFeatures;
use stun_rs::attributes::stun::{
    MessageIntegritySha256, Nonce, PasswordAlgorithm, PasswordAlgorithms, Realm, UserHash, UserName,
};
use stun_rs::{
    Algorithm as TheirAlgorithm, DecoderContextBuilder, HMACKey, MessageClass,
    MessageDecoderBuilder, MessageEncoderBuilder, StunMessage, StunMessageBuilder, methods,
};

/// The users, keys and nonces of a realm.
type Realms<const N: usize> = [(fn(&mut Setup), bool, bool); N];

/// The features that it offers: SHA-256, hidden names.
const REALMS: Realms<3> = [
    (|setup| setup.further_source = true, false, false),
    (|_| {}, true, false),
    (|setup| setup.rest_secret = b"", true, true),
];

#[test]
fn rfc8489_18_1_a_client_that_counts_from_the_left_logs_in() {
    for (setup, sha256, hidden) in REALMS {
        let (mut lab, client) = (Lab::with(setup), Client::udp(1));
        let challenge = read(&challenge(&mut lab, &client), None);
        let nonce = challenge.get::<Nonce>().unwrap().expect_nonce();
        let features = nonce.security_features().unwrap();
        let list = challenge
            .get::<PasswordAlgorithms>()
            .map(|list| list.expect_password_algorithms().clone());
        assert_eq!(features.contains(StunSecurityFeatures::PasswordAlgorithms), sha256);
        assert_eq!(features.contains(StunSecurityFeatures::UserNameAnonymity), hidden);
        assert_eq!(list.is_some(), sha256, "otherwise the client suspects an attacker in between");
        let Some(list) = list else { continue };

        let preferred = list.iter().next().unwrap().algorithm();
        let key =
            HMACKey::new_long_term("alice", REALM, "wonderland", TheirAlgorithm::from(preferred))
                .unwrap();
        let mut request = StunMessageBuilder::new(methods::REFRESH, MessageClass::Request);
        request = if hidden {
            request.with_attribute(UserHash::new("alice", REALM).unwrap())
        } else {
            request.with_attribute(UserName::new("alice").unwrap())
        };
        let request = request
            .with_attribute(Realm::new(REALM).unwrap())
            .with_attribute(nonce.clone())
            .with_attribute(list)
            .with_attribute(PasswordAlgorithm::new(TheirAlgorithm::from(preferred)))
            .with_attribute(MessageIntegritySha256::new(key.clone()))
            .build();
        let mut bytes = [0; 1000];
        let len = MessageEncoderBuilder::default().build().encode(&mut bytes, &request).unwrap();
        let answer = lab.client_sends(&client.five_tuple, &bytes[..len]).answer();
        assert_eq!(answer.error(), Some(437), "authenticated, but without an allocation");
        let answer = read(&answer, Some(key));
        assert!(
            answer.get::<MessageIntegritySha256>().is_some(),
            "and its library has verified it"
        );
    }
}

#[test]
fn rfc8489_18_1_a_client_that_counts_from_the_right_logs_in() {
    for (setup, sha256, hidden) in REALMS {
        let (mut lab, client) = (Lab::with(setup), Client::udp(1));
        let challenge = challenge(&mut lab, &client);
        let nonce = challenge.nonce().unwrap();
        let last = BASE64.find(char::from(nonce.as_bytes()[12])).unwrap();
        assert_eq!((last & 1 == 1, last >> 1 & 1 == 1), (sha256, hidden));
        let list = challenge
            .message()
            .attributes()
            .find(|raw| raw.kind == AttributeType::PASSWORD_ALGORITHMS)
            .map(|raw| raw.value.to_vec());
        assert_eq!(list.is_some(), sha256, "otherwise the client suspects an attacker in between");

        let mut bytes = vec![0; 1000];
        let mut writer =
            MessageWriter::new(&mut bytes, Class::Request, Method::REFRESH, OurId([5; 12]))
                .unwrap();
        match hidden {
            true => writer.put(&Userhash(userhash("alice", REALM))),
            false => writer.put(&Username("alice")),
        }
        .and_then(|w| w.put(&OurRealm(REALM)))
        .and_then(|w| w.put(&OurNonce(&nonce)))
        .unwrap();
        let algorithm = if sha256 { Algorithm::Sha256 } else { Algorithm::Md5 };
        let key = Key::long_term(algorithm, "alice", REALM, "wonderland").integrity_key();
        match &list {
            Some(list) => writer
                .put_raw(AttributeType::PASSWORD_ALGORITHMS, list)
                .and_then(|w| {
                    w.put(&OurAlgorithm(PasswordAlgorithmEntry {
                        algorithm: algorithm.number(),
                        parameters: &[],
                    }))
                })
                .and_then(|w| w.integrity_sha256(&key)),
            None => writer.integrity(&key),
        }
        .unwrap();
        let len = writer.finish();
        let answer = lab.client_sends(&client.five_tuple, &bytes[..len]).answer();
        assert_eq!(answer.error(), Some(437), "authenticated, but without an allocation");
        let right = if sha256 {
            answer.message().verify_integrity_sha256(&key, 32)
        } else {
            answer.is_signed_with(&key)
        };
        assert!(right, "the answer is protected as the request was");
    }
}

#[test]
fn rfc8489_18_1_a_client_that_knows_no_cookie_logs_in() {
    for (setup, ..) in REALMS {
        let (mut lab, mut client) = (Lab::with(setup), Client::udp(1));
        client.allocate(&mut lab);
        assert!(client.refresh(&mut lab, 600).is_signed_with(&client.key()));
    }
}

const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn challenge(lab: &mut Lab, client: &Client) -> Answer {
    let answer = lab
        .client_sends(
            &client.five_tuple,
            &client.unsigned(OurId([4; 12]), Method::REFRESH, &|_| Ok(())),
        )
        .answer();
    assert_eq!(answer.error(), Some(401));
    answer
}

/// The message as stun-rs reads it; with a key it refuses a wrong integrity.
fn read(answer: &Answer, key: Option<HMACKey>) -> StunMessage {
    let mut context = DecoderContextBuilder::default();
    if let Some(key) = key {
        context = context.with_key(key).with_validation();
    }
    MessageDecoderBuilder::default()
        .with_context(context.build())
        .build()
        .decode(&answer.bytes)
        .unwrap()
        .0
}
