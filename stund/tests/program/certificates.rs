//! TLS through the real binary: certificates that change while it runs, and one port for TCP and
//! TLS.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, Stund, connect, plain_request, read_message};
use causeway_kit::Scratch;
use causeway_kit::certificates::{Key, ServerCertificate};
use causeway_wire::Message;
use causeway_wire::attribute::XorMappedAddress;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// A folder with the certificate and the key of stund.
struct Folder(Scratch);

impl Folder {
    /// Writes a new certificate into it; returns the certificate.
    fn renew(&self) -> CertificateDer<'static> {
        let made = ServerCertificate::self_signed(&["stun.example.org"], Key::ecdsa());
        made.write(&self.0);
        made.chain[0].der.clone().into()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    /// Starts stund with all transports on one port.
    fn stund(&self) -> Stund {
        self.stund_with(&[])
    }

    /// Starts it so with further arguments.
    fn stund_with(&self, more: &[&str]) -> Stund {
        let set = |key: &str, path: &Path| format!("tls.{key}={}", path.display());
        let (certificate, key) =
            (set("certificate", &self.file("chain.pem")), set("key", &self.file("key.pem")));
        let transports = "listen.0.transports=[\"udp\", \"tcp\", \"tls\", \"dtls\"]";
        let all = [
            "--set",
            "listen.0.address=127.0.0.1:PORT",
            "--set",
            transports,
            "--set",
            &certificate,
            "--set",
            &key,
        ];
        Stund::start(&[&all[..], more].concat())
    }
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A client that trusts this certificate alone.
fn connect_tls(
    server: SocketAddr,
    trusted: &CertificateDer<'static>,
) -> Result<Tls, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let mut connection =
        ClientConnection::new(Arc::new(config), "stun.example.org".try_into().unwrap()).unwrap();
    let mut stream = connect(server);
    while connection.is_handshaking() {
        match connection.complete_io(&mut stream) {
            Ok(_) => {}
            Err(error) => match error.downcast::<rustls::Error>() {
                Ok(refused) => return Err(refused),
                Err(error) => panic!("{error}"),
            },
        }
    }
    Ok(StreamOwned::new(connection, stream))
}

/// The mapped address that a connection gets.
fn mapped(tls: &mut Tls) -> SocketAddr {
    tls.write_all(&plain_request()).unwrap();
    let mut answer = [0; 32];
    tls.read_exact(&mut answer).unwrap();
    Message::decode(&answer).unwrap().attribute::<XorMappedAddress>().unwrap().unwrap().0
}

#[test]
fn a_renewed_certificate_is_shown_to_new_connections_and_the_old_ones_stay() {
    let folder = Folder(Scratch::new());
    let first = folder.renew();
    let stund = folder.stund();
    let server = stund.at("127.0.0.1");
    let mut old = connect_tls(server, &first).unwrap();
    let own = old.sock.local_addr().unwrap();
    assert_eq!(mapped(&mut old), own);
    let second = folder.renew();
    stund.signal("HUP");
    let deadline = Instant::now() + PATIENCE;
    let mut new = loop {
        match connect_tls(server, &second) {
            Ok(tls) => break tls,
            Err(error) => {
                assert!(Instant::now() < deadline, "the new certificate is never used: {error}");
            }
        }
        thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(mapped(&mut new), new.sock.local_addr().unwrap());
    assert_eq!(mapped(&mut old), own, "existing connections stay open");
}

#[test]
fn a_certificate_without_its_key_is_not_taken_and_the_old_one_stays_in_use() {
    let folder = Folder(Scratch::new());
    let first = folder.renew();
    let stund = folder.stund();
    let key = fs::read(folder.file("key.pem")).unwrap();
    folder.renew();
    fs::write(folder.file("key.pem"), key).unwrap();
    stund.signal("HUP");
    thread::sleep(Duration::from_millis(300));
    assert!(connect_tls(stund.at("127.0.0.1"), &first).is_ok());
}

#[test]
fn tcp_and_tls_share_a_port_by_their_first_byte() {
    let folder = Folder(Scratch::new());
    let certificate = folder.renew();
    let stund = folder.stund();
    let server = stund.at("127.0.0.1");
    let mut plain = connect(server);
    let mut tls = connect_tls(server, &certificate).unwrap();
    for _ in 0..3 {
        plain.write_all(&plain_request()).unwrap();
        read_message(&mut plain);
        let own = tls.sock.local_addr().unwrap();
        assert_eq!(mapped(&mut tls), own);
    }
}

#[test]
fn h14_tls_connections_of_one_address_are_capped_with_those_of_tcp() {
    let folder = Folder(Scratch::new());
    let certificate = folder.renew();
    let stund = folder.stund_with(&["--set", "limits.tcp_connections_per_prefix=2"]);
    let server = stund.at("127.0.0.1");
    let mut tls = connect_tls(server, &certificate).unwrap();
    let _half_open = connect(server);
    assert!(connect(server).read(&mut [0; 64]).is_err(), "a third is reset");
    let own = tls.sock.local_addr().unwrap();
    assert_eq!(mapped(&mut tls), own);
}

#[test]
fn h14_a_tls_connection_that_asks_nothing_is_closed() {
    let folder = Folder(Scratch::new());
    let certificate = folder.renew();
    let stund = folder.stund_with(&["--set", "limits.tcp_idle_timeout=1s"]);
    let mut tls = connect_tls(stund.at("127.0.0.1"), &certificate).unwrap();
    mapped(&mut tls);
    let began = Instant::now();
    let ended = tls.read(&mut [0; 64]);
    assert!(
        matches!(ended, Ok(0) | Err(_)) && began.elapsed() >= Duration::from_millis(900),
        "{ended:?} after {:?}",
        began.elapsed()
    );
}
