//! RFC 8489 §9.2: password algorithms, hidden names and texts beyond ASCII, as a server offers and
//! checks them.

use causeway_auth::{Algorithm, Key, RestSecret, opaque_string, userhash};
use causeway_relay::Command;
use causeway_tests::addresses::peer;
use causeway_tests::{Answer, Client, Lab, REALM, Reaction, Setup};
use causeway_wire::attribute::{
    AttributeType, Lifetime, Nonce, PasswordAlgorithm, PasswordAlgorithmEntry, PasswordAlgorithms,
    Realm, RequestedTransport, Userhash, Username, XorPeerAddress,
};
use causeway_wire::{Class, IntegrityKey, MessageWriter, Method, TransactionId};

const LIST: &[u8] = &[0, 2, 0, 0, 0, 1, 0, 0];
const MD5: &[u8] = &[0, 1, 0, 0];
const SHA256: &[u8] = &[0, 2, 0, 0];

#[test]
fn rfc8489_9_2_4_the_list_is_offered_and_the_nonce_says_so() {
    let mut lab = Lab::default();
    let answer = Modern::new("alice", "wonderland").ask(&mut lab, |_| {});
    assert_eq!(answer.error(), Some(401));
    assert_eq!(list(&answer), Some(LIST.to_vec()), "SHA-256 before MD5");
    // Bits 0 and 23: the two readings of erratum 6290.
    assert_eq!(&answer.nonce().unwrap()[..13], "obMatJos2gAAB");
}

#[test]
fn rfc8489_9_2_without_features_24_zero_bits_and_no_list() {
    let mut lab = Lab::with(|setup| setup.further_source = true);
    let answer = Modern::new("alice", "wonderland").ask(&mut lab, |_| {});
    assert_eq!(
        (list(&answer), &answer.nonce().unwrap()[..13]),
        (None, "obMatJos2AAAA"),
        "users elsewhere may have MD5 keys only"
    );
}

#[test]
fn rfc8489_9_2_4_every_challenge_repeats_the_list() {
    let (mut lab, mut alice) = (Lab::default(), Modern::new("alice", "wonderland"));
    alice.learn(&mut lab);
    let wrong = Modern { password: "guess".into(), ..alice.clone() };
    let unknown = Modern { username: "trudy".into(), ..alice.clone() };
    let stale = Modern { nonce: "obMatJos2gAABAAAAAAAAAAAAAAA".into(), ..alice.clone() };
    for (client, code) in [(wrong, 401), (unknown, 401), (stale, 438)] {
        let answer = client.refresh(&mut lab);
        assert_eq!(
            (answer.error(), answer.realm().as_deref(), list(&answer)),
            (Some(code), Some(REALM), Some(LIST.to_vec()))
        );
        assert!(answer.nonce().is_some() && answer.is_unsigned());
        assert!(!answer.has(AttributeType::USERNAME) && !answer.has(AttributeType::USERHASH));
    }
}

#[test]
fn rfc8489_9_2_4_a_client_of_sha256_does_everything_and_is_answered_in_kind() {
    let (mut lab, mut alice) = (Lab::default(), Modern::new("alice", "wonderland"));
    alice.learn(&mut lab);
    let allocated =
        alice.ask_signed(&mut lab, Method::ALLOCATE, &|w| put(w, &RequestedTransport::UDP));
    let again = alice.ask_signed(&mut lab, Method::ALLOCATE, &|w| put(w, &RequestedTransport::UDP));
    let permitted = alice
        .ask_signed(&mut lab, Method::CREATE_PERMISSION, &|w| put(w, &XorPeerAddress(peer(1, 1))));
    let refused = alice.ask_signed(&mut lab, Method::CREATE_PERMISSION, &|_| {});
    let unknown = alice.ask_signed(&mut lab, Method::REFRESH, &|w| {
        w.put_raw(AttributeType(0x7FFF), &[]).unwrap();
    });
    let released = alice.ask_signed(&mut lab, Method::REFRESH, &|w| put(w, &Lifetime(0)));
    let answers = [allocated, again, permitted, refused, unknown, released];
    assert_eq!(
        answers.each_ref().map(Answer::error),
        [None, None, None, Some(400), Some(420), None]
    );
    let key = Key::long_term_sha256("alice", REALM, "wonderland").integrity_key();
    for answer in answers {
        let message = answer.message();
        assert!(
            message.verify_integrity_sha256(&key, 32) && !message.has_integrity(),
            "{:?}",
            answer.error()
        );
        for kind in [
            AttributeType::REALM,
            AttributeType::NONCE,
            AttributeType::USERNAME,
            AttributeType::USERHASH,
        ] {
            assert!(!answer.has(kind));
        }
    }
}

