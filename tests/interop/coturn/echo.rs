//! coturn's own peer, which sends everything back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use causeway_kit::{Process, port};

/// On 127.0.0.1 and on ::1, at one port. Ended when dropped.
pub(super) struct Echo {
    process: Process,
    pub(super) port: u16,
}

impl Echo {
    pub(super) fn start() -> Self {
        let port = port::free();
        let mut command = Command::new("turnutils_peer");
        command
            .args(["-L", "127.0.0.1", "-L", "::1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = Process::with_own_output("turnutils_peer", command).unwrap_or_else(|error| {
            panic!("{error}; `cargo xtask test tools` installs what is missing")
        });
        let mut echo = Self { process, port };
        echo.wait(Ipv4Addr::LOCALHOST.into());
        echo.wait(Ipv6Addr::LOCALHOST.into());
        echo
    }

    /// Until it answers: it writes nothing when it is ready.
    fn wait(&mut self, ip: IpAddr) {
        let socket = UdpSocket::bind((ip, 0)).expect("some port is free");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout can be set");
        let port = self.port;
        // Refused until it listens.
        let answers =
            || socket.send_to(b"ready?", (ip, port)).is_ok() && socket.recv(&mut [0; 16]).is_ok();
        self.process
            .wait_until(&format!("answer at {ip}, port {port}"), Duration::from_secs(10), answers)
            .unwrap_or_else(|error| panic!("{error}"));
    }
}
