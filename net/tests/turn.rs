//! The limits of a turn hold for all sources together (H52). Everything that is to be served waits
//! in the kernel before the loop runs; the turns are counted, not the time.

#![allow(clippy::unwrap_used)] // what a test calls fails as the test would

mod support;

use std::collections::HashMap;
use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket as StdSocket};

use causeway_net::{
    Admission, Arrival, Clock, EventLoop, Io, Listener, Mailbox, Malformed, Packet, Sample,
    Service, StreamInfo, StreamKey, StreamListenerOptions,
};
use support::{backend, listen_udp};

over_each_backend!(
    h52_frames_of_all_streams_are_bounded_in_a_turn,
    h52_a_stream_does_not_wait_for_all_that_others_have_sent,
    h52_a_datagram_does_not_wait_for_the_streams,
    h52_a_message_does_not_wait_for_the_streams,
    h52_connections_from_all_listeners_are_bounded_in_a_turn,
);

/// Frames in a turn, of all streams and of one; accepted connections.
const FRAMES: usize = 1024;
const LEAST_SHARE: usize = 16;
const ACCEPTS: usize = 64;

/// A call of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Happened {
    Accepted(StreamKey),
    /// A frame, by its number.
    Frame(StreamKey, u32),
    Datagram,
    Message,
}

/// Notes the calls of the service, each with its turn, until `until` have come.
struct Notes {
    all: Vec<(u64, Happened)>,
    until: usize,
    /// A function that is called when this many calls have come.
    at: (usize, Option<Box<dyn FnOnce()>>),
}

impl Notes {
    fn note(&mut self, happened: Happened, io: &mut Io) {
        self.all.push((io.stats().turns.value(), happened));
        if self.all.len() == self.at.0
            && let Some(act) = self.at.1.take()
        {
            act();
        }
        if self.all.len() == self.until {
            io.stop();
        }
    }

    /// Maximum number of calls of a kind in one turn.
    fn most_in_a_turn(&self, is_meant: impl Fn(&Happened) -> bool) -> usize {
        let mut turns = HashMap::new();
        self.all
            .iter()
            .filter(|(_, happened)| is_meant(happened))
            .for_each(|(turn, _)| *turns.entry(turn).or_insert(0) += 1);
        turns.into_values().max().unwrap_or(0)
    }

    fn place(&self, is_meant: impl Fn(&Happened) -> bool) -> usize {
        self.all.iter().position(|(_, happened)| is_meant(happened)).unwrap()
    }
}

impl Service for Notes {
    type Message = ();

    fn datagram(&mut self, _: Sample, _: &Arrival, _: &mut Packet<'_>, io: &mut Io) {
        self.note(Happened::Datagram, io);
    }

    fn accepted(&mut self, _: Sample, stream: &StreamInfo, io: &mut Io) -> Admission {
        self.note(Happened::Accepted(stream.key), io);
        Admission::Accept { tag: 0 }
    }

    fn frame_len(&mut self, _: &StreamInfo, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        Ok((bytes.len() >= 4).then_some(4))
    }

    fn frame(&mut self, _: Sample, stream: &StreamInfo, frame: &mut Packet<'_>, io: &mut Io) {
        let number = u32::from_be_bytes(frame.payload().try_into().unwrap());
        self.note(Happened::Frame(stream.key, number), io);
    }

    fn message(&mut self, _: Sample, (): (), io: &mut Io) {
        self.note(Happened::Message, io);
    }
}

/// A loop that does not run yet.
struct Scene {
    event_loop: EventLoop,
    listeners: Vec<SocketAddr>,
    datagrams: SocketAddr,
    mailbox: Mailbox<()>,
}

impl Scene {
    fn new(listeners: usize) -> Self {
        let mut event_loop = EventLoop::with_backend(Clock::start(), backend(), None).unwrap();
        let io = event_loop.io();
        let listeners = (0..listeners).map(|_| {
            let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let address = listener.local_addr();
            io.listen_tcp(listener, StreamListenerOptions::plain(1)).unwrap();
            address
        });
        let listeners = listeners.collect();
        let (_, datagrams) = listen_udp(io, "127.0.0.1:0");
        Self { event_loop, listeners, datagrams, mailbox: Mailbox::new(16).unwrap() }
    }

