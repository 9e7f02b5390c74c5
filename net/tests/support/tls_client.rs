//! A client of frames over TLS that verifies the chain.

// Not every test file uses all of it, and what fails here has failed the test.
#![allow(dead_code, clippy::unwrap_used)]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

use super::authority::Authority;

pub(crate) type Client = StreamOwned<ClientConnection, TcpStream>;

/// The settings of a client that trusts only the chain's root.
pub(crate) fn config(
    authority: &Authority,
    version: &'static SupportedProtocolVersion,
    alpn: &[&[u8]],
) -> Arc<ClientConfig> {
    config_with(default_provider(), authority, version, alpn)
}

/// The same, with the cipher suites of `provider`.
pub(crate) fn config_with(
    provider: CryptoProvider,
    authority: &Authority,
    version: &'static SupportedProtocolVersion,
    alpn: &[&[u8]],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.root.to_der().unwrap())).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

/// Connects, without a handshake yet.
pub(crate) fn dial(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).expect("the listener accepts");
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Completes a handshake over `stream` with the server of this name.
pub(crate) fn handshake(
    mut stream: TcpStream,
    config: &Arc<ClientConfig>,
    name: &'static str,
) -> io::Result<Client> {
    let mut connection =
        ClientConnection::new(Arc::clone(config), ServerName::try_from(name).unwrap()).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(connection, stream))
}

/// Connects and completes a handshake with `localhost`.
pub(crate) fn connect(server: SocketAddr, config: &Arc<ClientConfig>) -> Client {
    handshake(dial(server), config, "localhost").expect("a handshake")
}

/// Sends a frame and has it sent back.
pub(crate) fn echo(client: &mut (impl Read + Write), content: &[u8]) {
    let frame = [&(content.len() as u16).to_be_bytes(), content].concat();
    client.write_all(&frame).unwrap();
    client.flush().unwrap();
    let mut back = vec![0; frame.len()];
    client.read_exact(&mut back).unwrap();
    assert!(back == frame, "the same comes back");
}
