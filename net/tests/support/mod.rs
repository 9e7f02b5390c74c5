//! A loop on a thread of its own, and what the tests ask of it.

// Not every test file uses every helper, and a helper that fails has failed the test.
#![allow(dead_code, clippy::unwrap_used)]

use std::net::{SocketAddr, UdpSocket as StdSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use causeway_net::{Clock, EventLoop, Io, Mailbox, Service, Stats, mailbox};

/// A running loop. It is stopped by [`stop`](Self::stop), which gives the service back.
pub(crate) struct Running<S: Service> {
    mail: mailbox::Sender<S::Mail>,
    thread: JoinHandle<S>,
    pub(crate) stats: Arc<Stats>,
}

/// Lets a test end the service's loop.
pub(crate) trait Stops: Service {
    fn stop_letter() -> Self::Mail;
}

/// Registers what `set_up` wants, and runs the loop on a thread.
pub(crate) fn run<S, R>(mut service: S, set_up: impl FnOnce(&mut S, &mut Io) -> R) -> (Running<S>, R)
where
    S: Service + Send + 'static,
    S::Mail: Send,
{
    let mut event_loop = EventLoop::new(Clock::start()).unwrap();
    let made = set_up(&mut service, event_loop.io());
    let stats = Arc::clone(event_loop.io().stats());
    let mailbox = Mailbox::new(16).unwrap();
    let receiver = mailbox.receiver;
    let thread = std::thread::spawn(move || {
        event_loop.run(&mut service, &receiver).unwrap();
        service
    });
    let running = Running { mail: mailbox.sender, thread, stats };
    (running, made)
}

impl<S: Stops> Running<S>
where
    S::Mail: std::fmt::Debug,
{
    pub(crate) fn send(&self, letter: S::Mail) {
        self.mail.send(letter).unwrap();
    }

    pub(crate) fn stop(self) -> S {
        self.mail.send(S::stop_letter()).unwrap();
        self.thread.join().unwrap()
    }
}

/// A plain socket of a client or peer.
pub(crate) fn plain_socket(local: &str) -> StdSocket {
    let socket = StdSocket::bind(local).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

/// An address on loopback with a port of the kernel's choice.
pub(crate) fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}
