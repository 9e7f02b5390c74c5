//! A server with four endpoints: the decision alone, or the running `stund`, over each transport.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use causeway_kit::port;
use causeway_tests::daemon::certificates::{Certificates, KeyKind};
use causeway_tests::daemon::service::Service;
use causeway_wire::binding::{self, MAX_ANSWER_LEN, Received, Silence, Usage};
use causeway_wire::{Class, Message, MessageWriter, Method, TransactionId, Transport};

use causeway_tests::daemon::leg::Leg;

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// The addresses of the server: A1 P1, A1 P2, A2 P1, A2 P2; a single one for a server without a
/// second address.
pub(crate) type Endpoints = Vec<SocketAddr>;

/// A server under test.
pub(crate) struct Server {
    /// The transport of the requests.
    pub(crate) over: Transport,
    /// The endpoints that it answers at.
    pub(crate) endpoints: Endpoints,
    /// For a running `stund`: the root that signs its certificate.
    root: Option<PathBuf>,
}

/// An answer, and its path.
pub(crate) struct Answered {
    /// The answer as it arrived.
    pub(crate) bytes: Vec<u8>,
    /// The source of the request.
    pub(crate) source: SocketAddr,
    /// The source of the answer.
    pub(crate) from: SocketAddr,
    /// The address that it arrived at.
    pub(crate) to: SocketAddr,
}

impl Answered {
    pub(crate) fn message(&self) -> Message<'_> {
        Message::decode(&self.bytes).unwrap()
    }

    /// The error code; `None` for a success.
    pub(crate) fn error(&self) -> Option<u16> {
        let error =
            self.message().attribute::<causeway_wire::attribute::ErrorCodeAttribute<'_>>().unwrap();
        assert_eq!(error.is_some(), self.message().class() == Class::ErrorResponse);
        error.map(|error| error.code.number())
    }
}

const TRANSPORTS: [Transport; 4] =
    [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Dtls];

/// Runs the test on every server with a second address: the decision, and `stund`, over each
/// transport.
pub(crate) fn each(test: impl Fn(&Server)) {
    let cross = |hosts: [IpAddr; 2], ports: [u16; 2]| -> Endpoints {
        hosts.into_iter().flat_map(|host| ports.map(|port| SocketAddr::new(host, port))).collect()
    };
    for over in TRANSPORTS {
        let hosts = [1, 2].map(|host| IpAddr::from(Ipv4Addr::new(203, 0, 113, host)));
        test(&Server { over, endpoints: cross(hosts, [3478, 3479]), root: None });
    }
    let certificates = certificates();
    let hosts = [1, 2].map(|host| IpAddr::from(Ipv4Addr::new(127, 0, 0, host)));
    let (plain, secure) = ([port::free(), port::free()], [port::free(), port::free()]);
    let config = format!(
        "[[listen]]\naddress = \"127.0.0.1:{}\"\n\
         [[listen]]\naddress = \"127.0.0.1:{}\"\ntransports = [\"tls\", \"dtls\"]\n\
         [nat_discovery]\nalternate_address = \"127.0.0.2\"\nalternate_port = {}\n\
         alternate_tls_port = {}\nscope = \"private\"\n\
         [admin]\nlisten = \"off\"\n{}",
        plain[0],
        secure[0],
        plain[1],
        secure[1],
        certificates.table()
    );
    // It opens this port last.
    let stund = Service::start("stund", SocketAddr::new(hosts[1], secure[1]), &config);
    for over in TRANSPORTS {
        let ports = if matches!(over, Transport::Tls | Transport::Dtls) { secure } else { plain };
        test(&Server { over, endpoints: cross(hosts, ports), root: Some(certificates.root()) });
    }
    stund.end();
}

/// The same for servers with one address; `stund` has all transports on one port.
pub(crate) fn each_with_one_address(test: impl Fn(&Server)) {
    for over in TRANSPORTS {
        test(&Server {
            over,
            endpoints: vec![SocketAddr::from(([203, 0, 113, 1], 3478))],
            root: None,
        });
    }
    let certificates = certificates();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
    let listen = format!(
        "[[listen]]\naddress = \"{address}\"\ntransports = [\"udp\", \"tcp\", \"tls\", \"dtls\"]\n"
    );
    let stund = Service::start(
        "stund",
        address,
        &format!("{listen}[admin]\nlisten = \"off\"\n{}", certificates.table()),
    );
    for over in TRANSPORTS {
        test(&Server { over, endpoints: vec![address], root: Some(certificates.root()) });
    }
    stund.end();
}

