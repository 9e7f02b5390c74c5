//! The authentication of requests: a realm with its users and nonces, and the checks of RFC 8489
//! §9.2.4 in their order.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ahash::AHashMap;
use causeway_wire::attribute::{AttributeType, Nonce, Realm, Userhash, Username};
use causeway_wire::{IntegrityKey, Message};

use crate::credential::{Credential, is_unix_seconds};
use crate::credentials::Credentials;
use crate::key_cache::KeyCache;
use crate::nonce::{NonceKeys, NonceText};
use crate::offers::Offers;
use crate::protection::{Protection, verify};
use crate::refusal::Refusal;
use crate::rest::RestSecret;

/// A realm: its users, its nonces, and the decision whether a request is authentic. Its offers
/// follow from the sources of its keys.
#[derive(Clone, Debug)]
pub struct Authenticator {
    realm: Box<str>,
    credentials: Arc<Credentials>,
    nonces: NonceKeys,
    grace: u64,
    decoy: IntegrityKey,
    offers: Offers,
    by_hash: Arc<AHashMap<[u8; 32], Arc<Credential>>>,
}

/// Knowledge beyond the realm's own credentials.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// The credential of the client's allocation.
    pub held: Option<&'a Arc<Credential>>,
    /// Whether this authenticator has verified `held`. Not so after a restore: its secret may have
    /// been removed since.
    pub is_current: bool,
    /// The cached answers of the external source.
    pub keys: Option<&'a KeyCache>,
    /// Whether the external source has just failed to answer: `held` then stands in for it, so that
    /// no call ends because of the store.
    pub source_failed: bool,
}

/// The sender of a request that is not refused.
#[derive(Clone, Debug)]
pub enum Identity<'m> {
    /// This user: the integrity is correct.
    Proven {
        /// The credential of the user.
        credential: Arc<Credential>,
        /// How the request was protected, and so how to protect the answer.
        protection: Protection,
    },
    /// Perhaps this user, whose key only the external source has. The nonce was valid, so the
    /// source address is the client's own.
    KeyWanted(&'m str),
}

/// The user that a request names.
enum Name<'m> {
    Clear(&'m str),
    Hashed([u8; 32]),
}

impl Authenticator {
    /// Creates a realm with this name, written as [`crate::opaque_string`] returns it. `grace` is
    /// the time in seconds for which an expired credential remains valid.
    #[must_use]
    pub fn new(realm: &str, credentials: Credentials, nonces: NonceKeys, grace: u64) -> Self {
        let offers = credentials.offers();
        let by_hash = if offers.anonymity { credentials.by_hash(realm) } else { AHashMap::new() };
        let decoy = IntegrityKey::new(&[0; 16]);
        Self {
            realm: realm.into(),
            credentials: Arc::new(credentials),
            nonces,
            grace,
            decoy,
            offers,
            by_hash: Arc::new(by_hash),
        }
    }

    /// The name of the realm, as REALM carries it.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The offers in its challenges.
    #[must_use]
    pub fn offers(&self) -> Offers {
        self.offers
    }

    /// The keys of its nonces, which the caller rotates.
    #[must_use]
    pub fn nonces(&self) -> &NonceKeys {
        &self.nonces
    }

    /// Returns a nonce for a client's challenge. `unix` is the Unix time in seconds.
    #[must_use]
    pub fn mint(&self, client: SocketAddr, unix: u64) -> NonceText {
        self.nonces.mint(client, &self.realm, unix, self.offers)
    }

    /// The same realm with other nonce keys.
    #[must_use]
    pub fn with_nonces(&self, nonces: NonceKeys) -> Self {
        Self { nonces, ..self.clone() }
    }

    /// The same realm, which accepts credentials of these secrets, too.
    #[must_use]
    pub fn with_rest_secrets(&self, secrets: impl IntoIterator<Item = RestSecret>) -> Self {
        let mut credentials = (*self.credentials).clone();
        secrets.into_iter().for_each(|secret| credentials.add_rest_secret(secret));
        Self::new(&self.realm, credentials, self.nonces.clone(), self.grace)
    }

