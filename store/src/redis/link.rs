//! A connection to Redis whose calls all end within a timeout.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};
use tokio::time::timeout;

use super::error::{classify, late};
use super::settings::RedisSettings;
use crate::error::{ErrorKind, StoreError};

/// A connection that may be down. Every call on it ends within the timeout.
pub(crate) struct Link {
    client: Client,
    connect_timeout: Duration,
    timeout: Duration,
    connection: Option<MultiplexedConnection>,
}

impl Link {
    /// Creates a link without connecting.
    pub(crate) fn new(settings: &RedisSettings) -> Result<Self, StoreError> {
        Ok(Self {
            client: settings.client()?,
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
        // A hanging server still accepts connections, so the login must be within the timeout, too.
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

    /// A handle to the connection, for one [`call`](Self::call).
    pub(crate) fn connection(&self) -> Result<MultiplexedConnection, StoreError> {
        self.connection
            .clone()
            .ok_or_else(|| StoreError::new(ErrorKind::Unreachable, "not connected"))
    }

    /// The answer to a call, or a timeout. A failed connection is closed.
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

    /// The answer to a question that the server may reject without harm: the user lacks the
    /// permission, or the server does not know the command. Only a connection that does not answer
    /// is closed.
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

/// The answer to a call, or a timeout.
pub(crate) async fn call<T>(
    patience: Duration,
    asking: impl Future<Output = redis::RedisResult<T>>,
) -> Result<T, StoreError> {
    timeout(patience, asking).await.map_err(|_| late())?.map_err(|error| classify(&error))
}