/// The same for the tests that run at a time: each is made by a dozen of processes.
fn certificates() -> Arc<Certificates> {
    static MADE: Mutex<Weak<Certificates>> = Mutex::new(Weak::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.upgrade().unwrap_or_else(|| {
        let new = Arc::new(Certificates::make(KeyKind::Ecdsa));
        *made = Arc::downgrade(&new);
        new
    })
}

impl Server {
    /// Sends a request to the first endpoint.
    #[track_caller]
    pub(crate) fn ask(&self, request: &[u8]) -> Answered {
        self.ask_at(self.endpoints[0], request)
    }

    /// Sends a request, which must be answered.
    #[track_caller]
    pub(crate) fn ask_at(&self, endpoint: SocketAddr, request: &[u8]) -> Answered {
        self.asked(endpoint, &|_| vec![request.to_vec()])
    }

    /// Sends a request whose answer must arrive at another port of the client, which it names.
    #[track_caller]
    pub(crate) fn ask_for_port(&self, request: &dyn Fn(u16) -> Vec<u8>) -> Answered {
        self.asked(self.endpoints[0], &|port| vec![request(port)])
    }

    /// Asserts that there is no answer, and that the connection stays open: the next answer belongs
    /// to the next request.
    #[track_caller]
    pub(crate) fn is_silent(&self, silent: &[u8]) {
        let mut next = request(|_| ());
        next[19] ^= 0xFF;
        let answered = self.asked(self.endpoints[0], &|_| vec![silent.to_vec(), next.clone()]);
        assert_eq!(answered.bytes[4..20], next[4..20], "an answer over {:?}", self.over);
    }

    /// The endpoint with another address and another port.
    pub(crate) fn other(&self, endpoint: SocketAddr) -> Option<SocketAddr> {
        self.endpoints
            .iter()
            .copied()
            .find(|other| other.ip() != endpoint.ip() && other.port() != endpoint.port())
    }

    /// Sends the requests, which may name a second port of the client; returns the first answer.
    #[track_caller]
    fn asked(&self, endpoint: SocketAddr, requests: &dyn Fn(u16) -> Vec<Vec<u8>>) -> Answered {
        let answered = match (&self.root, self.over) {
            (None, _) => requests(4_711).iter().find_map(|request| self.decide(endpoint, request)),
            (Some(_), Transport::Udp) => ask_by_datagram(endpoint, requests),
            (Some(root), over) => {
                let mut leg = Leg::new(over, endpoint, root);
                requests(4_711).iter().for_each(|request| leg.send(request));
                let source = leg.local();
                leg.receive().map(|bytes| Answered { bytes, source, from: endpoint, to: source })
            }
        };
        answered.unwrap_or_else(|| panic!("{endpoint} is silent over {:?}", self.over))
    }

    fn decide(&self, local: SocketAddr, request: &[u8]) -> Option<Answered> {
        let source = SocketAddr::from(([192, 0, 2, 1], 5_000));
        let received = Received { source, local, over: self.over };
        let usage = self.other(local).map_or(Usage::Binding, |other| Usage::NatDiscovery { other });
        let mut out = [0xDD; MAX_ANSWER_LEN];
        match binding::answer(&Message::decode(request).ok()?, &received, usage, &mut out) {
            Ok(answer) => {
                let to = SocketAddr::new(source.ip(), answer.to_port.unwrap_or(source.port()));
                Some(Answered {
                    bytes: out[..answer.len].to_vec(),
                    source,
                    from: answer.from.unwrap_or(local),
                    to,
                })
            }
            Err(Silence::NoSpace) => panic!("the buffer has room"),
            Err(_) => None,
        }
    }
}

/// Sends from the first of two sockets of one address; the requests may name the port of the
/// second.
fn ask_by_datagram(
    endpoint: SocketAddr,
    requests: &dyn Fn(u16) -> Vec<Vec<u8>>,
) -> Option<Answered> {
    let sockets = [(); 2].map(|()| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let [source, other] = [0, 1].map(|index: usize| sockets[index].local_addr().unwrap());
    for request in requests(other.port()) {
        sockets[0].send_to(&request, endpoint).unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    let mut buffer = [0; 65_536];
    while Instant::now() < deadline {
        for socket in &sockets {
            socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
            if let Ok((len, from)) = socket.recv_from(&mut buffer) {
                return Some(Answered {
                    bytes: buffer[..len].to_vec(),
                    source,
                    from,
                    to: socket.local_addr().unwrap(),
                });
            }
        }
    }
    None
}

/// The transaction id of every request here.
pub(crate) const ID: TransactionId = TransactionId(*b"twelve bytes");

/// A Binding request with what `fill` adds.
pub(crate) fn request(fill: impl FnOnce(&mut MessageWriter<'_>)) -> Vec<u8> {
    request_of(Method::BINDING, fill)
}

/// A request of any method.
pub(crate) fn request_of(method: Method, fill: impl FnOnce(&mut MessageWriter<'_>)) -> Vec<u8> {
    let mut buffer = vec![0; 65_000];
    let mut writer = MessageWriter::new(&mut buffer, Class::Request, method, ID).unwrap();
    fill(&mut writer);
    let len = writer.finish();
    buffer.truncate(len);
    buffer
}
