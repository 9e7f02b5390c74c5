//! The real binary on loopback, and what a client does.

// Not every test file uses every helper, and a helper that fails has failed the test.
#![allow(dead_code, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use causeway_wire::attribute::{AttributeType, ChangeRequest};
use causeway_wire::{Class, MessageWriter, Method, TransactionId};

/// How long a client waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// How long a client listens for what must not come.
pub(crate) const SILENCE: Duration = Duration::from_millis(300);

/// Loopback is no address that the Internet can reach.
pub(crate) const PRIVATE: [&str; 2] = ["--set", "nat_discovery.scope=private"];

/// A running stund. It is killed when a test ends without having ended it.
pub(crate) struct Stund {
    child: Child,
    stderr: BufReader<ChildStderr>,
    /// The primary port.
    pub(crate) port: u16,
    /// The alternate port, where there is one.
    pub(crate) alternate_port: u16,
}

impl Stund {
    /// stund on `addresses` (each with `PORT` for a free port, and `OTHER` for a second one) until
    /// it says that it is ready.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        for _ in 0..20 {
            let (port, alternate_port) = free_ports();
            let arguments = arguments.iter().map(|one| {
                one.replace("PORT", &port.to_string()).replace("OTHER", &alternate_port.to_string())
            });
            let mut command = Command::new(env!("CARGO_BIN_EXE_stund"));
            let mut child = command
                .args(["--set", "admin.listen=off"])
                .args(arguments)
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let stderr = BufReader::new(child.stderr.take().unwrap());
            let mut started = Self { child, stderr, port, alternate_port };
            let mut said = String::new();
            while started.stderr.read_line(&mut said).unwrap() > 0 {
                if said.contains("ready") {
                    return started;
                }
            }
            assert!(said.contains("in use"), "stund did not start: {said}");
        }
        panic!("no free port after twenty tries")
    }

    /// Plain STUN on 127.0.0.1.
    pub(crate) fn plain() -> Self {
        Self::start(&["--listen", "127.0.0.1:PORT", "--set", "net.workers=2"])
    }

    /// NAT behaviour discovery between 127.0.0.1 and 127.0.0.2.
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

    /// Sends `TERM` or `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for the end: the status, and the rest of what it said.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap(), said)
    }
}

impl Drop for Stund {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two ports that are free on every loopback address, for UDP and TCP, at the moment.
pub(crate) fn free_ports() -> (u16, u16) {
    let free = |port: u16| {
        ["127.0.0.1", "127.0.0.2", "::1"].iter().all(|address| {
            let address = SocketAddr::new(address.parse().unwrap(), port);
            UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok()
        })
    };
    let mut found = std::iter::repeat_with(|| {
        UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    })
    .filter(|port| free(*port));
    (found.next().unwrap(), found.next().unwrap())
}

/// A client's socket.
pub(crate) fn client(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(SocketAddr::new(address.parse().unwrap(), 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A client's connection.
pub(crate) fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

pub(crate) const ID: TransactionId = TransactionId(*b"twelve bytes");

/// A Binding request with whatever `fill` adds.
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

/// An attribute that nobody knows, in the comprehension-required range or not.
pub(crate) fn unknown(kind: u16, len: usize) -> Vec<u8> {
    request(|writer| {
        writer.put_raw(AttributeType(kind), &vec![0xA5; len]).unwrap();
    })
}

/// Asks over UDP; the answer and where it came from.
pub(crate) fn ask(socket: &UdpSocket, server: SocketAddr, request: &[u8]) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2_048];
    let began = Instant::now();
    socket.send_to(request, server).unwrap();
    let (len, from) = socket
        .recv_from(&mut buffer)
        .unwrap_or_else(|error| panic!("{error} after {:?}", began.elapsed()));
    (buffer[..len].to_vec(), from)
}

/// That nothing is answered.
pub(crate) fn assert_silence(socket: &UdpSocket, server: SocketAddr, request: &[u8]) {
    socket.send_to(request, server).unwrap();
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    let received = socket.recv_from(&mut [0; 2_048]);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(received.is_err(), "an answer of {received:?} bytes");
}

/// One STUN message off a stream.
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
