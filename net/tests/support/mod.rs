//! A loop on a thread of its own. Its service does what the test asks for, and reports events.

// Not every test file uses every helper, and a helper that fails has failed the test.
#![allow(dead_code, clippy::unwrap_used)]

use std::cell::Cell;
use std::fmt::Debug;
use std::net::{SocketAddr, UdpSocket as StdSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use causeway_net::secure::Handshaker;
use causeway_net::{
    Admission, Arrival, Backend, Clock, DatagramListenerOptions, EventLoop, IcmpError, Io, Mailbox,
    Malformed, Packet, Rejection, Route, Sample, Service, SocketKey, Stats, StreamEnd, StreamInfo,
    UdpOptions, UdpSocket, mailbox,
};

/// A call of the service.
#[derive(Debug)]
pub(crate) enum Event {
    Datagram(Arrival, Vec<u8>),
    Accepted(StreamInfo),
    Secured(StreamInfo),
    Frame(StreamInfo, Vec<u8>),
    Closed(StreamInfo, StreamEnd),
    Icmp(SocketKey, u64, IcmpError),
}

/// A message to the worker: a function that its thread runs.
pub(crate) type Message = Box<dyn FnOnce(&mut Io) + Send>;

/// The behavior of the service. Streams carry frames of a 16-bit length and that many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behavior {
    /// Reports events, and waits for messages.
    Reports,
    /// Reports events, and sends everything back: datagrams with their traffic class.
    Echoes,
    /// Sends everything back, and reports nothing.
    EchoesQuietly,
    /// Reports events, and refuses connections.
    Refuses,
    /// Reports events, and sends the content of a frame as a datagram, behind [`LONG_HEADER`].
    SendsFramesTo(SocketKey, SocketAddr),
    /// Reports events, and releases the socket whose key a datagram holds, big-endian.
    ReleasesNamedSocket,
}

/// A header that is longer than the length in front of a frame's content.
pub(crate) const LONG_HEADER: &[u8] = b"a header of forty-eight bytes, like a Data's....";

struct Probe {
    behavior: Behavior,
    events: mpsc::Sender<Event>,
    rejections: Arc<Mutex<Vec<Rejection>>>,
    halves: Arc<AtomicU64>,
}

impl Probe {
    fn report(&self, event: Event) {
        if self.behavior != Behavior::EchoesQuietly {
            self.events.send(event).unwrap();
        }
    }

    fn echoes(&self) -> bool {
        matches!(self.behavior, Behavior::Echoes | Behavior::EchoesQuietly)
    }
}

impl Service for Probe {
    type Message = Message;

    fn datagram(&mut self, _: Sample, arrival: &Arrival, packet: &mut Packet<'_>, io: &mut Io) {
        self.report(Event::Datagram(*arrival, packet.payload().to_vec()));
        if self.echoes() {
            let mut route = arrival.reply();
            route.tos = arrival.tos;
            let len = packet.payload().len();
            io.forward(&route, packet, b"echo", 0..len, 0);
        }
        if self.behavior == Behavior::ReleasesNamedSocket {
            io.release_udp(SocketKey::from_bits(u64::from_be_bytes(
                packet.payload().try_into().unwrap(),
            )));
        }
    }

    fn accepted(&mut self, _: Sample, stream: &StreamInfo, _: &mut Io) -> Admission {
        self.report(Event::Accepted(*stream));
        match self.behavior {
            Behavior::Refuses => Admission::Refuse,
            _ => Admission::Accept { tag: 7 },
        }
    }

    fn secured(&mut self, _: Sample, stream: &StreamInfo, _: &mut Io) {
        self.report(Event::Secured(*stream));
    }

    fn frame_len(&mut self, _: &StreamInfo, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        match bytes {
            [0xff, ..] => Err(Malformed),
            [high, low, ..] => Ok(Some(2 + usize::from(u16::from_be_bytes([*high, *low])))),
            _ => Ok(None),
        }
    }

    fn frame(&mut self, _: Sample, stream: &StreamInfo, frame: &mut Packet<'_>, io: &mut Io) {
        self.report(Event::Frame(*stream, frame.payload().to_vec()));
        if self.echoes() {
            let len = frame.payload().len();
            let _ = io.forward_frame(stream.key, frame, &[], 0..len, 0);
        }
        if let Behavior::SendsFramesTo(socket, to) = self.behavior {
            let len = frame.payload().len();
            io.forward(
                &Route { socket, to, from: None, tos: 0, dont_fragment: false },
                frame,
                LONG_HEADER,
                2..len,
                0,
            );
        }
    }

    fn half_frame(&mut self, _: Sample, _: &StreamInfo, _: &mut Io) {
        self.halves.fetch_add(1, Ordering::Relaxed);
    }

    fn rejected(&mut self, _: Sample, rejection: &Rejection) {
        self.rejections.lock().unwrap().push(*rejection);
    }

    fn closed(&mut self, _: Sample, stream: &StreamInfo, end: StreamEnd, _: &mut Io) {
        self.report(Event::Closed(*stream, end));
    }

    fn icmp(&mut self, _: Sample, socket: SocketKey, tag: u64, error: &IcmpError, _: &mut Io) {
        self.report(Event::Icmp(socket, tag, *error));
    }

    fn message(&mut self, _: Sample, message: Message, io: &mut Io) {
        message(io);
    }
}

