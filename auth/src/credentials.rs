//! The sources of credentials in a realm: configured users, REST secrets, and an external source.

use std::sync::Arc;

use ahash::AHashMap;
use sha2::{Digest, Sha256};

use crate::credential::Credential;
use crate::key::Algorithm;
use crate::offers::Offers;
use crate::rest::RestSecret;
use crate::rest_name::RestName;

/// The sources of keys in a realm: the configured users, the REST secrets and, if there is one, an
/// external source that answers later.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    users: AHashMap<Box<str>, Arc<Credential>>,
    rest: Vec<RestSecret>,
    rest_name: RestName,
    further_source: Option<FurtherSource>,
}

/// An external source of users, asked for one user at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FurtherSource {
    /// Whether each of its users has a SHA-256 key.
    pub has_sha256: bool,
}

impl Credentials {
    /// No users and no secrets.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a configured user, or replaces the one with the same name.
    pub fn add_user(&mut self, credential: Credential) {
        self.users.insert(credential.username().into(), Arc::new(credential));
    }

    /// Accepts REST credentials of this secret as well: both are in use while a secret is rotated.
    pub fn add_rest_secret(&mut self, secret: RestSecret) {
        self.rest.push(secret);
    }

    /// Sets the form of the usernames of REST credentials.
    pub fn set_rest_name(&mut self, form: RestName) {
        self.rest_name = form;
    }

    /// Whether `username` has the form of a REST credential in this realm.
    #[must_use]
    pub(crate) fn is_rest_name(&self, username: &str) -> bool {
        self.rest_name.reads(username)
    }

    /// Whether REST credentials are accepted.
    pub(crate) fn has_rest_secrets(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Adds an external source: it is asked for users that are not found here, and what is known
    /// about one of its users may be outdated.
    pub fn set_further_source(&mut self, source: FurtherSource) {
        self.further_source = Some(source);
    }

    /// Whether there is an external source.
    #[must_use]
    pub fn has_further_source(&self) -> bool {
        self.further_source.is_some()
    }

    /// Whether no user could ever log in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.rest.is_empty() && self.further_source.is_none()
    }

    /// The offers that each of these sources can serve. A REST secret derives keys of any
    /// algorithm, but for names that are not known in advance.
    #[must_use]
    pub fn offers(&self) -> Offers {
        let here = self.users.values().all(|user| user.key(Algorithm::Sha256).is_some());
        let elsewhere = self.further_source.is_none_or(|source| source.has_sha256);
        let enumerable = self.rest.is_empty() && self.further_source.is_none();
        Offers {
            sha256: !self.is_empty() && here && elsewhere,
            anonymity: !self.users.is_empty() && enumerable,
        }
    }

    /// The local credentials with a key of `algorithm` that `username` may stand for at `unix`; the
    /// message's integrity tells which. A configured user precedes a REST credential of the same
    /// name.
    pub fn candidates<'a>(
        &'a self,
        username: &'a str,
        realm: &'a str,
        algorithm: Algorithm,
        unix: u64,
    ) -> impl Iterator<Item = Arc<Credential>> + 'a {
        let user = self.users.get(username);
        let secrets = if user.is_some() { &[][..] } else { &self.rest };
        let in_use = secrets.iter().filter(move |secret| secret.has_begun(unix));
        let minted = in_use
            .filter_map(move |secret| {
                secret.credentials(self.rest_name, username, realm, algorithm)
            })
            .flatten()
            .map(Arc::new);
        user.filter(|user| user.key(algorithm).is_some()).map(Arc::clone).into_iter().chain(minted)
    }

    /// The configured users by the value of USERHASH in `realm` (RFC 8489 §14.4).
    pub(crate) fn by_hash(&self, realm: &str) -> AHashMap<[u8; 32], Arc<Credential>> {
        self.users
            .values()
            .map(|user| (userhash(user.username(), realm), Arc::clone(user)))
            .collect()
    }
}

/// `SHA-256(username ":" realm)`, both as [`crate::opaque_string`] returns them (RFC 8489 §14.4).
#[must_use]
pub fn userhash(username: &str, realm: &str) -> [u8; 32] {
    Sha256::new().chain_update(username).chain_update(":").chain_update(realm).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;

    #[test]
    fn a_realm_offers_what_each_of_its_sources_can_serve() {
        let user = || Credential::with_password("alice", "r", "p").unwrap();
        let old = || Credential::new("bob", Key::long_term_md5("bob", "r", "p"));
        let of = |fill: fn(&mut Credentials, [Credential; 2])| {
            let mut credentials = Credentials::new();
            fill(&mut credentials, [user(), old()]);
            let Offers { sha256, anonymity } = credentials.offers();
            (sha256, anonymity)
        };
        assert_eq!(of(|_, _| ()), (false, false), "no source");
        assert_eq!(of(|c, [user, _]| c.add_user(user)), (true, true), "users with passwords");
        assert_eq!(
            of(|c, [user, old]| [user, old].into_iter().for_each(|user| c.add_user(user))),
            (false, true),
            "one has an MD5 key only"
        );
        assert_eq!(
            of(|c, _| c.add_rest_secret(RestSecret::new(b"x"))),
            (true, false),
            "names that are minted later"
        );
        assert_eq!(
            of(|c, _| c.set_further_source(FurtherSource::default())),
            (false, false),
            "users elsewhere"
        );
        assert_eq!(
            of(|c, _| c.set_further_source(FurtherSource { has_sha256: true })),
            (true, false),
            "users with both keys"
        );
        let mixed = |c: &mut Credentials, [user, _]: [Credential; 2]| {
            c.add_user(user);
            c.set_further_source(FurtherSource::default());
        };
        assert_eq!(of(mixed), (false, false), "the weakest source counts");
    }

    #[test]
    fn rfc8489_14_4_userhash_is_sha256_over_username_and_realm() {
        // Computed with `printf alice:example.org | openssl dgst -sha256`.
        assert_eq!(
            userhash("alice", "example.org")[..8],
            [0x43, 0x5b, 0x79, 0x33, 0x09, 0x6a, 0x30, 0x4d]
        );
    }
}
