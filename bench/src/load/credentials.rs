//! The credentials of all clients, as far as the server's challenges have completed them.

use anyhow::{Context, Result};
use causeway_auth::Key;
use causeway_wire::attribute::{Nonce, Realm};
use causeway_wire::{IntegrityKey, Message};

/// Long-term credentials, completed by the server's challenge: one user for all clients, a nonce
/// for each client.
pub(crate) struct Credentials {
    pub(crate) username: String,
    password: String,
    pub(crate) realm: String,
    /// The key; `None` until the realm is known.
    pub(crate) key: Option<IntegrityKey>,
    /// The last nonce that any client got: servers whose nonces are valid for all clients accept it
    /// from the next client at once.
    shared: String,
    own: Vec<Option<Box<str>>>,
}

impl Credentials {
    pub(crate) fn new(username: &str, password: &str, clients: usize) -> Self {
        Self {
            username: username.into(),
            password: password.into(),
            realm: String::new(),
            key: None,
            shared: String::new(),
            own: vec![None; clients],
        }
    }

    /// Takes the realm and the nonce from a 401 or a 438.
    pub(crate) fn challenged(&mut self, client: usize, challenge: &Message<'_>) -> Result<()> {
        let nonce = challenge
            .attribute::<Nonce<'_>>()
            .ok()
            .flatten()
            .context("a challenge without NONCE")?
            .0;
        let realm =
            challenge.attribute::<Realm<'_>>().ok().flatten().map_or(&*self.realm, |realm| realm.0);
        if self.key.is_none() || realm != self.realm {
            self.key =
                Some(Key::long_term_md5(&self.username, realm, &self.password).integrity_key());
            self.realm = realm.into();
        }
        self.shared = nonce.into();
        self.own[client] = Some(nonce.into());
        Ok(())
    }

    /// The nonce for this client's requests.
    pub(crate) fn nonce(&self, client: usize) -> &str {
        self.own[client].as_deref().unwrap_or(&self.shared)
    }

    pub(crate) fn is_known(&self) -> bool {
        self.key.is_some()
    }
}
