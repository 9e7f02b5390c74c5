//! A Redis server of a test's own: empty when it starts, nothing of it on a disk.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use causeway_kit::Scratch;
use causeway_kit::port;
use redis::{Commands as _, Connection};

const START: Duration = Duration::from_secs(10);

/// A running `redis-server`; it is ended when dropped, also while it is halted.
pub(crate) struct RedisServer {
    port: u16,
    child: Child,
    scratch: Scratch,
}

impl RedisServer {
    pub(crate) fn start() -> Self {
        Self::start_on(port::free())
    }

    pub(crate) fn start_on(port: u16) -> Self {
        let scratch = Scratch::new();
        let mut server = Self { port, child: launch(port, &scratch), scratch };
        server.wait_open();
        server
    }

    pub(crate) fn url(&self) -> String {
        url(self.port)
    }

    /// It goes on existing, and does nothing.
    pub(crate) fn halt(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it was ended");
    }

    /// Another server on the same port, with nothing in it.
    pub(crate) fn replace(&mut self) {
        self.child = launch(self.port, &self.scratch);
        self.wait_open();
    }

    /// A setting of the running server.
    pub(crate) fn set(&self, name: &str, value: &str) {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg(name).arg(value);
        let () = set.query(&mut self.connection()).expect("it knows the setting");
    }

    /// Demands a password from now on, also of who is there.
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
            .expect("it ends them");
    }

    /// Demands none any more.
    pub(crate) fn let_in(&self, password: &str) {
        let mut connection = self.connection_as(password).expect("it is the password");
        let () = redis::cmd("CONFIG")
            .arg("SET")
            .arg("requirepass")
            .arg("")
            .query(&mut connection)
            .expect("it knows the setting");
    }

    /// What it holds under this name.
    pub(crate) fn read(&self, key: &str) -> Option<Vec<u8>> {
        self.connection().get(key).expect("it answers")
    }

    pub(crate) fn write(&self, key: &str, value: &[u8]) {
        let mut set = redis::cmd("SET");
        set.arg(key).arg(value).arg("KEEPTTL");
        let () = set.query(&mut self.connection()).expect("it takes it");
    }

    /// The members of a set; none if there is no such set.
    pub(crate) fn members(&self, key: &str) -> Vec<Vec<u8>> {
        self.connection().smembers(key).expect("it answers")
    }

    /// All its keys, in order.
    pub(crate) fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> =
            self.connection().keys("*").expect("it answers, and all keys are text");
        keys.sort();
        keys
    }

    pub(crate) fn connection(&self) -> Connection {
        self.connection_as("").expect("it listens")
    }

    /// With the default user's password.
    pub(crate) fn connection_as(&self, password: &str) -> redis::RedisResult<Connection> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let login = if password.is_empty() { String::new() } else { format!(":{password}@") };
        redis::Client::open(format!("redis://{login}{address}"))?.get_connection_with_timeout(START)
    }

    fn wait_open(&mut self) {
        let deadline = Instant::now() + START;
        let answers = |server: &Self| {
            let pong = server
                .connection_as("")
                .and_then(|mut connection| redis::cmd("PING").query::<String>(&mut connection));
            pong.is_ok()
        };
        while !answers(self) {
            let ended = self.child.try_wait().expect("it is our child");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "redis-server does not start: {}",
                self.scratch.read("log")
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status()
            .expect("kill is there");
        assert!(sent.success(), "redis-server had ended");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have been killed by the test: nothing is left to be done then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

fn launch(port: u16, scratch: &Scratch) -> Child {
    let log = std::fs::File::create(scratch.path("log")).expect("the folder is ours");
    // `cargo xtask test store` runs the tests over several versions.
    let program =
        std::env::var_os("CAUSEWAY_REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
    Command::new(program)
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ])
        .args([
            "--maxmemory-policy",
            "noeviction",
            "--dir",
            &scratch.path("").display().to_string(),
        ])
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a descriptor more"))
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| {
            panic!("redis-server: {error}; `cargo xtask test tools` brings what is missing")
        })
}
