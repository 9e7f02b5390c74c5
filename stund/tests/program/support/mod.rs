//! The real binary on loopback, and the steps of its clients.

use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use causeway_kit::{Process, port};
use causeway_wire::attribute::{AttributeType, ChangeRequest};
use causeway_wire::{Class, MessageWriter, Method, TransactionId};

/// How long stund has to start, and to end.
const START: Duration = Duration::from_secs(20);
/// How long a client waits for an answer that should come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// How long a client waits for an answer that should not come.
pub(crate) const SILENCE: Duration = Duration::from_millis(300);

/// The setting for loopback, which the Internet cannot reach.
pub(crate) const PRIVATE: [&str; 2] = ["--set", "nat_discovery.scope=private"];

/// A running stund. Dropped, it is killed.
pub(crate) struct Stund {
    process: Process,
    /// The port of its first listener.
    pub(crate) port: u16,
    /// The alternate port, if it has one.
    pub(crate) alternate_port: u16,
}

impl Stund {
    /// Starts stund with these arguments and waits until it is ready. `PORT` in them becomes a free
    /// port, and `OTHER` another one.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let (port, alternate_port) = (port::free(), port::free());
        let arguments = arguments.iter().map(|one| {
            one.replace("PORT", &port.to_string()).replace("OTHER", &alternate_port.to_string())
        });
        let mut command = Command::new(env!("CARGO_BIN_EXE_stund"));
        command.args(["--set", "admin.listen=off"]).args(arguments);
        let mut process = Process::start("stund", command).unwrap();
        process.wait_line("ready", START).unwrap();
        Self { process, port, alternate_port }
    }

    /// Starts it for plain STUN on 127.0.0.1.
    pub(crate) fn plain() -> Self {
        Self::start(&["--listen", "127.0.0.1:PORT", "--set", "net.workers=2"])
    }

    /// Starts it for NAT behaviour discovery between 127.0.0.1 and 127.0.0.2.
    pub(crate) fn discovering() -> Self {
        Self::start(&[
            "--listen",
            "127.0.0.1:PORT",
            "--alternate-address",
            "127.0.0.2",
            "--alternate-port",
            "OTHER",
            PRIVATE[0],
            PRIVATE[1],
        ])
    }

    pub(crate) fn at(&self, address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), self.port)
    }

    /// Sends it the signal `TERM`, `INT` or `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        self.process.signal(name).unwrap();
    }

    /// Waits for its end; the exit status and the log.
    pub(crate) fn ended(self) -> (ExitStatus, String) {
        let finished = self.process.finish(START).unwrap();
        (finished.status, finished.errors)
    }
}

/// A client's UDP socket, connected to the server.
pub(crate) fn client(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(SocketAddr::new(address.parse().unwrap(), 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A client's TCP connection to the server.
pub(crate) fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

pub(crate) const ID: TransactionId = TransactionId(*b"twelve bytes");

/// A Binding request with the attributes that `fill` writes.
pub(crate) fn request(fill: impl FnOnce(&mut MessageWriter<'_>)) -> Vec<u8> {
    let mut buffer = vec![0; 70_000];
    let mut writer = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, ID).unwrap();
    fill(&mut writer);
    let len = writer.finish();
    buffer.truncate(len);
    buffer
}

pub(crate) fn plain_request() -> Vec<u8> {
    request(|_| ())
}

pub(crate) fn change_request(change_ip: bool, change_port: bool) -> Vec<u8> {
    request(|writer| {
        writer.put(&ChangeRequest { change_ip, change_port }).unwrap();
    })
}

/// A request with an unknown attribute, in the comprehension-required range or not.
pub(crate) fn unknown(kind: u16, len: usize) -> Vec<u8> {
    request(|writer| {
        writer.put_raw(AttributeType(kind), &vec![0xA5; len]).unwrap();
    })
}

/// Sends a request over UDP; the answer and its source.
pub(crate) fn ask(socket: &UdpSocket, server: SocketAddr, request: &[u8]) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2_048];
    let began = Instant::now();
    socket.send_to(request, server).unwrap();
    let (len, from) = socket
        .recv_from(&mut buffer)
        .unwrap_or_else(|error| panic!("{error} after {:?}", began.elapsed()));
    (buffer[..len].to_vec(), from)
}

/// Asserts that no answer comes.
pub(crate) fn assert_silence(socket: &UdpSocket, server: SocketAddr, request: &[u8]) {
    socket.send_to(request, server).unwrap();
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    let received = socket.recv_from(&mut [0; 2_048]);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(received.is_err(), "an answer of {received:?} bytes");
}

/// Reads one STUN message from a stream.
pub(crate) fn read_message(stream: &mut TcpStream) -> Vec<u8> {
    let mut message = vec![0; 20];
    stream.read_exact(&mut message).unwrap();
    let len = usize::from(u16::from_be_bytes([message[2], message[3]]));
    message.resize(20 + len, 0);
    stream.read_exact(&mut message[20..]).unwrap();
    message
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
