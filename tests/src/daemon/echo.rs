//! A peer that sends everything back.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The peer; it ends when dropped.
pub struct Echo {
    /// The address that it receives at.
    pub address: SocketAddr,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    /// Starts it on 127.0.0.1.
    #[must_use]
    pub fn start() -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST.into())
    }

    /// Starts it on this address of loopback.
    #[must_use]
    pub fn start_on(ip: IpAddr) -> Self {
        let socket = UdpSocket::bind((ip, 0)).expect("some port is free");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout can be set");
        let address = socket.local_addr().expect("it is bound");
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        let thread = thread::spawn(move || {
            let mut buffer = [0; 65_536];
            while !until.load(Ordering::Relaxed) {
                if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    // The relay may have ended: that is not what this peer tests.
                    let _ = socket.send_to(&buffer[..length], from);
                }
            }
        });
        Self { address, over, thread: Some(thread) }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // The test may be panicking already; a second panic would abort it.
            let _ = thread.join();
        }
    }
}
