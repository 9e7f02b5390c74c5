//! A server with four endpoints, asked alone or as the running `stund`, over each transport.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use causeway_tests::daemon::service::{self, Service};
use causeway_wire::binding::{self, MAX_ANSWER_LEN, Received, Silence, Transport, Usage};
use causeway_wire::{Class, Message, MessageWriter, Method, TransactionId};

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long is listened for what must not come.
const SILENCE: Duration = Duration::from_millis(300);

/// What the server answers from: A1 P1, A1 P2, A2 P1, A2 P2; a single one for a server without a second address.
pub(crate) type Endpoints = Vec<SocketAddr>;

/// One that is asked.
pub(crate) struct Server {
    /// What carries the requests.
    pub(crate) over: Transport,
    /// Where it can be asked.
    pub(crate) endpoints: Endpoints,
    running: Option<Service>,
}

/// An answer, and the way it took.
pub(crate) struct Answered {
    /// The message.
    pub(crate) bytes: Vec<u8>,
    /// Where the request came from.
    pub(crate) source: SocketAddr,
    /// Where the answer came from.
    pub(crate) from: SocketAddr,
    /// Where it arrived.
    pub(crate) to: SocketAddr,
}

impl Answered {
    pub(crate) fn message(&self) -> Message<'_> {
        Message::decode(&self.bytes).unwrap()
    }

    /// The error; none is success.
    pub(crate) fn error(&self) -> Option<u16> {
        let error = self.message().attribute::<causeway_wire::attribute::ErrorCodeAttribute<'_>>().unwrap();
        assert_eq!(error.is_some(), self.message().class() == Class::ErrorResponse);
        error.map(|error| error.code.number())
    }
}

/// Runs the test on every server with a second address: the decision over each transport, and `stund` over UDP and TCP.
pub(crate) fn each(test: impl Fn(&Server)) {
    let cross = |ip: [u8; 2], port: [u16; 2]| {
        let address = |host| IpAddr::from(Ipv4Addr::new(203, 0, 113, host));
        ip.iter().flat_map(|host| port.map(|port| SocketAddr::new(address(*host), port))).collect::<Endpoints>()
    };
    for over in [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Dtls] {
        test(&Server { over, endpoints: cross([1, 2], [3478, 3479]), running: None });
    }
    for over in [Transport::Udp, Transport::Tcp] {
        let (stund, alternate) = service::stund();
        let primary = stund.address;
        let [one, other] = [SocketAddr::new(primary.ip(), alternate.port()), SocketAddr::new(alternate.ip(), primary.port())];
        let server = Server { over, endpoints: vec![primary, one, other, alternate], running: Some(stund) };
        test(&server);
        server.running.expect("it runs").end();
    }
}

/// The same for servers with one address.
pub(crate) fn each_with_one_address(test: impl Fn(&Server)) {
    for over in [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Dtls] {
        test(&Server { over, endpoints: vec![SocketAddr::from(([203, 0, 113, 1], 3478))], running: None });
    }
    for over in [Transport::Udp, Transport::Tcp] {
        let stund = service::stund_with_one_address();
        let server = Server { over, endpoints: vec![stund.address], running: Some(stund) };
        test(&server);
        server.running.expect("it runs").end();
    }
}

impl Server {
    /// Asks the first endpoint.
    #[track_caller]
    pub(crate) fn ask(&self, request: &[u8]) -> Answered {
        self.ask_at(self.endpoints[0], request)
    }

    /// Asks; there must be an answer.
    #[track_caller]
    pub(crate) fn ask_at(&self, endpoint: SocketAddr, request: &[u8]) -> Answered {
        self.asked(endpoint, &|_| request.to_vec(), PATIENCE).unwrap_or_else(|| panic!("{endpoint} is silent over {:?}", self.over))
    }

    /// Asks for the answer at another port of the client, which the request names.
    #[track_caller]
    pub(crate) fn ask_for_port(&self, request: &dyn Fn(u16) -> Vec<u8>) -> Answered {
        self.asked(self.endpoints[0], request, PATIENCE).expect("an answer at one of the two ports")
    }

