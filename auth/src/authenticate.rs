use std::net::IpAddr;
use std::sync::Arc;

use causeway_wire::attribute::{AttributeType, Nonce, Realm, Username};
use causeway_wire::{ErrorCode, IntegrityKey, Message};

use crate::credential::Credential;
use crate::credentials::Credentials;
use crate::key_cache::KeyCache;
use crate::nonce::NonceKeys;
use crate::rest::RestSecret;

/// RFC 8489 §14.6: TURN names no truncation, so the value is whole.
const SHA256_MIN_LEN: usize = 32;

/// One realm: its users, its nonces, its answers to who may come in.
#[derive(Clone, Debug)]
pub struct Authenticator {
    realm: Box<str>,
    credentials: Credentials,
    nonces: NonceKeys,
    grace: u64,
    decoy: IntegrityKey,
}

/// What is known beside the realm's own credentials.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// The credential of the client's allocation.
    pub held: Option<&'a Arc<Credential>>,
    /// What the further source has said.
    pub keys: Option<&'a KeyCache>,
    /// That the further source has just failed to answer: `held` stands in for it, so that no call dies with the store.
    pub source_failed: bool,
}

/// Whom a request comes from, unless it is refused.
#[derive(Clone, Debug)]
pub enum Identity<'m> {
    /// From this one: the integrity is right.
    Proven(Arc<Credential>),
    /// Perhaps from this user, whose key is to be had from the further source only. The nonce was good, so the address is the client's own.
    KeyWanted(&'m str),
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 401 with REALM and a new NONCE: nothing was shown. A client's first request is like this, and is no failure.
    Unauthenticated,
    /// 400, without any of them: something that belongs to the proof is missing or malformed.
    BadRequest,
    /// 438 with REALM and a new NONCE: the nonce is not ours, not this client's, or too old.
    StaleNonce,
    /// 401 with REALM and a new NONCE: there is no such user, or it has expired (H16).
    UnknownUser,
    /// 401 with REALM and a new NONCE: the integrity is wrong, and so is the password.
    WrongPassword,
}

impl Refusal {
    /// The error code of the answer.
    #[must_use]
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Unauthenticated | Self::UnknownUser | Self::WrongPassword => ErrorCode::UNAUTHENTICATED,
            Self::BadRequest => ErrorCode::BAD_REQUEST,
            Self::StaleNonce => ErrorCode::STALE_NONCE,
        }
    }

    /// Its name as logs and metrics show it.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unauthenticated => "no-credentials",
            Self::BadRequest => "incomplete-credentials",
            Self::StaleNonce => "stale-nonce",
            Self::UnknownUser => "unknown-or-expired-user",
            Self::WrongPassword => "wrong-password",
        }
    }

    /// Whether somebody showed credentials that are wrong: the event that a firewall may act on (H42).
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::UnknownUser | Self::WrongPassword)
    }
}

impl Authenticator {
    /// A realm. `grace` in seconds: so long an expired credential goes on working.
    #[must_use]
    pub fn new(realm: &str, credentials: Credentials, nonces: NonceKeys, grace: u64) -> Self {
        Self { realm: realm.into(), credentials, nonces, grace, decoy: IntegrityKey::new(&[0; 16]) }
    }

    /// The value of REALM.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The keys of its nonces.
    #[must_use]
    pub fn nonces(&self) -> &NonceKeys {
        &self.nonces
    }

    /// The same realm, with other keys of its nonces.
    #[must_use]
    pub fn with_nonces(&self, nonces: NonceKeys) -> Self {
        Self { nonces, ..self.clone() }
    }

    /// The same realm, which takes what these secrets mint, too.
    #[must_use]
    pub fn with_rest_secrets(&self, secrets: impl IntoIterator<Item = RestSecret>) -> Self {
        let mut changed = self.clone();
        secrets.into_iter().for_each(|secret| changed.credentials.add_rest_secret(secret));
        changed
    }