#[test]
fn rfc8489_9_2_4_who_names_md5_is_answered_with_sha256_integrity_under_the_md5_key() {
    let (mut lab, mut alice) = (Lab::default(), Modern::new("alice", "wonderland"));
    alice.learn(&mut lab);
    alice.named = Some(MD5.to_vec());
    for sha1 in [false, true] {
        alice.sha1 = sha1;
        let answer =
            alice.ask_signed(&mut lab, Method::ALLOCATE, &|w| put(w, &RequestedTransport::UDP));
        let key = Key::long_term_md5("alice", REALM, "wonderland").integrity_key();
        assert!(
            answer.error().is_none()
                && answer.message().verify_integrity_sha256(&key, 32)
                && !answer.message().has_integrity()
        );
    }
}

#[test]
fn rfc8489_9_2_4_who_names_nothing_has_an_md5_key_and_is_answered_as_ever() {
    let (mut lab, mut client) = (Lab::default(), Client::udp(1));
    client.allocate(&mut lab);
    let answer = client.refresh(&mut lab, 600);
    assert!(
        answer.is_signed_with(&Key::long_term_md5("alice", REALM, "wonderland").integrity_key())
    );
    let mut sha256_key = Modern::new("alice", "wonderland");
    sha256_key.learn(&mut lab);
    (sha256_key.list, sha256_key.named) = (None, None);
    assert_eq!(
        sha256_key.refresh(&mut lab).error(),
        Some(401),
        "a SHA-256 key without PASSWORD-ALGORITHM"
    );
}

#[test]
fn rfc8489_9_2_4_what_contradicts_the_offer_is_400() {
    let (mut lab, mut alice) = (Lab::default(), Modern::new("alice", "wonderland"));
    alice.learn(&mut lab);
    let padded: &[u8] = &[0, 2, 0, 1, 7, 0, 0, 0];
    for (offered, named, why) in [
        (Some(LIST), None, "(1) the list alone"),
        (None, Some(SHA256), "(1) the choice alone"),
        (Some(MD5), Some(MD5), "(2) SHA-256 taken out of the list"),
        (Some(SHA256), Some(SHA256), "(2) MD5 taken out of the list"),
        (Some(&[0, 1, 0, 0, 0, 2, 0, 0]), Some(MD5), "(2) another order"),
        (Some(&[0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0]), Some(SHA256), "(2) a longer list"),
        (Some(&[]), Some(SHA256), "(2) an empty list"),
        (Some(&[0, 2, 0, 9]), Some(SHA256), "a list that is cut"),
        (Some(LIST), Some(&[0, 3, 0, 0]), "(3) an unknown algorithm"),
        (Some(LIST), Some(&[0, 0, 0, 0]), "(3) the reserved number"),
        (Some(LIST), Some(padded), "(3) parameters"),
        (Some(LIST), Some(&[0, 2]), "a choice that is cut"),
    ] {
        (alice.list, alice.named) = (offered.map(<[u8]>::to_vec), named.map(<[u8]>::to_vec));
        let answer = alice.refresh(&mut lab);
        assert_eq!(answer.error(), Some(400), "{why}");
        assert!(
            answer.is_unsigned()
                && !answer.has(AttributeType::NONCE)
                && !answer.has(AttributeType::REALM),
            "{why}"
        );
    }
}

#[test]
fn rfc8489_9_2_1_a_nonce_whose_bits_were_taken_out_is_stale() {
    let (mut lab, mut alice) = (Lab::default(), Modern::new("alice", "wonderland"));
    alice.learn(&mut lab);
    for cookie in ["obMatJos2AAAA", "obMatJos2gAAA", "obMatJos2AAAB", "obMatJos2wAAD"] {
        let mut stripped = alice.clone();
        stripped.nonce.replace_range(..13, cookie);
        (stripped.list, stripped.named) = (None, None);
        let answer = stripped.refresh(&mut lab);
        assert_eq!((answer.error(), list(&answer).is_some()), (Some(438), true), "{cookie}");
    }
}

