use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use causeway_relay::Transport;
use causeway_wire::stream::frame_len;

/// So long nothing arriving is nothing coming.
const PATIENCE: Duration = Duration::from_secs(5);

/// A client's way to the server.
pub(crate) enum Leg {
    Udp(UdpSocket),
    Tcp(TcpStream, Vec<u8>),
}

impl Leg {
    pub(crate) fn new(transport: Transport, server: SocketAddr) -> Self {
        if transport.is_stream() {
            let stream = TcpStream::connect(server).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.set_nodelay(true).unwrap();
            return Self::Tcp(stream, Vec::new());
        }
        let socket = udp();
        socket.connect(server).unwrap();
        Self::Udp(socket)
    }

    pub(crate) fn local(&self) -> SocketAddr {
        match self {
            Self::Udp(socket) => socket.local_addr(),
            Self::Tcp(stream, _) => stream.local_addr(),
        }
        .unwrap()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        match self {
            Self::Udp(socket) => assert_eq!(socket.send(bytes).unwrap(), bytes.len()),
            Self::Tcp(stream, _) => stream.write_all(bytes).unwrap(),
        }
    }

    /// The next datagram or frame; `None` when the connection is closed.
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::Udp(socket) => {
                let mut bytes = vec![0; 65_536];
                let len = socket.recv(&mut bytes).expect("a datagram in time");
                bytes.truncate(len);
                Some(bytes)
            }
            Self::Tcp(stream, read) => loop {
                if let Some(len) = frame_len(read).expect("the server's frames").filter(|len| *len <= read.len()) {
                    return Some(read.drain(..len).collect());
                }
                let mut more = [0; 4096];
                match stream.read(&mut more) {
                    Ok(0) => return None,
                    Ok(len) => read.extend_from_slice(&more[..len]),
                    Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                    Err(error) => panic!("a frame in time: {error}"),
                }
            },
        }
    }
}

/// A socket of loopback, of a client or a peer.
pub(crate) fn udp() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// What arrives at a peer, and from where.
pub(crate) fn arrives(peer: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut bytes = vec![0; 65_536];
    let (len, from) = peer.recv_from(&mut bytes).expect("a datagram in time");
    bytes.truncate(len);
    (bytes, from)
}
