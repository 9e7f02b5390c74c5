//! `turnd` with a Redis beside it on the lab's public host: its allocations outlive a crash.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::services::{PASSWORD, USER, daemon};
use crate::{Lab, LabError, Process, Scratch, Transport, wait_port};

const PORT: u16 = 3481;
const REDIS_PORT: u16 = 6379;
const ADMIN_PORT: u16 = 9650;
const START: Duration = Duration::from_secs(20);
const END: Duration = Duration::from_secs(5);

/// The two of them, running.
#[derive(Debug)]
pub struct DurableTurnd {
    turnd: Process,
    redis: Process,
    address: SocketAddr,
    config: PathBuf,
    _scratch: Scratch,
}

impl DurableTurnd {
    /// Starts both and waits until they listen.
    ///
    /// # Errors
    /// [`LabError::Program`] when an executable is missing, or with the log of the program that did
    /// not start.
    pub fn start(lab: &Lab) -> Result<Self, LabError> {
        let scratch = Scratch::new();
        let host = lab.server.address();
        let address = SocketAddr::new(host, PORT);
        // A new namespace has its loopback down.
        lab.server.namespace.run("ip", &["link", "set", "lo", "up"], "")?;
        let mut redis = lab.server.namespace.command("redis-server");
        redis.args([
            "--port",
            &REDIS_PORT.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        let mut redis = Process::start("redis-server", redis)?;
        wait_port(
            &mut redis,
            Transport::Tcp,
            SocketAddr::from(([127, 0, 0, 1], REDIS_PORT)),
            START,
        )?;
        let password = scratch.write("password", PASSWORD).display().to_string();
        let locks = scratch.folder().display().to_string();
        let config = format!(
            r#"
            realm = "natlab.example"
            [[listen]]
            address = "{address}"
            [relay]
            addresses = ["{host}"]
            ports = "61000-62000"
            [auth]
            users = {{ {USER} = {{ password_file = "{password}" }} }}
            [limits]
            allocations_per_user = 100
            [admin]
            listen = "127.0.0.1:{ADMIN_PORT}"
            [store]
            url = "redis://127.0.0.1:{REDIS_PORT}"
            node_id = "natlab"
            fleet_key = "a secret of the lab, long enough for a fleet's"
            lock_directory = "{locks}"
            "#
        );
        let config = scratch.write("durable.toml", &config);
        let mut turnd = daemon("turnd", &lab.server.namespace, &config)?;
        wait_port(&mut turnd, Transport::Tcp, address, START)?;
        Ok(Self { turnd, redis, address, config, _scratch: scratch })
    }

    /// `HOST:PORT` of the TURN server.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills `turnd` and starts it again. Gives how long it was away, until its port was open, and
    /// what it says of its restoring.
    ///
    /// # Errors
    /// What `turnd` said if it did not come back, or restored nothing.
    pub fn crash(&mut self, lab: &Lab) -> Result<(Duration, String), LabError> {
        let killed = Instant::now();
        self.turnd.kill()?;
        self.turnd = daemon("turnd", &lab.server.namespace, &self.config)?;
        wait_port(&mut self.turnd, Transport::Tcp, self.address, START)?;
        let away = killed.elapsed();
        let restored = self.turnd.wait_line("restored=", START)?;
        Ok((away, restored))
    }

    /// Ends both by SIGTERM.
    ///
    /// # Errors
    /// [`LabError::Program`] when one does not end in time, or ends with a failure.
    pub fn stop(self) -> Result<(), LabError> {
        self.turnd.stop_cleanly(END)?;
        Ok(self.redis.stop_cleanly(END)?)
    }

    /// The last lines of `turnd`'s log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.turnd.log_tail()
    }
}
