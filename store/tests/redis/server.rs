//! A redis-server of our own, on loopback and a random port, ended with the test.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use causeway_store::RedisSettings;

pub(crate) struct Server {
    child: Option<Child>,
    port: u16,
    arguments: Vec<String>,
}

impl Server {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let port = free_port();
        let mut server = Self {
            child: None,
            port,
            arguments: arguments.iter().map(ToString::to_string).collect(),
        };
        server.run();
        server
    }

    /// A server at whose address nobody is.
    pub(crate) fn absent() -> Self {
        Self { child: None, port: free_port(), arguments: Vec::new() }
    }

    /// Starts it (again), empty.
    pub(crate) fn run(&mut self) {
        // `cargo xtask test store` runs the tests over several versions.
        let program =
            std::env::var_os("CAUSEWAY_REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
        let child = Command::new(program)
            .args([
                "--port",
                &self.port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .args(&self.arguments)
            .stdout(Stdio::null())
            .current_dir(std::env::temp_dir())
            .spawn()
            .expect("redis-server runs (Debian's package redis-server brings it)");
        self.child = Some(child);
        let start = Instant::now();
        while TcpStream::connect(self.address()).is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("our own child can be killed");
            child.wait().expect("our own child can be waited for");
        }
    }

    /// SIGSTOP: it accepts connections and answers nothing.
    pub(crate) fn stop(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT.
    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.as_ref().expect("the server runs").id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill {signal} {id}");
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub(crate) fn settings(&self) -> RedisSettings {
        let mut settings = RedisSettings::new(&format!("redis://{}", self.address()));
        settings.timeout = Duration::from_millis(400);
        settings.connect_timeout = Duration::from_millis(400);
        settings
    }

    /// A connection of the client library, to look behind the scenes.
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
        let client =
            redis::Client::open(format!("redis://{}", self.address())).expect("the URL is good");
        let mut connection = client.get_multiplexed_async_connection().await?;
        command.query_async(&mut connection).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    probe.local_addr().expect("a bound socket has an address").port()
}
