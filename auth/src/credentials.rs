use std::sync::Arc;

use ahash::AHashMap;

use crate::credential::Credential;
use crate::key::Key;
use crate::rest::RestSecret;

/// Where keys come from: the users of the configuration and a REST secret, in one realm.
#[derive(Debug, Default)]
pub struct Credentials {
    users: AHashMap<Box<str>, Arc<Credential>>,
    rest: Option<RestSecret>,
}

/// The credentials that a username may stand for; the message's integrity tells which.
pub type Candidates = [Option<Arc<Credential>>; 2];

impl Credentials {
    /// No user at all.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a user, or replaces the one of that name.
    pub fn add_user(&mut self, username: &str, key: Key) {
        self.users.insert(username.into(), Arc::new(Credential::new(username, key)));
    }

    /// Takes the REST credentials that this secret mints.
    pub fn set_rest_secret(&mut self, secret: RestSecret) {
        self.rest = Some(secret);
    }

    /// Whether nobody could ever log in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.rest.is_none()
    }

    /// Whom `username` may stand for. A user of the configuration goes before a REST credential of the same name.
    #[must_use]
    pub fn candidates(&self, username: &str, realm: &str) -> Candidates {
        if let Some(user) = self.users.get(username) {
            return [Some(Arc::clone(user)), None];
        }
        match self.rest.as_ref().and_then(|rest| rest.credentials(username, realm)) {
            Some(both) => both.map(|credential| Some(Arc::new(credential))),
            None => [None, None],
        }
    }
}
