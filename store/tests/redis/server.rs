//! The kit's Redis server, with the settings and commands of these tests.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use causeway_kit::port;
use causeway_kit::redis::RedisServer;
use causeway_store::RedisSettings;

pub(crate) struct Server(RedisServer);

impl Deref for Server {
    type Target = RedisServer;

    fn deref(&self) -> &RedisServer {
        &self.0
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut RedisServer {
        &mut self.0
    }
}

impl Server {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self(RedisServer::start(arguments))
    }

    /// An address at which no server listens yet.
    pub(crate) fn absent() -> Self {
        Self(RedisServer::absent(port::free()))
    }

    pub(crate) fn settings(&self) -> RedisSettings {
        let mut settings = RedisSettings::new(&self.url());
        settings.timeout = Duration::from_millis(400);
        settings.connect_timeout = Duration::from_millis(400);
        settings
    }

    /// The reply to a command, over a connection of its own.
    pub(crate) async fn ask<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let mut cmd = redis::cmd(command[0]);
        command[1..].iter().for_each(|argument| {
            cmd.arg(argument);
        });
        self.try_ask(&cmd).await.expect("the server answers")
    }

    pub(crate) async fn try_ask<T: redis::FromRedisValue>(
        &self,
        command: &redis::Cmd,
    ) -> redis::RedisResult<T> {
        let client = redis::Client::open(self.url()).expect("the URL is good");
        let mut connection = client.get_multiplexed_async_connection().await?;
        command.query_async(&mut connection).await
    }
}
