use std::sync::Arc;

use ahash::AHashMap;

use crate::credential::Credential;
use crate::key::Key;
use crate::rest::RestSecret;

/// Where keys come from in one realm: the users of the configuration, REST secrets, and, if there is one, a source that answers later.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    users: AHashMap<Box<str>, Arc<Credential>>,
    rest: Vec<RestSecret>,
    further_source: bool,
}

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

    /// Takes the REST credentials that this secret mints, too: while a secret is changed, both are in use.
    pub fn add_rest_secret(&mut self, secret: RestSecret) {
        self.rest.push(secret);
    }

    /// Says that there are users elsewhere: whoever is not found here is asked for, and what was known of one may be void by now.
    pub fn set_further_source(&mut self) {
        self.further_source = true;
    }

    /// Whether there are users elsewhere.
    #[must_use]
    pub fn has_further_source(&self) -> bool {
        self.further_source
    }

    /// Whether nobody could ever log in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.rest.is_empty() && !self.further_source
    }

    /// The credentials that `username` may stand for, as far as they are here; the message's integrity tells which. A user of the
    /// configuration goes before a REST credential of the same name.
    pub fn candidates<'a>(&'a self, username: &'a str, realm: &'a str) -> impl Iterator<Item = Arc<Credential>> + 'a {
        let user = self.users.get(username).map(Arc::clone);
        let secrets = if user.is_some() { &[][..] } else { &self.rest };
        let minted = secrets.iter().filter_map(move |secret| secret.credentials(username, realm)).flatten().map(Arc::new);
        user.into_iter().chain(minted)
    }
}