#[test]
fn rfc8489_9_2_4_a_list_that_was_not_offered_is_400() {
    let (mut lab, mut alice) =
        (Lab::with(|setup| setup.further_source = true), Modern::new("alice", "wonderland"));
    alice.learn(&mut lab);
    for (offered, named) in
        [(Some(LIST), Some(MD5)), (Some(MD5), Some(MD5)), (None, Some(MD5)), (Some(LIST), None)]
    {
        (alice.list, alice.named) = (offered.map(<[u8]>::to_vec), named.map(<[u8]>::to_vec));
        assert_eq!(alice.refresh(&mut lab).error(), Some(400), "{offered:?} {named:?}");
    }
}

#[test]
fn rfc8489_9_2_4_when_the_offer_changes_nonces_of_before_are_stale() {
    let (mut lab, mut alice) = (Lab::default(), Modern::new("alice", "wonderland"));
    alice.learn(&mut lab);
    lab.command(Command::SetAuthenticator(
        Setup::with(|setup| setup.further_source = true).authenticator(),
    ));
    let answer = alice.refresh(&mut lab);
    assert_eq!((answer.error(), list(&answer)), (Some(438), None));
    assert_eq!(
        &answer.nonce().unwrap()[..13],
        "obMatJos2AAAA",
        "the client starts again with the new list"
    );
}

#[test]
fn rfc8489_14_6_a_truncated_value_is_refused_for_turn_allows_none() {
    let (mut lab, mut alice) = (Lab::default(), Modern::new("alice", "wonderland"));
    alice.learn(&mut lab);
    let whole = alice.signed(Method::REFRESH, &|_| {});
    for len in [16, 20, 24, 28] {
        let bytes = alice.truncated(&whole, len);
        assert_eq!(
            lab.client_sends(&alice.client.five_tuple, &bytes).answer().error(),
            Some(401),
            "{len} bytes"
        );
    }
    for len in [0, 4, 12, 15, 17, 30] {
        let bytes = alice.truncated(&whole, len);
        assert!(
            matches!(lab.client_sends(&alice.client.five_tuple, &bytes), Reaction::Silence(_)),
            "{len} bytes are no such value"
        );
    }
    assert_eq!(
        lab.client_sends(&alice.client.five_tuple, &whole).answer().error(),
        Some(437),
        "authenticated, but without an allocation"
    );
}

#[test]
fn rfc8489_9_2_4_hidden_names_are_offered_where_every_user_is_known() {
    let mut lab = Lab::with(|setup| setup.rest_secret = b"");
    let mut alice = Modern::new("alice", "wonderland");
    alice.learn(&mut lab);
    assert_eq!(
        &alice.nonce[..13],
        "obMatJos2wAAD",
        "bits 0 and 1, and 22 and 23: the two readings of erratum 6290"
    );
    alice.hidden = true;
    let allocated =
        alice.ask_signed(&mut lab, Method::ALLOCATE, &|w| put(w, &RequestedTransport::UDP));
    assert_eq!(allocated.error(), None);
    assert_eq!(lab.quota.held("alice"), 1, "the quota is that of the user");
    alice.hidden = false;
    assert_eq!(alice.refresh(&mut lab).error(), None, "the same user by name");
    let mut bob = Modern { hidden: true, ..alice.clone() };
    (bob.username, bob.password) = ("bob".into(), "builder".into());
    assert_eq!(bob.refresh(&mut lab).error(), Some(441));
}

#[test]
fn rfc8489_9_2_4_clients_that_know_nothing_of_it_log_in_all_the_same() {
    let mut lab = Lab::with(|setup| setup.rest_secret = b"");
    let mut client = Client::udp(1);
    client.allocate(&mut lab);
    assert_eq!(client.refresh(&mut lab, 600).error(), None);
    // A client that knows the list, but not the hash: "the USERHASH attribute MUST be used" binds
    // it, and not the server.
    let mut alice = Modern::new("alice", "wonderland");
    alice.client = Client::udp(2);
    alice.learn(&mut lab);
    assert_eq!(
        alice.ask_signed(&mut lab, Method::ALLOCATE, &|w| put(w, &RequestedTransport::UDP)).error(),
        None
    );
}

