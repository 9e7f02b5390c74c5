//! An HTTP proxy on loopback that opens tunnels, or has a fault on request.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How the proxy answers CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProxyBehaviour {
    Open,
    /// Opens the tunnel for requests with this `user:password`, and answers 407 to others.
    Password(&'static str),
    /// Sends this answer and closes the connection.
    Answers(&'static str),
    /// Sends a header that never ends.
    Endless,
}

/// The running proxy; it ends when dropped.
pub(crate) struct Tunnel {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Tunnel {
    pub(crate) async fn start(behaviour: ProxyBehaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let requests = Arc::clone(&asked);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, behaviour, Arc::clone(&requests)));
            }
        });
        Self { address, asked, _tasks: tasks }
    }

    /// The complete requests that came.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(mut client: TcpStream, behaviour: ProxyBehaviour, asked: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let Ok(octet) = client.read_u8().await else { return };
        request.push(octet);
    }
    let request = String::from_utf8(request).unwrap();
    asked.lock().unwrap().push(request.clone());
    let answer = match behaviour {
        ProxyBehaviour::Open => None,
        ProxyBehaviour::Password(pair) => {
            let shown = format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(pair));
            (!request.contains(&shown)).then_some(
                "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n",
            )
        }
        ProxyBehaviour::Answers(answer) => Some(answer),
        ProxyBehaviour::Endless => {
            let _ = client.write_all(b"HTTP/1.1 200 OK\r\n").await;
            while client.write_all(&[b'x'; 1024]).await.is_ok() {}
            return;
        }
    };
    if let Some(answer) = answer {
        let _ = client.write_all(answer.as_bytes()).await;
        return;
    }
    // This proxy resolves names to loopback.
    let to = request.split(' ').nth(1).unwrap().replace("only-the-proxy-knows.test", "127.0.0.1");
    let Ok(mut server) = TcpStream::connect(to).await else {
        let _ = client.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await;
        return;
    };
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}
