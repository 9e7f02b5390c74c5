//! coturn's own peer, which sends everything back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use causeway_kit::port;

/// On 127.0.0.1 and on ::1, at one port. Ended when dropped.
pub(super) struct Echo {
    child: Child,
    pub(super) port: u16,
}

impl Echo {
    pub(super) fn start() -> Self {
        let port = port::free();
        let child = Command::new("turnutils_peer")
            .args(["-L", "127.0.0.1", "-L", "::1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("turnutils_peer: {error}; `cargo xtask test tools` brings what is missing")
            });
        let echo = Self { child, port };
        echo.wait(Ipv4Addr::LOCALHOST.into());
        echo.wait(Ipv6Addr::LOCALHOST.into());
        echo
    }

    /// Until it answers: it says nothing when it is ready.
    fn wait(&self, ip: IpAddr) {
        let socket = UdpSocket::bind((ip, 0)).expect("some port is free");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout can be set");
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut answer = [0; 16];
        while Instant::now() < deadline {
            // Refused until it is there.
            let sent = socket.send_to(b"ready?", (ip, self.port));
            if sent.is_ok() && socket.recv(&mut answer).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("turnutils_peer does not answer at {ip}, port {}", self.port);
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // It may have ended by itself, and then both fail: nothing is left to be done.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
