use std::net::IpAddr;
use std::sync::Arc;

use causeway_wire::attribute::{AttributeType, Nonce, Realm, Username};
use causeway_wire::{ErrorCode, IntegrityKey, Message};

use crate::credential::Credential;
use crate::credentials::Credentials;
use crate::nonce::NonceKeys;

/// RFC 8489 §14.6: TURN names no truncation, so the value is whole.
const SHA256_MIN_LEN: usize = 32;

/// One realm: its users, its nonces, its answers to who may come in.
#[derive(Debug)]
pub struct Authenticator {
    realm: Box<str>,
    credentials: Credentials,
    nonces: NonceKeys,
    grace: u64,
    decoy: IntegrityKey,
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

    /// Changes the keys of its nonces.
    pub fn nonces_mut(&mut self) -> &mut NonceKeys {
        &mut self.nonces
    }

    /// The checks of RFC 8489 §9.2.4 on a request from `ip` at `unix` seconds. `held` is the credential of the client's allocation, which
    /// saves looking it up again.
    ///
    /// # Errors
    /// [`Refusal`], the first check that failed.
    pub fn authenticate(
        &self,
        request: &Message<'_>,
        ip: IpAddr,
        unix: u64,
        held: Option<&Arc<Credential>>,
    ) -> Result<Arc<Credential>, Refusal> {
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
        self.prove(request, username, unix, held)
    }

    /// The integrity, under each key that the username may have. An unknown user costs as much as a wrong password (H34).
    fn prove(
        &self,
        request: &Message<'_>,
        username: Option<&str>,
        unix: u64,
        held: Option<&Arc<Credential>>,
    ) -> Result<Arc<Credential>, Refusal> {
        let held = held.filter(|credential| username == Some(credential.username()));
        let candidates = match (held, username) {
            (Some(credential), _) => [Some(Arc::clone(credential)), None],
            (None, Some(username)) => self.credentials.candidates(username, &self.realm),
            (None, None) => [None, None],
        };
        let mut refusal = Refusal::UnknownUser;
        if candidates[0].is_none() {
            // The verdict stands; only the time is wanted.
            std::hint::black_box(verify(request, &self.decoy));
        }
        for credential in candidates.into_iter().flatten() {
            if !verify(request, credential.integrity()) {
                refusal = Refusal::WrongPassword;
            } else if credential.is_valid(unix, self.grace) {
                return Ok(credential);
            } else {
                return Err(Refusal::UnknownUser);
            }
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
        credentials.set_rest_secret(RestSecret::new(b"north"));
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
        realm.authenticate(&Message::decode(bytes).unwrap(), IP, unix, None).map(|c| c.username().to_owned())
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
            assert_eq!(realm.authenticate(&message, IP, NOW + at, None).is_ok(), good);
            assert_eq!(realm.authenticate(&message, IP, NOW + at, Some(&held)).is_ok(), good, "with the key of its allocation");
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
}