    /// Performs the checks of RFC 8489 §9.2.4 on a request from `ip` at `unix` seconds. Without an
    /// external source, the credential of the client's allocation saves deriving a REST credential
    /// again. Other credentials may have been revoked, so each request is looked up.
    ///
    /// # Errors
    /// [`Refusal`], for the first check that failed.
    pub fn authenticate<'m>(
        &self,
        request: &Message<'m>,
        ip: IpAddr,
        unix: u64,
        known: &Known<'_>,
    ) -> Result<Identity<'m>, Refusal> {
        // "If the message does not contain a MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256
        // attribute": 401.
        if !request.has_integrity() && !request.has_integrity_sha256() {
            return Err(Refusal::Unauthenticated);
        }
        // "… but is missing either the USERNAME or USERHASH, REALM, or NONCE attribute": 400.
        let realm = present(request.attribute::<Realm<'_>>())?.0;
        let nonce = present(request.attribute::<Nonce<'_>>())?.0;
        let name = name(request)?;
        // Deviation: RFC 8489 §9.2.4: the nonce is verified before its bits are used and the
        // username is looked up, not last, so that no datagram with a forged source address causes
        // a key look-up (H10). It is also stale when the offers of the realm have changed since.
        if !self.nonces.verify(nonce, ip, &self.realm, unix, self.offers) {
            return Err(Refusal::StaleNonce);
        }
        let protection = Protection::read(request, self.offers)?;
        // "If the value of the USERNAME or USERHASH attribute is not valid": 401.
        match name {
            _ if realm != &*self.realm => self.prove(request, unix, protection, None),
            Name::Clear(username) => self
                .look_up(request, username, unix, protection, known)
                .map_err(|refusal| self.refine(refusal, username)),
            // The table is empty if the nonce offers no anonymity.
            Name::Hashed(hash) => {
                self.prove(request, unix, protection, self.by_hash.get(&hash).map(Arc::clone))
            }
        }
    }

    fn look_up<'m>(
        &self,
        request: &Message<'m>,
        username: &'m str,
        unix: u64,
        protection: Protection,
        known: &Known<'_>,
    ) -> Result<Identity<'m>, Refusal> {
        let algorithm = protection.algorithm();
        let is_theirs =
            |held: &&Arc<Credential>| username == held.username() && held.key(algorithm).is_some();
        let held = known.held.filter(is_theirs).map(Arc::clone);
        let here_only = !self.credentials.has_further_source();
        // A key of a current secret is valid until it expires, and costly to derive again; a
        // configured user may have been removed.
        if here_only
            && known.is_current
            && held.as_ref().is_some_and(|held| held.expires().is_some())
        {
            return self.prove(request, unix, protection, held);
        }
        let mut here =
            self.credentials.candidates(username, &self.realm, algorithm, unix).peekable();
        if here.peek().is_some() || here_only {
            return self.prove(request, unix, protection, here);
        }
        match known.keys.and_then(|keys| keys.find(username, unix)) {
            Some(said) => self.prove(request, unix, protection, said.map(Arc::clone)),
            // A REST key counts only after a current secret has derived it: the source's secrets
            // may not be known yet.
            None if known.source_failed
                && held.is_some()
                && (known.is_current || !self.credentials.is_rest_name(username)) =>
            {
                self.prove(request, unix, protection, held)
            }
            None => Ok(Identity::KeyWanted(username)),
        }
    }

    /// Distinguishes unknown users whose names no REST secret mints.
    fn refine(&self, refusal: Refusal, username: &str) -> Refusal {
        match refusal {
            Refusal::UnknownUser
                if self.credentials.has_rest_secrets()
                    && !self.credentials.is_rest_name(username) =>
            {
                Refusal::NoRestName
            }
            refusal => refusal,
        }
    }

    /// Verifies the integrity with each key that the username may have. An unknown user, or one
    /// without a key of the algorithm, costs as much time as a wrong password (H34).
    fn prove<'m>(
        &self,
        request: &Message<'m>,
        unix: u64,
        protection: Protection,
        candidates: impl IntoIterator<Item = Arc<Credential>>,
    ) -> Result<Identity<'m>, Refusal> {
        let mut refusal = Refusal::UnknownUser;
        for credential in candidates {
            let Some(key) = credential.integrity(protection.algorithm()) else { continue };
            if !verify(request, key) {
                refusal = Refusal::WrongPassword;
            } else if credential.is_valid(unix, self.grace) {
                return Ok(Identity::Proven { credential, protection });
            } else {
                let is_time = credential.expires().is_none_or(is_unix_seconds);
                return Err(if is_time { Refusal::Expired } else { Refusal::ExpiryNotSeconds });
            }
        }
        if refusal == Refusal::UnknownUser {
            // The result is known; only the time matters.
            std::hint::black_box(verify(request, &self.decoy));
        }
        Err(refusal)
    }
}