    /// Clients that have sent `frames` frames each.
    fn clients(&self, count: usize, frames: u32) -> Vec<TcpStream> {
        let bytes: Vec<u8> = (0..frames).flat_map(u32::to_be_bytes).collect();
        let dial = |number: usize| {
            let mut client =
                TcpStream::connect(self.listeners[number % self.listeners.len()]).unwrap();
            client.write_all(&bytes).unwrap();
            client
        };
        (0..count).map(dial).collect()
    }

    /// Runs until `until` calls have come; `act` is called after the first number of them.
    fn run_and(mut self, until: usize, at: usize, act: impl FnOnce() + 'static) -> Notes {
        let mut notes = Notes { all: Vec::new(), until, at: (at, Some(Box::new(act))) };
        self.event_loop.run(&mut notes, &self.mailbox.receiver).unwrap();
        notes
    }

    fn run(self, until: usize) -> Notes {
        self.run_and(until, usize::MAX, || {})
    }
}

fn is_frame(happened: &Happened) -> bool {
    matches!(happened, Happened::Frame(..))
}

fn h52_frames_of_all_streams_are_bounded_in_a_turn() {
    const CLIENTS: usize = 70;
    const EACH: u32 = 1_000;
    let scene = Scene::new(1);
    let _clients = scene.clients(CLIENTS, EACH);
    let notes = scene.run(CLIENTS + CLIENTS * EACH as usize);
    let most = notes.most_in_a_turn(is_frame);
    assert!(most <= FRAMES, "{most} frames in one turn");
    let mut next: HashMap<StreamKey, u32> = HashMap::new();
    for (_, happened) in &notes.all {
        if let Happened::Frame(stream, number) = happened {
            let next = next.entry(*stream).or_default();
            assert_eq!(number, next, "in order, each once");
            *next += 1;
        }
    }
    assert!(next.len() == CLIENTS && next.into_values().all(|count| count == EACH));
}

fn h52_a_stream_does_not_wait_for_all_that_others_have_sent() {
    const CLIENTS: usize = 150;
    const EACH: u32 = 3_000;
    let scene = Scene::new(1);
    let _clients = scene.clients(CLIENTS, EACH);
    let _last = scene.clients(1, 1);
    let notes = scene.run(CLIENTS + 1 + CLIENTS * EACH as usize + 1);
    let last = notes.all.iter().rev().find_map(|(_, happened)| match happened {
        Happened::Accepted(stream) => Some(*stream),
        _ => None,
    });
    let place = |meant: Happened| notes.place(|happened| *happened == meant);
    let waited =
        place(Happened::Frame(last.unwrap(), 0)) - place(Happened::Accepted(last.unwrap()));
    assert!(
        waited <= CLIENTS * LEAST_SHARE + CLIENTS.div_ceil(64) * FRAMES,
        "it waited for {waited} frames"
    );
}

fn h52_a_datagram_does_not_wait_for_the_streams() {
    const CLIENTS: usize = 300;
    const EACH: u32 = 1_000;
    const SENT: usize = 20_000;
    let scene = Scene::new(1);
    let _clients = scene.clients(CLIENTS, EACH);
    let (client, server) = (StdSocket::bind("127.0.0.1:0").unwrap(), scene.datagrams);
    let notes = scene.run_and(CLIENTS + CLIENTS * EACH as usize + 1, SENT, move || {
        client.send_to(b"word", server).unwrap();
    });
    let waited = notes.place(|happened| *happened == Happened::Datagram) - SENT;
    assert!(waited <= 2 * FRAMES + ACCEPTS, "it waited for {waited} frames");
}

fn h52_a_message_does_not_wait_for_the_streams() {
    const CLIENTS: usize = 300;
    const EACH: u32 = 1_000;
    const SENT: usize = 20_000;
    let scene = Scene::new(1);
    let _clients = scene.clients(CLIENTS, EACH);
    let sender = scene.mailbox.sender.clone();
    let notes = scene
        .run_and(CLIENTS + CLIENTS * EACH as usize + 1, SENT, move || sender.send(()).unwrap());
    let waited = notes.place(|happened| *happened == Happened::Message) - SENT;
    assert!(waited <= 2 * FRAMES + ACCEPTS, "it waited for {waited} frames");
}

fn h52_connections_from_all_listeners_are_bounded_in_a_turn() {
    const LISTENERS: usize = 10;
    const CLIENTS: usize = 300;
    let scene = Scene::new(LISTENERS);
    let _clients = scene.clients(CLIENTS, 0);
    let notes = scene.run(CLIENTS);
    let most = notes.most_in_a_turn(|happened| matches!(happened, Happened::Accepted(_)));
    assert!(most <= ACCEPTS, "{most} in one turn");
}
