//! Starts the real binary; what was started ends with the test, also when it fails.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::net::SocketAddr;
use std::process::Stdio;

use ice_agent::net::http::Origin;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A rendezvous on a free port of the loopback interface.
pub(crate) struct Rendezvous {
    pub(crate) origin: Origin,
    pub(crate) address: SocketAddr,
    _process: Child,
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
        let origin = line.trim().rsplit(' ').next().unwrap().to_owned();
        let address = origin.trim_start_matches("http://").parse().unwrap();
        Self { origin: origin.parse().unwrap(), address, _process: process }
    }
}