    /// The checks of RFC 8489 §9.2.4 on a request from `ip` at `unix` seconds. Without a further source, the credential of the client's
    /// allocation saves making a minted one again; all others may have been revoked, so that each request is looked up anew.
    ///
    /// # Errors
    /// [`Refusal`], the first check that failed.
    pub fn authenticate<'m>(&self, request: &Message<'m>, ip: IpAddr, unix: u64, known: &Known<'_>) -> Result<Identity<'m>, Refusal> {
        // "If the message does not contain a MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256 attribute": 401.
        if !request.has_integrity() && !request.has_integrity_sha256() {
            return Err(Refusal::Unauthenticated);
        }
        // "… but is missing either the USERNAME or USERHASH, REALM, or NONCE attribute": 400.
        let realm = present(request.attribute::<Realm<'_>>())?.0;
        let nonce = present(request.attribute::<Nonce<'_>>())?.0;
        let username = match request.attribute::<Username<'_>>() {
            Ok(Some(username)) => Some(username.0),
            // The nonce offers no anonymity, so no USERHASH is known to us.
            Ok(None) if request.has(AttributeType::USERHASH) => None,
            _ => return Err(Refusal::BadRequest),
        };
        // Deviation: RFC 8489 §9.2.4: the nonce is verified before the username is looked up, not last, so that no datagram with a forged
        // source address causes a key look-up (H10).
        if !self.nonces.verify(nonce, ip, &self.realm, unix) {
            return Err(Refusal::StaleNonce);
        }
        // "If the value of the USERNAME or USERHASH attribute is not valid": 401.
        let username = username.filter(|_| realm == &*self.realm);
        let Some(username) = username else { return self.prove(request, unix, std::iter::empty()) };
        let held = known.held.filter(|credential| username == credential.username()).map(Arc::clone);
        // What a secret has minted is good until it expires, and dear to make anew; a user of the configuration may be gone from it.
        if !self.credentials.has_further_source() && held.as_ref().is_some_and(|held| held.expires().is_some()) {
            return self.prove(request, unix, held);
        }
        let mut here = self.credentials.candidates(username, &self.realm).peekable();
        if here.peek().is_some() || !self.credentials.has_further_source() {
            return self.prove(request, unix, here);
        }
        match known.keys.and_then(|keys| keys.find(username, unix)) {
            Some(said) => self.prove(request, unix, said.map(Arc::clone)),
            None if known.source_failed && held.is_some() => self.prove(request, unix, held),
            None => Ok(Identity::KeyWanted(username)),
        }
    }

    /// The integrity, under each key that the username may have. An unknown user costs as much as a wrong password (H34).
    fn prove<'m>(
        &self,
        request: &Message<'m>,
        unix: u64,
        candidates: impl IntoIterator<Item = Arc<Credential>>,
    ) -> Result<Identity<'m>, Refusal> {
        let mut refusal = Refusal::UnknownUser;
        for credential in candidates {
            if !verify(request, credential.integrity()) {
                refusal = Refusal::WrongPassword;
            } else if credential.is_valid(unix, self.grace) {
                return Ok(Identity::Proven(credential));
            } else {
                return Err(Refusal::UnknownUser);
            }
        }
        if refusal == Refusal::UnknownUser {
            // The verdict stands; only the time is wanted.
            std::hint::black_box(verify(request, &self.decoy));
        }
        Err(refusal)
    }
}

/// "If the MESSAGE-INTEGRITY-SHA256 attribute is present, compute the value … Otherwise … MESSAGE-INTEGRITY" (RFC 8489 §9.2.4).
fn verify(request: &Message<'_>, key: &IntegrityKey) -> bool {
    if request.has_integrity_sha256() { request.verify_integrity_sha256(key, SHA256_MIN_LEN) } else { request.verify_integrity(key) }
}