    /// Nothing is answered, also not with the end of the connection; what is asked next is.
    #[track_caller]
    pub(crate) fn is_silent(&self, request: &[u8]) {
        assert!(self.asked(self.endpoints[0], &|_| request.to_vec(), SILENCE).is_none(), "an answer over {:?}", self.over);
    }

    /// The address of which both parts differ.
    pub(crate) fn other(&self, endpoint: SocketAddr) -> Option<SocketAddr> {
        self.endpoints.iter().copied().find(|other| other.ip() != endpoint.ip() && other.port() != endpoint.port())
    }

    fn asked(&self, endpoint: SocketAddr, request: &dyn Fn(u16) -> Vec<u8>, limit: Duration) -> Option<Answered> {
        match (&self.running, self.over) {
            (None, _) => self.decide(endpoint, &request(4_711)),
            (Some(_), Transport::Udp) => ask_by_datagram(endpoint, request, limit),
            (Some(_), _) => ask_by_connection(endpoint, &request(4_711), limit),
        }
    }

    fn decide(&self, local: SocketAddr, request: &[u8]) -> Option<Answered> {
        let source = SocketAddr::from(([192, 0, 2, 1], 5_000));
        let received = Received { source, local, over: self.over };
        let usage = self.other(local).map_or(Usage::Binding, |other| Usage::NatDiscovery { other });
        let mut out = [0xDD; MAX_ANSWER_LEN];
        match binding::answer(&Message::decode(request).ok()?, &received, usage, &mut out) {
            Ok(answer) => {
                let to = SocketAddr::new(source.ip(), answer.to_port.unwrap_or(source.port()));
                Some(Answered { bytes: out[..answer.len].to_vec(), source, from: answer.from.unwrap_or(local), to })
            }
            Err(Silence::NoSpace) => panic!("there is room"),
            Err(_) => None,
        }
    }
}

/// Two sockets of one address listen; the first one asks, the request may name the second one's port.
fn ask_by_datagram(endpoint: SocketAddr, request: &dyn Fn(u16) -> Vec<u8>, limit: Duration) -> Option<Answered> {
    let sockets = [(); 2].map(|()| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let [source, other] = [0, 1].map(|index: usize| sockets[index].local_addr().unwrap());
    sockets[0].send_to(&request(other.port()), endpoint).unwrap();
    let deadline = Instant::now() + limit;
    let mut buffer = [0; 65_536];
    while Instant::now() < deadline {
        for socket in &sockets {
            socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
            if let Ok((len, from)) = socket.recv_from(&mut buffer) {
                return Some(Answered { bytes: buffer[..len].to_vec(), source, from, to: socket.local_addr().unwrap() });
            }
        }
    }
    None
}

fn ask_by_connection(endpoint: SocketAddr, request: &[u8], limit: Duration) -> Option<Answered> {
    let mut stream = TcpStream::connect(endpoint).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(limit)).unwrap();
    stream.write_all(request).unwrap();
    let mut bytes = vec![0; 20];
    if let Err(error) = stream.read_exact(&mut bytes) {
        assert_ne!(error.kind(), std::io::ErrorKind::UnexpectedEof, "the connection was closed");
        return None;
    }
    bytes.resize(20 + usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), 0);
    stream.read_exact(&mut bytes[20..]).unwrap();
    let source = stream.local_addr().unwrap();
    Some(Answered { bytes, source, from: endpoint, to: source })
}

/// The transaction id of every request here.
pub(crate) const ID: TransactionId = TransactionId(*b"twelve bytes");

/// A Binding request with what `fill` adds.
pub(crate) fn request(fill: impl FnOnce(&mut MessageWriter<'_>)) -> Vec<u8> {
    request_of(Method::BINDING, fill)
}

/// The same of any method.
pub(crate) fn request_of(method: Method, fill: impl FnOnce(&mut MessageWriter<'_>)) -> Vec<u8> {
    let mut buffer = vec![0; 65_000];
    let mut writer = MessageWriter::new(&mut buffer, Class::Request, method, ID).unwrap();
    fill(&mut writer);
    let len = writer.finish();
    buffer.truncate(len);
    buffer
}
