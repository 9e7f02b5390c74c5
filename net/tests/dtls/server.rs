//! A worker that serves DTLS and sends back what comes.

use std::net::{SocketAddr, UdpSocket as StdSocket};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use causeway_net::secure::{HandshakeLimits, Handshaker, Identity, Offer};
use causeway_net::{
    Admission, Arrival, AssociationInfo, AssociationKey, Clock, DatagramListenerOptions, EventLoop,
    Io, Mailbox, Packet, Sample, Service, Stats, TrustedProxies, UdpOptions, UdpSocket, mailbox,
};

/// The number that the service gives its associations.
pub(crate) const TAG: u64 = 77;

#[derive(Debug)]
pub(crate) enum Event {
    Associated(AssociationInfo),
    Dissociated(AssociationInfo),
    /// A decrypted datagram, or a plain one.
    Datagram(Arrival, Vec<u8>),
}

type Message = Box<dyn FnOnce(&mut Io) + Send>;

struct Echo {
    events: mpsc::Sender<Event>,
    refuses: bool,
}

impl Service for Echo {
    type Message = Message;

    fn datagram(&mut self, _: Sample, arrival: &Arrival, packet: &mut Packet<'_>, io: &mut Io) {
        let _ = self.events.send(Event::Datagram(*arrival, packet.payload().to_vec()));
        let len = packet.payload().len();
        match arrival.association {
            Some(key) => {
                io.reply_buffer()[..len].copy_from_slice(packet.payload());
                let _ = io.reply_secure(key, len);
            }
            None => io.forward(&arrival.reply(), packet, b"plain ", 0..len, 0),
        }
    }

    fn associated(&mut self, _: Sample, association: &AssociationInfo, _: &mut Io) -> Admission {
        let _ = self.events.send(Event::Associated(*association));
        if self.refuses { Admission::Refuse } else { Admission::Accept { tag: TAG } }
    }

    fn dissociated(&mut self, _: Sample, association: &AssociationInfo, _: &mut Io) {
        let _ = self.events.send(Event::Dissociated(*association));
    }

    fn message(&mut self, _: Sample, message: Message, io: &mut Io) {
        message(io);
    }
}

/// The settings of a server.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) limits: HandshakeLimits,
    /// Whether the service refuses associations.
    pub(crate) refuses: bool,
    pub(crate) proxies: Option<Arc<TrustedProxies>>,
}

/// A running server, which ends with the test.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) handshaker: Handshaker,
    mail: mailbox::Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

pub(crate) const ALPN: &[&[u8]] = &[b"stun.turn", b"stun.nat-discovery"];

pub(crate) fn offer(identities: Vec<Identity>) -> Offer {
    Offer { identities: identities.into_iter().map(Arc::new).collect(), alpn: ALPN }
}

impl Server {
    pub(crate) fn start(identities: Vec<Identity>) -> Self {
        Self::start_with(identities, Settings::default())
    }

    pub(crate) fn start_with(
        identities: Vec<Identity>,
        Settings { limits, refuses, proxies }: Settings,
    ) -> Self {
        let handshaker = Handshaker::start(offer(identities), limits).unwrap();
        let mut event_loop = EventLoop::with_handshaker(Clock::start(), Some(&handshaker)).unwrap();
        let socket = UdpSocket::bind("0.0.0.0:0".parse().unwrap(), &UdpOptions::LISTENER).unwrap();
        let address = SocketAddr::new([127, 0, 0, 1].into(), socket.local_addr().port());
        event_loop
            .io()
            .listen_udp(
                socket,
                DatagramListenerOptions { tag: 1, plain: true, dtls: true, proxies },
            )
            .unwrap();
        let stats = Arc::clone(event_loop.io().stats());
        let Mailbox { sender, receiver } = Mailbox::new(16).unwrap();
        let (tell, events) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            event_loop.run(&mut Echo { events: tell, refuses }, &receiver).unwrap();
        });
        Self { address, events, stats, handshaker, mail: sender, thread: Some(thread) }
    }

    /// Waits for the next event.
    pub(crate) fn event(&self) -> Event {
        self.events.recv_timeout(Duration::from_secs(10)).expect("an event")
    }

    /// Waits for the next event, which must be a new association.
    pub(crate) fn associated(&self) -> AssociationInfo {
        match self.event() {
            Event::Associated(info) => info,
            other => panic!("{other:?} instead of an association"),
        }
    }

    /// Waits for the next event, which must be the end of an association.
    pub(crate) fn dissociated(&self) -> AssociationKey {
        match self.event() {
            Event::Dissociated(info) => info.key,
            other => panic!("{other:?} instead of an end"),
        }
    }

    /// Waits for the next event, which must be a datagram.
    pub(crate) fn datagram(&self) -> (Arrival, Vec<u8>) {
        match self.event() {
            Event::Datagram(arrival, bytes) => (arrival, bytes),
            other => panic!("{other:?} instead of a datagram"),
        }
    }

    pub(crate) fn assert_quiet(&self) {
        if let Ok(event) = self.events.recv_timeout(Duration::from_millis(100)) {
            panic!("unexpected {event:?}");
        }
    }

    /// Runs `act` on the worker's thread and waits for its result.
    pub(crate) fn with_io<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Io) -> R + Send + 'static,
    ) -> R {
        let (tell, result) = mpsc::channel();
        let message: Message = Box::new(move |io| drop(tell.send(act(io))));
        self.mail.send(message).map_err(|_| "the mailbox is full").unwrap();
        result.recv_timeout(Duration::from_secs(5)).expect("the loop is alive")
    }

    /// One of the handshaker's counters.
    pub(crate) fn reading(&self, family: &str, cause: Option<&str>) -> u64 {
        let mut all = self.handshaker.readings();
        all.find(|one| (one.family, one.cause) == (family, cause))
            .expect("there is such a counter")
            .value
    }

    /// Waits until a counter satisfies a condition.
    pub(crate) fn wait_for(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        for _ in 0..500 {
            if is_so(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{what} never came about");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.mail.send(Box::new(Io::stop));
        let result = self.thread.take().unwrap().join();
        assert!(result.is_ok() || std::thread::panicking(), "the loop panicked");
    }
}

/// A client's socket, bound to `local`.
pub(crate) fn socket(local: &str) -> StdSocket {
    let socket = StdSocket::bind(local).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    socket
}
