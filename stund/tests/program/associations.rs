//! DTLS through the real binary: limits on the number of associations and on their idle time (H13,
//! H14).

use std::io::{self, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, Stund, ask, client, plain_request};
use causeway_kit::Scratch;
use causeway_kit::certificates::{Key, ServerCertificate};
use causeway_wire::Message;
use causeway_wire::attribute::XorMappedAddress;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslOptions, SslStream, SslVerifyMode};

/// A folder with a certificate and its key.
struct Folder(Scratch);

impl Folder {
    fn new() -> Self {
        let scratch = Scratch::new();
        ServerCertificate::self_signed(&["stun.example.org"], Key::ecdsa()).write(&scratch);
        Self(scratch)
    }

    /// Starts stund with UDP and DTLS on one port, and one more setting.
    fn stund(&self, setting: &str) -> Stund {
        let certificate = format!("tls.certificate={}", self.0.path("chain.pem").display());
        let key = format!("tls.key={}", self.0.path("key.pem").display());
        let listen = [
            "listen.0.address=127.0.0.1:PORT",
            "listen.0.transports=[\"udp\", \"dtls\"]",
            "net.workers=2",
        ];
        let settings = [&listen[..], &[&certificate, &key, setting]].concat();
        Stund::start(
            &settings.into_iter().flat_map(|setting| ["--set", setting]).collect::<Vec<_>>(),
        )
    }

    /// A client that trusts this certificate alone.
    fn connect(&self, server: SocketAddr) -> Dtls {
        let mut context = SslContext::builder(SslMethod::dtls_client()).unwrap();
        context.set_verify(SslVerifyMode::PEER);
        context.set_ca_file(self.0.path("chain.pem")).unwrap();
        context.set_options(SslOptions::NO_QUERY_MTU);
        let mut ssl = Ssl::new(&context.build()).unwrap();
        ssl.param_mut().set_host("stun.example.org").unwrap();
        ssl.set_mtu(1_400).unwrap();
        let socket = client("127.0.0.1");
        socket.connect(server).unwrap();
        ssl.connect(Datagrams(socket)).unwrap()
    }
}

type Dtls = SslStream<Datagrams>;

/// A connected socket, as OpenSSL reads and writes.
#[derive(Debug)]
struct Datagrams(UdpSocket);

impl Read for Datagrams {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.recv(bytes)
    }
}

impl Write for Datagrams {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether an association is answered, with its own address.
fn is_answered(dtls: &mut Dtls) -> bool {
    let mut answer = [0; 256];
    if dtls.write_all(&plain_request()).is_err() {
        return false;
    }
    let Ok(len @ 1..) = dtls.read(&mut answer) else { return false };
    let mapped = Message::decode(&answer[..len])
        .unwrap()
        .attribute::<XorMappedAddress>()
        .unwrap()
        .unwrap()
        .0;
    mapped == dtls.get_ref().0.local_addr().unwrap()
}

#[test]
fn dtls_and_udp_share_a_port_by_their_first_byte() {
    let folder = Folder::new();
    let stund = folder.stund("log.level=info");
    let server = stund.at("127.0.0.1");
    let mut dtls = folder.connect(server);
    for _ in 0..3 {
        assert!(is_answered(&mut dtls));
        ask(&client("127.0.0.1"), server, &plain_request());
    }
}

#[test]
fn h13_associations_of_one_address_are_capped_and_the_place_comes_back() {
    let folder = Folder::new();
    let stund = folder.stund("limits.dtls_associations_per_prefix=2");
    let server = stund.at("127.0.0.1");
    let mut kept = [folder.connect(server), folder.connect(server)];
    assert!(kept.iter_mut().all(is_answered));
    assert!(!is_answered(&mut folder.connect(server)), "a third is closed");
    let [mut gone, mut stays] = kept;
    gone.shutdown().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !is_answered(&mut folder.connect(server)) {
        assert!(Instant::now() < deadline, "the place is never free again");
    }
    assert!(is_answered(&mut stays));
}

#[test]
fn h14_an_association_that_asks_nothing_is_closed_and_one_that_asks_is_not() {
    let folder = Folder::new();
    let stund = folder.stund("limits.tcp_idle_timeout=1s");
    let server = stund.at("127.0.0.1");
    let (mut silent, mut busy) = (folder.connect(server), folder.connect(server));
    assert!(is_answered(&mut silent) && is_answered(&mut busy));
    let began = Instant::now();
    silent.get_ref().0.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let ended = loop {
        assert!(is_answered(&mut busy));
        match silent.read(&mut [0; 64]) {
            Ok(len) => break len,
            Err(error) => assert!(began.elapsed() < PATIENCE, "it stays open: {error}"),
        }
    };
    assert!(
        ended == 0 && began.elapsed() >= Duration::from_millis(800),
        "the client gets an alert: {ended} after {:?}",
        began.elapsed()
    );
}
