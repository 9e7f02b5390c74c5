//! A Redis server for one test: empty when it starts, in memory only, ended with the test.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::port;
use crate::process::{Error, Process};
use crate::scratch::Scratch;

/// How long a server has to start.
const START: Duration = Duration::from_secs(10);
/// How long one reply to PING may take, until the next PING.
const REPLY: Duration = Duration::from_secs(1);

/// A `redis-server` on loopback. Dropped, it is killed, also while it is halted.
pub struct RedisServer {
    port: u16,
    arguments: Vec<String>,
    process: Option<Process>,
    scratch: Scratch,
}

impl RedisServer {
    /// Starts one on a free port, with these further arguments, and waits until it replies.
    ///
    /// # Panics
    /// It is not installed, or does not start.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        let mut server = Self::absent(port::free());
        server.arguments = arguments.iter().map(ToString::to_string).collect();
        server.run();
        server
    }

    /// A server on this port that is not started yet; [`run`](Self::run) starts it.
    #[must_use]
    pub fn absent(port: u16) -> Self {
        Self { port, arguments: Vec::new(), process: None, scratch: Scratch::new() }
    }

    /// Starts it, or another one in its place, without any keys, and waits until it replies.
    ///
    /// # Panics
    /// It is not installed, or does not start.
    pub fn run(&mut self) {
        self.kill();
        let started = self.launch().unwrap_or_else(|error| {
            panic!("{error}; `cargo xtask test tools` installs what is missing")
        });
        let address = self.address();
        let process = self.process.insert(started);
        process
            .wait_until("reply to PING", START, || replies(address).is_some_and(|reply| reply))
            .unwrap_or_else(|error| panic!("{error}"));
    }

    fn launch(&self) -> Result<Process, Error> {
        let port = self.port.to_string();
        // `cargo xtask test store` runs the tests with several versions.
        let program =
            std::env::var_os("CAUSEWAY_REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
        let mut command = Command::new(program);
        command
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--maxmemory-policy", "noeviction", "--dir"])
            .arg(self.scratch.folder())
            .args(&self.arguments);
        Process::logged("redis-server", command, &self.scratch.path("log"))
    }

    /// Its address on loopback.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Its URL, without user and password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// Kills it by SIGKILL, if it runs.
    ///
    /// # Panics
    /// The kernel refuses.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap_or_else(|error| panic!("{error}"));
        }
    }

    /// Suspends it by SIGSTOP: the kernel still accepts connections for it, and it replies nothing.
    ///
    /// # Panics
    /// It does not run.
    pub fn halt(&self) {
        self.signal("STOP");
    }

    /// Continues it by SIGCONT.
    ///
    /// # Panics
    /// It does not run.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let process = self.process.as_ref().expect("the server runs");
        process.signal(name).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// Whether the server replies to PING, even if only that a password is missing. `None` when nothing
/// listens.
fn replies(address: SocketAddr) -> Option<bool> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(REPLY)).ok()?;
    stream.write_all(b"PING\r\n").ok()?;
    let mut reply = [0; 64];
    let length = stream.read(&mut reply).ok()?;
    let reply = &reply[..length];
    Some(!reply.is_empty() && !reply.starts_with(b"-LOADING"))
}
