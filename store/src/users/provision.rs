//! Writes users and secrets, for tools that provision them.

use redis::Pipeline;

use super::keys::{ALGORITHMS, NOT_AFTER, RestSecret, UserKeys, is_name};
use super::secret::{self, Place};
use super::{Users, keys};
use crate::error::{ErrorKind, StoreError};
use crate::redis::keys::{USERS_VERSION, secret as secret_key, user as user_key};
use crate::redis::unix_millis;

/// Writing. Each call also increments the version, so that every server drops its cache within its
/// polling interval.
impl Users {
    /// Creates or replaces a user.
    ///
    /// # Errors
    /// The store did not take the user.
    pub async fn put_user(
        &self,
        realm: &str,
        username: &str,
        user: &UserKeys,
    ) -> Result<(), StoreError> {
        let key = user_key(realm, username);
        let not_after = user.not_after.map(|time| time.to_string()).unwrap_or_default();
        let mut pipeline = Pipeline::new();
        pipeline.atomic().cmd("DEL").arg(&key).ignore();
        pipeline.cmd("HSET").arg(&key);
        for long_term in &user.keys {
            let (_, field) =
                ALGORITHMS[usize::from(long_term.algorithm() == keys::ALGORITHMS[1].0)];
            let place = Place { key: &key, field, not_after: &not_after };
            let text = secret::write(
                &self.fleet_key,
                self.settings.protection,
                place,
                long_term.as_bytes(),
                unix_millis() / 1000,
            );
            pipeline.arg(field).arg(text.as_str());
        }
        if user.not_after.is_some() {
            pipeline.arg(NOT_AFTER).arg(&not_after);
        }
        pipeline.ignore();
        self.change(pipeline).await
    }

    /// Removes a user.
    ///
    /// # Errors
    /// The store did not do it.
    pub async fn remove_user(&self, realm: &str, username: &str) -> Result<(), StoreError> {
        let mut pipeline = Pipeline::new();
        pipeline.atomic().cmd("DEL").arg(user_key(realm, username)).ignore();
        self.change(pipeline).await
    }

    /// Creates a secret of a realm, or replaces the one of that name.
    ///
    /// # Errors
    /// The name is not valid, or the store did not take the secret.
    pub async fn put_secret(&self, realm: &str, secret: &RestSecret) -> Result<(), StoreError> {
        if !is_name(&secret.name) {
            return Err(StoreError::new(
                ErrorKind::Other,
                "the secret's name is not valid; use 1 to 64 letters, digits, '.', '_' and '-'",
            ));
        }
        let key = secret_key(realm);
        let not_after = secret.not_after.map(|time| time.to_string()).unwrap_or_default();
        let place = Place { key: &key, field: &secret.name, not_after: &not_after };
        let mut text = secret::write(
            &self.fleet_key,
            self.settings.protection,
            place,
            &secret.secret,
            unix_millis() / 1000,
        );
        if secret.not_after.is_some() {
            text.push_str(&format!(";not_after={not_after}"));
        }
        let mut pipeline = Pipeline::new();
        pipeline.atomic().cmd("HSET").arg(&key).arg(&secret.name).arg(text.as_str()).ignore();
        self.change(pipeline).await
    }

    /// Removes a secret of a realm.
    ///
    /// # Errors
    /// The store did not do it.
    pub async fn remove_secret(&self, realm: &str, name: &str) -> Result<(), StoreError> {
        let mut pipeline = Pipeline::new();
        pipeline.atomic().cmd("HDEL").arg(secret_key(realm)).arg(name).ignore();
        self.change(pipeline).await
    }

    async fn change(&self, mut pipeline: Pipeline) -> Result<(), StoreError> {
        pipeline.cmd("INCR").arg(USERS_VERSION).ignore();
        self.connection
            .ask(async |mut connection| pipeline.query_async::<()>(&mut connection).await)
            .await
    }
}