#[test]
fn rfc8489_9_2_4_a_userhash_that_is_nobodys_is_401_and_a_malformed_one_400() {
    for rest_secret in [&b""[..], b"north"] {
        let mut lab = Lab::with(|setup| setup.rest_secret = rest_secret);
        let mut unknown = Modern { hidden: true, ..Modern::new("trudy", "x") };
        unknown.learn(&mut lab);
        assert_eq!(unknown.refresh(&mut lab).error(), Some(401));
        let alice =
            Modern { username: "alice".into(), password: "wonderland".into(), ..unknown.clone() };
        let expected = if rest_secret.is_empty() { Some(437) } else { Some(401) };
        assert_eq!(
            alice.refresh(&mut lab).error(),
            expected,
            "a hash is looked up where USERHASH is offered"
        );
        let key = alice.key();
        let short = alice.ask(&mut lab, |w| {
            w.put_raw(AttributeType::USERHASH, &[7; 31])
                .unwrap()
                .put(&Realm(REALM))
                .unwrap()
                .put(&Nonce(&alice.nonce))
                .unwrap();
            w.integrity(&key).unwrap();
        });
        assert_eq!(short.error(), Some(400));
    }
}

#[test]
fn rfc8489_14_4_the_hash_is_of_username_and_realm_as_opaque_strings() {
    let mut lab = Lab::with(|setup| {
        setup.rest_secret = b"";
        setup.realm = "bücher.example";
        setup.users = vec![("Ju\u{308}rgen", "gru\u{308}n\u{3000}tee")];
    });
    let mut client = Modern::new("Jürgen", "grün tee");
    client.realm = "bücher.example".into();
    client.learn(&mut lab);
    for hidden in [true, false] {
        client.hidden = hidden;
        assert_eq!(
            client.refresh(&mut lab).error(),
            Some(437),
            "authenticated, but without an allocation"
        );
    }
}

#[test]
fn rfc8489_14_3_a_username_beyond_ascii_logs_in_with_either_key() {
    let mut lab = Lab::with(|setup| setup.users = vec![("\u{212B}ngström", "ﬁsh and ♥")]);
    let username = opaque_string("\u{212B}ngström").unwrap().into_owned();
    assert_eq!(username, "Ångström");
    Client::udp(1).named(&username, "ﬁsh and ♥").allocate(&mut lab);
    let mut modern = Modern::new(&username, "ﬁsh and ♥");
    modern.learn(&mut lab);
    assert_eq!(modern.refresh(&mut lab).error(), None);
}

#[test]
fn rfc8489_9_2_2_a_rest_name_beyond_ascii_logs_in_with_either_key_and_hash() {
    let mut lab = Lab::default();
    let username = format!("{}:Zoë 李", lab.unix() + 100);
    let secret = RestSecret::new(b"north");
    for (host, password) in
        [(1, secret.password_sha1(&username)), (2, secret.password_sha256(&username))]
    {
        Client::udp(host).named(&username, &password).allocate(&mut lab);
        let mut modern = Modern { client: Client::udp(host), ..Modern::new(&username, &password) };
        modern.learn(&mut lab);
        assert_eq!(modern.refresh(&mut lab).error(), None);
    }
    assert_eq!(lab.quota.held("Zoë 李"), 2);
}

/// A client that names its algorithm.
#[derive(Clone)]
struct Modern {
    client: Client,
    username: String,
    password: String,
    realm: String,
    nonce: String,
    /// PASSWORD-ALGORITHMS and PASSWORD-ALGORITHM of its requests.
    list: Option<Vec<u8>>,
    named: Option<Vec<u8>>,
    /// Whether it sends USERHASH.
    hidden: bool,
    /// Whether it still protects by MESSAGE-INTEGRITY.
    sha1: bool,
}

impl Modern {
    fn new(username: &str, password: &str) -> Self {
        Self {
            client: Client::udp(1),
            username: username.to_owned(),
            password: password.to_owned(),
            realm: REALM.to_owned(),
            nonce: String::new(),
            list: Some(LIST.to_vec()),
            named: Some(SHA256.to_vec()),
            hidden: false,
            sha1: false,
        }
    }

