//! A Redis server for one test, and the commands that the tests send it.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use causeway_kit::port;
use causeway_kit::redis::RedisServer as Server;
use redis::{Commands as _, Connection};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// A `redis-server` on loopback, from the kit.
pub(crate) struct RedisServer(Server);

impl Deref for RedisServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

impl DerefMut for RedisServer {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.0
    }
}

impl RedisServer {
    pub(crate) fn start() -> Self {
        Self(Server::start(&[]))
    }

    /// A server that is not started yet.
    pub(crate) fn absent() -> Self {
        Self(Server::absent(port::free()))
    }

    /// Changes a setting of the running server.
    pub(crate) fn set(&self, name: &str, value: &str) {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg(name).arg(value);
        let () = set.query(&mut self.connection()).expect("it knows the setting");
    }

    /// Demands a password from now on, and closes the connections that are open.
    pub(crate) fn lock_out(&self, password: &str) {
        let mut connection = self.connection();
        let () = redis::cmd("CONFIG")
            .arg("SET")
            .arg("requirepass")
            .arg(password)
            .query(&mut connection)
            .expect("it knows the setting");
        let mut kill = redis::cmd("CLIENT");
        let () = kill
            .arg("KILL")
            .arg("TYPE")
            .arg("normal")
            .query(&mut connection)
            .expect("it closes them");
    }

    /// Demands no password from now on.
    pub(crate) fn let_in(&self, password: &str) {
        let mut connection = self.connection_as(password).expect("the password is correct");
        let () = redis::cmd("CONFIG")
            .arg("SET")
            .arg("requirepass")
            .arg("")
            .query(&mut connection)
            .expect("it knows the setting");
    }

    /// The value of a key.
    pub(crate) fn read(&self, key: &str) -> Option<Vec<u8>> {
        self.connection().get(key).expect("Redis answers")
    }

    pub(crate) fn write(&self, key: &str, value: &[u8]) {
        let mut set = redis::cmd("SET");
        set.arg(key).arg(value).arg("KEEPTTL");
        let () = set.query(&mut self.connection()).expect("it stores the value");
    }

    /// The members of a set; none if there is no such set.
    pub(crate) fn members(&self, key: &str) -> Vec<Vec<u8>> {
        self.connection().smembers(key).expect("Redis answers")
    }

    /// All its keys, in order.
    pub(crate) fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> =
            self.connection().keys("*").expect("Redis answers, and all keys are text");
        keys.sort();
        keys
    }

    pub(crate) fn connection(&self) -> Connection {
        self.connection_as("").expect("it listens")
    }

    /// A connection with the default user's password.
    pub(crate) fn connection_as(&self, password: &str) -> redis::RedisResult<Connection> {
        let login = if password.is_empty() { String::new() } else { format!(":{password}@") };
        let url = format!("redis://{login}{}", self.address());
        redis::Client::open(url)?.get_connection_with_timeout(CONNECT)
    }
}