/// A running loop, which ends with the test.
pub(crate) struct Worker {
    mail: mailbox::Sender<Message>,
    pub(crate) events: mpsc::Receiver<Event>,
    thread: Option<JoinHandle<()>>,
    pub(crate) stats: Arc<Stats>,
    /// The refusals that the loop made without asking.
    pub(crate) rejections: Arc<Mutex<Vec<Rejection>>>,
    /// How often a half frame was reported.
    pub(crate) halves: Arc<AtomicU64>,
}

impl Worker {
    /// Calls `set_up` to register sockets, and runs the loop on a thread.
    pub(crate) fn start<R>(behavior: Behavior, set_up: impl FnOnce(&mut Io) -> R) -> (Self, R) {
        Self::start_as(|io| (behavior, set_up(io)))
    }

    /// The same, with a behavior that depends on what was registered.
    pub(crate) fn start_as<R>(set_up: impl FnOnce(&mut Io) -> (Behavior, R)) -> (Self, R) {
        Self::start_with(None, set_up)
    }

    /// The same, with a handshaker.
    pub(crate) fn start_with<R>(
        handshaker: Option<&Handshaker>,
        set_up: impl FnOnce(&mut Io) -> (Behavior, R),
    ) -> (Self, R) {
        let mut event_loop = EventLoop::with_backend(Clock::start(), backend(), handshaker)
            .expect("a loop over this backend");
        event_loop.allow_huge_pages(HUGE_PAGES.get());
        let (behavior, made) = set_up(event_loop.io());
        let stats = Arc::clone(event_loop.io().stats());
        let mailbox = Mailbox::new(16).unwrap();
        let (tell, events) = mpsc::channel();
        let receiver = mailbox.receiver;
        let (rejections, halves) = <(Arc<Mutex<Vec<Rejection>>>, Arc<AtomicU64>)>::default();
        let mut probe = Probe {
            behavior,
            events: tell,
            rejections: Arc::clone(&rejections),
            halves: Arc::clone(&halves),
        };
        let thread = std::thread::spawn(move || event_loop.run(&mut probe, &receiver).unwrap());
        (
            Self { mail: mailbox.sender, events, thread: Some(thread), stats, rejections, halves },
            made,
        )
    }

    /// Runs `act` on the worker's thread and waits for its result.
    pub(crate) fn with_io<R: Send + Debug + 'static>(
        &self,
        act: impl FnOnce(&mut Io) -> R + Send + 'static,
    ) -> R {
        let (tell, result) = mpsc::channel();
        self.mail
            .send(Box::new(move |io| tell.send(act(io)).unwrap()))
            .map_err(|_| "the mailbox is full")
            .unwrap();
        result.recv_timeout(Duration::from_secs(5)).expect("the loop is alive")
    }

    /// Returns when the loop has finished everything that was begun before, so that its counters
    /// are final.
    pub(crate) fn settle(&self) {
        let turn = self.stats.turns.value();
        while self.stats.turns.value() <= turn {
            self.with_io(|_| ()); // may still belong to the turn that it woke
        }
    }

    /// Waits for the next event.
    pub(crate) fn event(&self) -> Event {
        self.events.recv_timeout(Duration::from_secs(5)).expect("an event")
    }

    /// Asserts that no event comes within 50 ms.
    pub(crate) fn assert_quiet(&self) {
        if let Ok(event) = self.events.recv_timeout(Duration::from_millis(50)) {
            panic!("unexpected {event:?}");
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.mail.send(Box::new(|io| io.stop()));
        let result = self.thread.take().unwrap().join();
        assert!(result.is_ok() || std::thread::panicking(), "the loop panicked");
    }
}

/// A plain socket of a client or peer.
pub(crate) fn plain_socket(local: &str) -> StdSocket {
    let socket = StdSocket::bind(local).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

/// A listener's socket in the loop.
pub(crate) fn listen_udp(io: &mut Io, address: &str) -> (SocketKey, SocketAddr) {
    let socket = UdpSocket::bind(address.parse().unwrap(), &UdpOptions::LISTENER).unwrap();
    let local = socket.local_addr();
    (io.listen_udp(socket, DatagramListenerOptions::plain(1)).unwrap(), local)
}

thread_local! {
    /// The backend of the loops that this thread starts.
    static BACKEND: Cell<Backend> = const { Cell::new(Backend::Epoll) };
    /// Whether these loops may use huge pages.
    static HUGE_PAGES: Cell<bool> = const { Cell::new(true) };
}

/// Sets whether loops that this thread starts from now on may use huge pages.
pub(crate) fn allow_huge_pages(allowed: bool) {
    HUGE_PAGES.set(allowed);
}

/// The backend of the test that this thread runs.
pub(crate) fn backend() -> Backend {
    BACKEND.get()
}

/// Runs `test` with loops over `backend`.
pub(crate) fn over(backend: Backend, test: fn()) {
    BACKEND.set(backend);
    test();
}

/// Makes two tests of each function: one over each backend. Where the kernel refuses one, its tests
/// fail with the reason.
#[macro_export]
macro_rules! over_each_backend {
    ($($test:ident),+ $(,)?) => {
        mod epoll {
            $(
                #[test]
                fn $test() {
                    super::support::over(causeway_net::Backend::Epoll, super::$test);
                }
            )+
        }
        mod io_uring {
            $(
                #[test]
                fn $test() {
                    super::support::over(causeway_net::Backend::IoUring, super::$test);
                }
            )+
        }
    };
}