fn present<T, E>(attribute: Result<Option<T>, E>) -> Result<T, Refusal> {
    attribute.ok().flatten().ok_or(Refusal::BadRequest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, NonceKey, RestSecret};
    use causeway_wire::attribute::Userhash;
    use causeway_wire::{Class, MessageWriter, Method, TransactionId};

    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const NOW: u64 = 1_800_000_000;
    const REALM: &str = "example.org";

    fn realm(grace: u64) -> Authenticator {
        let mut credentials = Credentials::new();
        credentials.add_user("alice", Key::long_term_md5("alice", REALM, "secret"));
        credentials.add_rest_secret(RestSecret::new(b"north"));
        Authenticator::new(REALM, credentials, NonceKeys::new(NonceKey::new(&[1; 32]), None, 600), grace)
    }

    fn request(fill: impl FnOnce(&mut MessageWriter<'_>)) -> Vec<u8> {
        let mut buffer = vec![0; 1024];
        let mut writer = MessageWriter::new(&mut buffer, Class::Request, Method::REFRESH, TransactionId([9; 12])).unwrap();
        fill(&mut writer);
        let len = writer.finish();
        buffer.truncate(len);
        buffer
    }

    fn signed(nonce: &str, username: &str, password: &str) -> Vec<u8> {
        let key = Key::long_term_md5(username, REALM, password).integrity_key();
        request(|w| {
            w.put(&Username(username)).unwrap().put(&Realm(REALM)).unwrap().put(&Nonce(nonce)).unwrap().integrity(&key).unwrap();
        })
    }

    fn check(realm: &Authenticator, bytes: &[u8], unix: u64) -> Result<String, Refusal> {
        name(realm.authenticate(&Message::decode(bytes).unwrap(), IP, unix, &Known::default()))
    }

    fn name(identity: Result<Identity<'_>, Refusal>) -> Result<String, Refusal> {
        identity.map(|identity| match identity {
            Identity::Proven(credential) => credential.username().to_owned(),
            Identity::KeyWanted(username) => format!("{username}?"),
        })
    }

    #[test]
    fn rfc8489_9_2_4_the_checks_in_their_order() {
        let realm = realm(0);
        let nonce = realm.nonces().mint(IP, REALM, NOW, 1);
        let nonce = nonce.as_str();
        assert_eq!(check(&realm, &request(|_| {}), NOW), Err(Refusal::Unauthenticated));
        let without_nonce = request(|w| {
            w.put(&Username("alice")).unwrap().put(&Realm(REALM)).unwrap().integrity(&IntegrityKey::new(b"x")).unwrap();
        });
        assert_eq!(check(&realm, &without_nonce, NOW), Err(Refusal::BadRequest));
        assert_eq!(check(&realm, &signed("stale", "nobody", "x"), NOW), Err(Refusal::StaleNonce), "before the user is looked up");
        assert_eq!(check(&realm, &signed(nonce, "nobody", "secret"), NOW), Err(Refusal::UnknownUser));
        assert_eq!(check(&realm, &signed(nonce, "alice", "wrong"), NOW), Err(Refusal::WrongPassword));
        assert_eq!(check(&realm, &signed(nonce, "alice", "secret"), NOW), Ok("alice".into()));
        let hashed = request(|w| {
            w.put(&Userhash([0; 32])).unwrap().put(&Realm(REALM)).unwrap().put(&Nonce(nonce)).unwrap();
            w.integrity(&IntegrityKey::new(b"x")).unwrap();
        });
        assert_eq!(check(&realm, &hashed, NOW), Err(Refusal::UnknownUser));
    }

    #[test]
    fn h16_an_expired_rest_credential_works_no_more() {
        let username = format!("{}:alice", NOW + 100);
        let password = RestSecret::new(b"north").password_sha256(&username);
        for (grace, at, good) in [(0, 100, true), (0, 101, false), (50, 150, true), (50, 151, false)] {
            let realm = realm(grace);
            let nonce = realm.nonces().mint(IP, REALM, NOW + at, 1);
            let bytes = signed(nonce.as_str(), &username, &password);
            let held = Arc::new(RestSecret::new(b"north").credentials(&username, REALM).unwrap()[1].clone());
            let message = Message::decode(&bytes).unwrap();
            assert_eq!(realm.authenticate(&message, IP, NOW + at, &Known::default()).is_ok(), good);
            assert_eq!(
                realm.authenticate(&message, IP, NOW + at, &Known { held: Some(&held), ..Known::default() }).is_ok(),
                good,
                "with the key of its allocation"
            );
        }
    }

    #[test]
    fn a_rest_credential_of_either_hash_is_let_in() {
        let realm = realm(0);
        let nonce = realm.nonces().mint(IP, REALM, NOW, 1);
        let (username, secret) = (format!("{NOW}:bob"), RestSecret::new(b"north"));
        for password in [secret.password_sha1(&username), secret.password_sha256(&username)] {
            assert_eq!(check(&realm, &signed(nonce.as_str(), &username, &password), NOW), Ok(username.clone()));
        }
        assert_eq!(check(&realm, &signed(nonce.as_str(), &username, "guess"), NOW), Err(Refusal::WrongPassword));
    }

    #[test]
    fn a_user_of_the_further_source_is_asked_for_and_what_it_said_counts() {
        let mut realm = realm(0);
        let nonce = realm.nonces().mint(IP, REALM, NOW, 1);
        let carol = signed(nonce.as_str(), "carol", "x");
        assert_eq!(check(&realm, &carol, NOW), Err(Refusal::UnknownUser));
        realm.credentials.set_further_source();
        assert_eq!(check(&realm, &carol, NOW), Ok("carol?".into()));
        assert_eq!(check(&realm, &signed("stale", "carol", "x"), NOW), Err(Refusal::StaleNonce), "H10: before anybody is asked");
        assert_eq!(
            check(&realm, &signed(nonce.as_str(), "alice", "guess"), NOW),
            Err(Refusal::WrongPassword),
            "a user of the configuration"
        );
        let minted = format!("{}:carol", NOW + 1);
        assert_eq!(check(&realm, &signed(nonce.as_str(), &minted, "guess"), NOW), Err(Refusal::WrongPassword), "a name of REST's form");

        let credential = |password| Arc::new(Credential::new("carol", Key::long_term_md5("carol", REALM, password)));
        let message = Message::decode(&carol).unwrap();
        let held = credential("x");
        let ask = |keys: &KeyCache, source_failed| {
            name(realm.authenticate(&message, IP, NOW, &Known { held: Some(&held), keys: Some(keys), source_failed }))
        };
        let mut keys = KeyCache::new();
        assert_eq!(ask(&keys, false), Ok("carol?".into()), "the allocation's own credential may have been revoked");
        assert_eq!(ask(&keys, true), Ok("carol".into()), "but no call dies with the store");
        keys.insert(credential("x"), NOW);
        assert_eq!(ask(&keys, false), Ok("carol".into()));
        keys.insert(credential("another"), NOW);
        assert_eq!([ask(&keys, false), ask(&keys, true)], [Err(Refusal::WrongPassword), Err(Refusal::WrongPassword)]);
        keys.insert_unknown("carol", NOW);
        assert_eq!([ask(&keys, false), ask(&keys, true)], [Err(Refusal::UnknownUser), Err(Refusal::UnknownUser)]);
    }

    #[test]
    fn while_a_rest_secret_is_changed_both_are_in_use() {
        let realm = realm(0).with_rest_secrets([RestSecret::new(b"south")]);
        let nonce = realm.nonces().mint(IP, REALM, NOW, 1);
        let username = format!("{NOW}:bob");
        for (secret, good) in [("north", true), ("south", true), ("east", false)] {
            let password = RestSecret::new(secret.as_bytes()).password_sha1(&username);
            assert_eq!(check(&realm, &signed(nonce.as_str(), &username, &password), NOW).is_ok(), good, "{secret}");
        }
    }
}
