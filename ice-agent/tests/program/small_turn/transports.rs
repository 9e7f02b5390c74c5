//! Passes the clients' messages to the server: over UDP, TCP, TLS and DTLS.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use causeway_client::StreamBuffer;
use rtc_dtls::config::{ConfigBuilder, HandshakeConfig};
use rtc_dtls::crypto::{Certificate, CryptoPrivateKey};
use rtc_dtls::crypto_provider;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::authority::ServerCertificate;

/// A message from a client, and, unless it came over UDP, where to send the answer.
pub(super) struct Input {
    pub(super) client: SocketAddr,
    pub(super) bytes: Vec<u8>,
    pub(super) stream: Option<mpsc::Sender<Vec<u8>>>,
}

/// The TLS and DTLS configurations of the server.
pub(super) struct Secured {
    pub(super) tls: TlsAcceptor,
    pub(super) dtls: Arc<HandshakeConfig>,
}

impl Secured {
    pub(super) fn new(certificate: ServerCertificate) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let ServerCertificate { chain, key, .. } = certificate;
        let private = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut tls =
            versions.with_no_client_auth().with_single_cert(chain.clone(), private).unwrap();
        tls.alpn_protocols = vec![b"stun.turn".into(), b"stun.nat-discovery".into()];
        let provider = crypto_provider::default_provider().unwrap();
        let private_key = CryptoPrivateKey::from_key_pair(&key, provider.crypto()).unwrap();
        let dtls = ConfigBuilder::default()
            .with_crypto_provider(provider)
            .with_certificates(vec![Certificate { certificate: chain, private_key }])
            .build(false, None)
            .unwrap();
        Self { tls: TlsAcceptor::from(Arc::new(tls)), dtls: Arc::new(dtls) }
    }
}

/// A socket for datagrams and one for connections, on the same port.
pub(super) async fn sockets(ip: IpAddr) -> (UdpSocket, TcpListener) {
    for _ in 0..50 {
        let tcp = TcpListener::bind((ip, 0)).await.unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
    panic!("no port is free for both");
}

pub(super) async fn datagrams(
    socket: UdpSocket,
    to_server: mpsc::Sender<Input>,
    mut from_server: mpsc::Receiver<(SocketAddr, Vec<u8>)>,
) {
    let mut buffer = vec![0; 2048];
    loop {
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                let (length, client) = received.unwrap();
                let bytes = buffer[..length].to_vec();
                to_server.send(Input { client, bytes, stream: None }).await.unwrap();
            }
            Some((client, bytes)) = from_server.recv() => {
                socket.send_to(&bytes, client).await.unwrap();
            }
        }
    }
}

/// Serves DTLS: one endpoint for all clients, with a channel for the answers to each.
pub(super) async fn associations(
    socket: UdpSocket,
    config: Arc<HandshakeConfig>,
    to_server: mpsc::Sender<Input>,
) {
    const TICK: Duration = Duration::from_millis(50);
    let mut endpoint =
        Endpoint::new(socket.local_addr().unwrap(), Default::default(), Some(config));
    let (to_clients, mut from_server) = mpsc::channel::<(SocketAddr, Vec<u8>)>(1024);
    let mut answers: HashMap<SocketAddr, mpsc::Sender<Vec<u8>>> = HashMap::new();
    let mut forwarders = JoinSet::new();
    let mut buffer = vec![0; 4096];
    loop {
        let mut events = VecDeque::new();
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                let (length, client) = received.unwrap();
                // A client that rejects our certificate ends the handshake with an alert.
                let read = endpoint.read(Instant::now(), client, None, buffer[..length].into());
                for event in read.unwrap_or_default() {
                    events.push_back((client, event));
                }
            }
            Some((client, bytes)) = from_server.recv() => {
                let _ = endpoint.write(Instant::now(), client, &bytes);
            }
            () = tokio::time::sleep(TICK) => {
                let clients: Vec<SocketAddr> = endpoint.get_connections_keys().copied().collect();
                for client in clients {
                    let _ = endpoint.handle_timeout(client, Instant::now());
                }
            }
        }
        for (client, event) in events {
            match event {
                EndpointEvent::ApplicationData(data) => {
                    let stream = answers.entry(client).or_insert_with(|| {
                        let (sender, mut receiver) = mpsc::channel(1024);
                        let to_clients = to_clients.clone();
                        forwarders.spawn(async move {
                            while let Some(bytes) = receiver.recv().await {
                                to_clients.send((client, bytes)).await.unwrap();
                            }
                        });
                        sender
                    });
                    to_server
                        .send(Input { client, bytes: data.to_vec(), stream: Some(stream.clone()) })
                        .await
                        .unwrap();
                }
                EndpointEvent::PeerClosed => drop(answers.remove(&client)),
                _ => {}
            }
        }
        while let Some(transmit) = endpoint.poll_transmit() {
            socket.send_to(&transmit.message, transmit.transport.peer_addr).await.unwrap();
        }
    }
}

pub(super) async fn connections(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    to_server: mpsc::Sender<Input>,
) {
    let mut tasks = JoinSet::new();
    loop {
        let (stream, client) = listener.accept().await.unwrap();
        let (to_server, tls) = (to_server.clone(), tls.clone());
        tasks.spawn(async move {
            match tls {
                None => connection(stream, client, to_server).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        connection(stream, client, to_server).await;
                    }
                }
            }
        });
    }
}

async fn connection(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    client: SocketAddr,
    to_server: mpsc::Sender<Input>,
) {
    let (answers, mut from_server) = mpsc::channel::<Vec<u8>>(1024);
    let mut incoming = StreamBuffer::new();
    loop {
        tokio::select! {
            read = stream.read(incoming.space()) => match read {
                Ok(0) | Err(_) => return,
                Ok(read) => incoming.filled(read),
            },
            Some(bytes) = from_server.recv() => {
                if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
            }
        }
        while let Some(frame) = incoming.next_frame().unwrap() {
            to_server
                .send(Input { client, bytes: frame.to_vec(), stream: Some(answers.clone()) })
                .await
                .unwrap();
        }
    }
}
