use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo};
use tokio::time::timeout;

use super::RedisSettings;
use super::error::{classify, late};
use super::url;
use crate::error::{ErrorKind, StoreError};

/// A connection that is there or not; every call on it ends in time.
pub(crate) struct Link {
    client: Client,
    connect_timeout: Duration,
    timeout: Duration,
    connection: Option<MultiplexedConnection>,
}

impl Link {
    /// Connects to nobody yet.
    pub(crate) fn new(settings: &RedisSettings) -> Result<Self, StoreError> {
        let refused = |why: String| {
            StoreError::new(ErrorKind::Other, format!("the Redis URL cannot be used: {why}"))
        };
        url::reason(&settings.url).map_err(refused)?;
        let info = settings
            .url
            .as_str()
            .into_connection_info()
            .map_err(|error| refused(error.category().to_owned()))?;
        let mut login = info.redis_settings().clone();
        if let Some(username) = &settings.username {
            login = login.set_username(username);
        }
        if let Some(password) = &settings.password {
            login = login.set_password(password.as_str());
        }
        let client = Client::open(info.set_redis_settings(login))
            .map_err(|error| refused(error.category().to_owned()))?;
        Ok(Self {
            client,
            connect_timeout: settings.connect_timeout,
            timeout: settings.timeout,
            connection: None,
        })
    }

    pub(crate) fn is_up(&self) -> bool {
        self.connection.is_some()
    }

    pub(crate) async fn connect(&mut self) -> Result<(), StoreError> {
        self.connection = None;
        // A server that hangs still accepts: the login must be within the time, too.
        let limits = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.timeout));
        let connecting = timeout(
            self.connect_timeout,
            self.client.get_multiplexed_async_connection_with_config(&limits),
        );
        self.connection =
            Some(connecting.await.map_err(|_| late())?.map_err(|error| classify(&error))?);
        Ok(())
    }

    /// A handle to the connection, for one call through [`call`].
    pub(crate) fn connection(&self) -> Result<MultiplexedConnection, StoreError> {
        self.connection
            .clone()
            .ok_or_else(|| StoreError::new(ErrorKind::Unreachable, "not connected"))
    }

    /// The answer to a call, in time; a connection that has failed is closed.
    pub(crate) async fn call<T>(
        &mut self,
        asking: impl Future<Output = redis::RedisResult<T>>,
    ) -> Result<T, StoreError> {
        let answer = call(self.timeout, asking).await;
        if answer.as_ref().is_err_and(|error| !error.kind.keeps_connection()) {
            self.connection = None;
        }
        answer
    }

    /// The answer to a question that the server may refuse without harm: the user has no right to
    /// it, or the server does not know it. Only a connection that does not answer is closed.
    pub(crate) async fn ask<T>(
        &mut self,
        asking: impl Future<Output = redis::RedisResult<T>>,
    ) -> Result<T, StoreError> {
        let answer = call(self.timeout, asking).await;
        let is_lost =
            |kind| matches!(kind, ErrorKind::Unreachable | ErrorKind::Timeout | ErrorKind::Loading);
        if answer.as_ref().is_err_and(|error| is_lost(error.kind)) {
            self.connection = None;
        }
        answer
    }

    pub(crate) fn disconnect(&mut self) {
        self.connection = None;
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }
}

/// The answer to a call, in time.
pub(crate) async fn call<T>(
    patience: Duration,
    asking: impl Future<Output = redis::RedisResult<T>>,
) -> Result<T, StoreError> {
    timeout(patience, asking).await.map_err(|_| late())?.map_err(|error| classify(&error))
}
