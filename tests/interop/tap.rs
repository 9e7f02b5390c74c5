//! A UDP forwarder between clients and `turnd` that notes how they log in.

use std::collections::{BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use causeway_wire::attribute::AttributeType;
use causeway_wire::{Class, Message, Method};

/// How a client shows that it knows the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Login {
    /// By MESSAGE-INTEGRITY-SHA256, not by MESSAGE-INTEGRITY.
    pub(crate) sha256: bool,
    /// PASSWORD-ALGORITHM and PASSWORD-ALGORITHMS are there.
    pub(crate) algorithm: bool,
    /// By USERHASH, not by USERNAME.
    pub(crate) hidden_name: bool,
}

/// The forwarder; it ends when dropped.
pub(crate) struct Tap {
    /// Where clients come in.
    pub(crate) address: SocketAddr,
    logins: Arc<Mutex<BTreeSet<Login>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Tap {
    /// In front of a server on 127.0.0.1.
    pub(crate) fn start(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("some port is free");
        let address = socket.local_addr().expect("it is bound");
        let (logins, over) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (noted, until) = (Arc::clone(&logins), Arc::clone(&over));
        let thread = thread::spawn(move || forward(&socket, server, &noted, &until));
        Self { address, logins, over, thread: Some(thread) }
    }

    /// The kinds of login in the requests that have passed.
    pub(crate) fn logins(&self) -> Vec<Login> {
        self.logins
            .lock()
            .expect("no thread panics while it holds the lock")
            .iter()
            .copied()
            .collect()
    }
}

fn forward(
    socket: &UdpSocket,
    server: SocketAddr,
    logins: &Mutex<BTreeSet<Login>>,
    until: &AtomicBool,
) {
    let mut buffer = [0; 65_536];
    let mut clients: HashMap<SocketAddr, UdpSocket> = HashMap::new();
    socket.set_nonblocking(true).expect("it can be set");
    while !until.load(Ordering::Relaxed) {
        let mut idle = true;
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            idle = false;
            logins
                .lock()
                .expect("no thread panics while it holds the lock")
                .extend(login(&buffer[..length]));
            let way = clients.entry(client).or_insert_with(|| way_to(server));
            // A server that has gone is no matter of ours.
            let _ = way.send(&buffer[..length]);
        }
        for (client, way) in &clients {
            while let Ok(length) = way.recv(&mut buffer) {
                idle = false;
                // Nor is a client.
                let _ = socket.send_to(&buffer[..length], client);
            }
        }
        if idle {
            thread::sleep(Duration::from_micros(500));
        }
    }
}

fn way_to(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("some port is free");
    socket.connect(server).expect("loopback is there");
    socket.set_nonblocking(true).expect("it can be set");
    socket
}

/// How this datagram logs in, if it is an Allocate request that does.
fn login(datagram: &[u8]) -> Option<Login> {
    let message = Message::decode(datagram).ok()?;
    let is_login = message.method() == Method::ALLOCATE && message.class() == Class::Request;
    (is_login && (message.has_integrity() || message.has_integrity_sha256())).then(|| Login {
        sha256: message.has_integrity_sha256() && !message.has_integrity(),
        algorithm: message.has(AttributeType::PASSWORD_ALGORITHM)
            && message.has(AttributeType::PASSWORD_ALGORITHMS),
        hidden_name: message.has(AttributeType::USERHASH) && !message.has(AttributeType::USERNAME),
    })
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its panic would be a second one here.
            let _ = thread.join();
        }
    }
}