/// Reads USERNAME, or USERHASH in its absence.
fn name<'m>(request: &Message<'m>) -> Result<Name<'m>, Refusal> {
    if request.has(AttributeType::USERNAME) {
        return present(request.attribute::<Username<'_>>())
            .map(|username| Name::Clear(username.0));
    }
    present(request.attribute::<Userhash>()).map(|hash| Name::Hashed(hash.0))
}

fn present<T, E>(attribute: Result<Option<T>, E>) -> Result<T, Refusal> {
    attribute.ok().flatten().ok_or(Refusal::BadRequest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, FurtherSource, Key, NonceKey, RestName, RestSecret};
    use causeway_wire::{Class, MessageWriter, Method, TransactionId};

    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const CLIENT: SocketAddr = SocketAddr::new(IP, 40_000);
    const NOW: u64 = 1_800_000_000;
    const REALM: &str = "example.org";

    fn realm(grace: u64) -> Authenticator {
        let mut credentials = Credentials::new();
        credentials.add_user(Credential::with_password("alice", REALM, "secret").unwrap());
        credentials.add_rest_secret(RestSecret::new(b"north"));
        Authenticator::new(
            REALM,
            credentials,
            NonceKeys::new(NonceKey::new(&[1; 32]), None, 600),
            grace,
        )
    }

    fn request(fill: impl FnOnce(&mut MessageWriter<'_>)) -> Vec<u8> {
        let mut buffer = vec![0; 1024];
        let mut writer = MessageWriter::new(
            &mut buffer,
            Class::Request,
            Method::REFRESH,
            TransactionId([9; 12]),
        )
        .unwrap();
        fill(&mut writer);
        let len = writer.finish();
        buffer.truncate(len);
        buffer
    }

    fn signed(nonce: &str, username: &str, password: &str) -> Vec<u8> {
        let key = Key::long_term_md5(username, REALM, password).integrity_key();
        request(|w| {
            w.put(&Username(username))
                .unwrap()
                .put(&Realm(REALM))
                .unwrap()
                .put(&Nonce(nonce))
                .unwrap()
                .integrity(&key)
                .unwrap();
        })
    }

    fn check(realm: &Authenticator, bytes: &[u8], unix: u64) -> Result<String, Refusal> {
        name(realm.authenticate(&Message::decode(bytes).unwrap(), IP, unix, &Known::default()))
    }

    fn name(identity: Result<Identity<'_>, Refusal>) -> Result<String, Refusal> {
        identity.map(|identity| match identity {
            Identity::Proven { credential, .. } => credential.username().to_owned(),
            Identity::KeyWanted(username) => format!("{username}?"),
        })
    }

    #[test]
    fn rfc8489_9_2_4_the_checks_in_their_order() {
        let realm = realm(0);
        let nonce = realm.mint(CLIENT, NOW);
        let nonce = nonce.as_str();
        assert_eq!(check(&realm, &request(|_| {}), NOW), Err(Refusal::Unauthenticated));
        let without_nonce = request(|w| {
            w.put(&Username("alice"))
                .unwrap()
                .put(&Realm(REALM))
                .unwrap()
                .integrity(&IntegrityKey::new(b"x"))
                .unwrap();
        });
        assert_eq!(check(&realm, &without_nonce, NOW), Err(Refusal::BadRequest));
        assert_eq!(
            check(&realm, &signed("stale", "nemo", "x"), NOW),
            Err(Refusal::StaleNonce),
            "before the user is looked up"
        );
        assert_eq!(check(&realm, &signed(nonce, "nemo", "secret"), NOW), Err(Refusal::NoRestName));
        assert_eq!(
            check(&realm, &signed(nonce, "alice", "wrong"), NOW),
            Err(Refusal::WrongPassword)
        );
        assert_eq!(check(&realm, &signed(nonce, "alice", "secret"), NOW), Ok("alice".into()));
        let hashed = request(|w| {
            w.put(&Userhash([0; 32]))
                .unwrap()
                .put(&Realm(REALM))
                .unwrap()
                .put(&Nonce(nonce))
                .unwrap();
            w.integrity(&IntegrityKey::new(b"x")).unwrap();
        });
        assert_eq!(check(&realm, &hashed, NOW), Err(Refusal::UnknownUser));
    }

    #[test]
    fn h16_an_expired_rest_credential_works_no_more() {
        let username = format!("{}:alice", NOW + 100);
        let password = RestSecret::new(b"north").password_sha256(&username);
        for (grace, at, good) in
            [(0, 100, true), (0, 101, false), (50, 150, true), (50, 151, false)]
        {
            let realm = realm(grace);
            let nonce = realm.mint(CLIENT, NOW + at);
            let bytes = signed(nonce.as_str(), &username, &password);
            let held = Arc::new(
                RestSecret::new(b"north")
                    .credentials(RestName::TimeName, &username, REALM, Algorithm::Md5)
                    .unwrap()[1]
                    .clone(),
            );
            let message = Message::decode(&bytes).unwrap();
            assert_eq!(realm.authenticate(&message, IP, NOW + at, &Known::default()).is_ok(), good);
            assert_eq!(
                realm
                    .authenticate(
                        &message,
                        IP,
                        NOW + at,
                        &Known { held: Some(&held), is_current: true, ..Known::default() }
                    )
                    .is_ok(),
                good,
                "with the key of its allocation"
            );
        }
    }

    #[test]
    fn a_rest_credential_of_either_hash_is_let_in() {
        let realm = realm(0);
        let nonce = realm.mint(CLIENT, NOW);
        let (username, secret) = (format!("{NOW}:bob"), RestSecret::new(b"north"));
        for password in [secret.password_sha1(&username), secret.password_sha256(&username)] {
            assert_eq!(
                check(&realm, &signed(nonce.as_str(), &username, &password), NOW),
                Ok(username.clone())
            );
        }
        assert_eq!(
            check(&realm, &signed(nonce.as_str(), &username, "guess"), NOW),
            Err(Refusal::WrongPassword)
        );
    }

    #[test]
    fn a_user_of_the_further_source_is_asked_for_and_what_it_said_counts() {
        let before = realm(0);
        let carol = signed(before.mint(CLIENT, NOW).as_str(), "carol", "x");
        assert_eq!(check(&before, &carol, NOW), Err(Refusal::NoRestName));
        let mut credentials = (*before.credentials).clone();
        credentials.set_further_source(FurtherSource::default());
        let realm = Authenticator::new(REALM, credentials, before.nonces().clone(), 0);
        assert_eq!(
            check(&realm, &carol, NOW),
            Err(Refusal::StaleNonce),
            "SHA-256 is offered no more"
        );
        let nonce = realm.mint(CLIENT, NOW);
        let carol = signed(nonce.as_str(), "carol", "x");
        assert_eq!(check(&realm, &carol, NOW), Ok("carol?".into()));
        assert_eq!(
            check(&realm, &signed("stale", "carol", "x"), NOW),
            Err(Refusal::StaleNonce),
            "H10: before any source is asked"
        );
        assert_eq!(
            check(&realm, &signed(nonce.as_str(), "alice", "guess"), NOW),
            Err(Refusal::WrongPassword),
            "a user of the configuration"
        );
        let minted = format!("{}:carol", NOW + 1);
        assert_eq!(
            check(&realm, &signed(nonce.as_str(), &minted, "guess"), NOW),
            Err(Refusal::WrongPassword),
            "a name of REST's form"
        );

        let credential = |password| {
            Arc::new(Credential::new("carol", Key::long_term_md5("carol", REALM, password)))
        };
        let message = Message::decode(&carol).unwrap();
        let held = credential("x");
        let ask = |keys: &KeyCache, source_failed| {
            name(realm.authenticate(
                &message,
                IP,
                NOW,
                &Known { held: Some(&held), is_current: true, keys: Some(keys), source_failed },
            ))
        };
        let mut keys = KeyCache::new();
        assert_eq!(
            ask(&keys, false),
            Ok("carol?".into()),
            "the allocation's own credential may have been revoked"
        );
        assert_eq!(ask(&keys, true), Ok("carol".into()), "but no call dies with the store");
        keys.insert(credential("x"), NOW);
        assert_eq!(ask(&keys, false), Ok("carol".into()));
        keys.insert(credential("another"), NOW);
        assert_eq!(
            [ask(&keys, false), ask(&keys, true)],
            [Err(Refusal::WrongPassword), Err(Refusal::WrongPassword)]
        );
        keys.insert_unknown("carol", NOW);
        assert_eq!(
            [ask(&keys, false), ask(&keys, true)],
            [Err(Refusal::NoRestName), Err(Refusal::NoRestName)]
        );
    }

    #[test]
    fn while_a_rest_secret_is_changed_both_are_in_use() {
        let realm = realm(0).with_rest_secrets([RestSecret::new(b"south")]);
        let nonce = realm.mint(CLIENT, NOW);
        let username = format!("{NOW}:bob");
        for (secret, good) in [("north", true), ("south", true), ("east", false)] {
            let password = RestSecret::new(secret.as_bytes()).password_sha1(&username);
            assert_eq!(
                check(&realm, &signed(nonce.as_str(), &username, &password), NOW).is_ok(),
                good,
                "{secret}"
            );
        }
    }

    #[test]
    fn while_the_source_is_away_a_held_key_serves_its_own_algorithm() {
        let mut credentials = Credentials::new();
        credentials.set_further_source(FurtherSource { has_sha256: true });
        let realm = Authenticator::new(
            REALM,
            credentials,
            NonceKeys::new(NonceKey::new(&[1; 32]), None, 600),
            0,
        );
        let bytes = signed(realm.mint(CLIENT, NOW).as_str(), "carol", "x");
        let message = Message::decode(&bytes).unwrap();
        for (key, known) in [
            (Key::long_term_md5("carol", REALM, "x"), true),
            (Key::long_term_sha256("carol", REALM, "x"), false),
        ] {
            let held = Arc::new(Credential::new("carol", key));
            let known_here =
                Known { held: Some(&held), is_current: false, keys: None, source_failed: true };
            let expected = if known { "carol" } else { "carol?" };
            assert_eq!(
                name(realm.authenticate(&message, IP, NOW, &known_here)),
                Ok(expected.to_owned())
            );
        }
    }
}