    fn learn(&mut self, lab: &mut Lab) {
        self.nonce = self.ask(lab, |_| {}).nonce().expect("a challenge");
    }

    fn key(&self) -> IntegrityKey {
        let algorithm =
            if self.named.as_deref() == Some(MD5) { Algorithm::Md5 } else { Algorithm::Sha256 };
        Key::long_term(algorithm, &self.username, &self.realm, &self.password).integrity_key()
    }

    fn refresh(&self, lab: &mut Lab) -> Answer {
        self.ask_signed(lab, Method::REFRESH, &|_| {})
    }

    /// A Refresh with what `fill` writes.
    fn ask(&self, lab: &mut Lab, fill: impl FnOnce(&mut MessageWriter<'_>)) -> Answer {
        lab.client_sends(&self.client.five_tuple, &write(Method::REFRESH, fill)).answer()
    }

    fn ask_signed(
        &self,
        lab: &mut Lab,
        method: Method,
        fill: &dyn Fn(&mut MessageWriter<'_>),
    ) -> Answer {
        let request = self.signed(method, fill);
        lab.client_sends(&self.client.five_tuple, &request).answer()
    }

    fn signed(&self, method: Method, fill: &dyn Fn(&mut MessageWriter<'_>)) -> Vec<u8> {
        write(method, |w| {
            fill(w);
            match self.hidden {
                true => put(w, &Userhash(userhash(&self.username, &self.realm))),
                false => put(w, &Username(&self.username)),
            }
            put(w, &Realm(&self.realm));
            put(w, &Nonce(&self.nonce));
            for (kind, value) in [
                (AttributeType::PASSWORD_ALGORITHMS, &self.list),
                (AttributeType::PASSWORD_ALGORITHM, &self.named),
            ] {
                if let Some(value) = value {
                    w.put_raw(kind, value).unwrap();
                }
            }
            if self.sha1 { w.integrity(&self.key()) } else { w.integrity_sha256(&self.key()) }
                .unwrap();
        })
    }

    /// A request with only the first `len` bytes of its MESSAGE-INTEGRITY-SHA256, valid for that
    /// length.
    fn truncated(&self, whole: &[u8], len: usize) -> Vec<u8> {
        use hmac::{Hmac, KeyInit, Mac};
        let key = Key::long_term_sha256(&self.username, &self.realm, &self.password);
        let at = whole.len() - 36;
        let mut bytes = whole[..at].to_vec();
        let total = u16::try_from(at + 4 + len.next_multiple_of(4) - 20).unwrap();
        bytes[2..4].copy_from_slice(&total.to_be_bytes());
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).unwrap();
        mac.update(&bytes);
        let value = mac.finalize().into_bytes();
        bytes.extend_from_slice(&[0, 0x1C]);
        bytes.extend_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
        bytes.extend_from_slice(&value[..len]);
        bytes.resize(20 + usize::from(total), 0);
        bytes
    }
}

#[test]
fn rfc8489_14_12_a_choice_without_parameters_is_four_bytes() {
    let bytes = write(Method::REFRESH, |w| {
        put(w, &PasswordAlgorithm(PasswordAlgorithmEntry { algorithm: 2, parameters: &[] }));
    });
    assert_eq!(bytes[20..], [0, 0x1D, 0, 4, 0, 2, 0, 0]);
    assert_eq!(
        PasswordAlgorithms::SHA256_MD5.entries().map(|entry| entry.algorithm).collect::<Vec<_>>(),
        [2, 1]
    );
}

fn put<'a>(w: &mut MessageWriter<'_>, attribute: &impl causeway_wire::attribute::Attribute<'a>) {
    w.put(attribute).unwrap();
}

fn write(method: Method, fill: impl FnOnce(&mut MessageWriter<'_>)) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    let mut writer =
        MessageWriter::new(&mut bytes, Class::Request, method, TransactionId([3; 12])).unwrap();
    fill(&mut writer);
    let len = writer.finish();
    bytes.truncate(len);
    bytes
}

/// The value of PASSWORD-ALGORITHMS in an answer.
fn list(answer: &Answer) -> Option<Vec<u8>> {
    answer
        .message()
        .attributes()
        .find(|raw| raw.kind == AttributeType::PASSWORD_ALGORITHMS)
        .map(|raw| raw.value.to_vec())
}
