//! Starts the real binary. The process ends with the test, even if the test fails.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::net::SocketAddr;
use std::process::Stdio;

use ice_agent::transport::http::{BaseUrl, HttpClient};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A rendezvous on a free port of the loopback interface.
pub(crate) struct Rendezvous {
    pub(crate) base: BaseUrl,
    pub(crate) address: SocketAddr,
    process: Child,
}

impl Rendezvous {
    pub(crate) async fn start(extra: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_ice-agent"))
            .args(["rendezvous", "--listen", "127.0.0.1:0"])
            .args(extra)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
        let base: BaseUrl = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
        let address = SocketAddr::new(base.host().parse().unwrap(), base.port());
        Self { base, address, process }
    }

    /// Kills the process, as a crash would.
    pub(crate) async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    pub(crate) fn client(&self) -> HttpClient {
        HttpClient::direct(self.base.clone())
    }
}
