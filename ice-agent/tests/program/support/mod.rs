//! A rendezvous as a process, which ends with the test, also when it fails.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use causeway_kit::Process;
use ice_agent::transport::http::{BaseUrl, HttpClient};

/// A rendezvous on a free port of the loopback interface.
pub(crate) struct Rendezvous {
    pub(crate) base: BaseUrl,
    pub(crate) address: SocketAddr,
    process: Process,
}

impl Rendezvous {
    pub(crate) async fn start(extra: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ice-agent"));
        command.args(["rendezvous", "--listen", "127.0.0.1:0"]).args(extra);
        let mut process = Process::start("ice-agent rendezvous", command).unwrap();
        let line = process.wait_line("://", Duration::from_secs(20)).unwrap();
        let base: BaseUrl = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
        let address = SocketAddr::new(base.host().parse().unwrap(), base.port());
        Self { base, address, process }
    }

    /// Kills the process, as a crash would.
    pub(crate) async fn kill(&mut self) {
        self.process.kill().unwrap();
    }

    pub(crate) fn client(&self) -> HttpClient {
        HttpClient::direct(self.base.clone())
    }
}
