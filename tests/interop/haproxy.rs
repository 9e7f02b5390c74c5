//! Debian's HAProxy with one socket for both families, which names IPv4 clients in mapped form
//! (H54).
#![allow(clippy::unwrap_used)] // a panic is how a test reports

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use causeway_kit::{Process, Scratch, port};
use causeway_relay::Transport;
use causeway_tests::daemon::service::{self, PASSWORD, Service, USER};
use causeway_tests::{Answer, Client};
use causeway_wire::attribute::RequestedTransport;
use causeway_wire::stream::frame_len;
use causeway_wire::{Method, TransactionId};
use socket2::{Domain, Socket, Type};

const TRUSTED: &str = "proxy_protocol = { trusted = [\"127.0.0.1/32\"] }\n";
/// Each client may have one connection and one allocation.
const LIMITS: &str =
    "[limits]\ntcp_connections_per_prefix = 1\nallocations_per_prefix = 1\n[net]\nworkers = 1\n";
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn h54_ipv4_clients_of_a_dual_stack_haproxy_are_ipv4_clients_of_turnd() {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
    let turnd =
        Service::start("turnd", address, &proxied(&service::turnd_config(address, "", LIMITS)));
    let haproxy = HaProxy::start(address);
    let [one, two] = [[127, 0, 0, 1], [127, 0, 0, 2]].map(Ipv4Addr::from);

    // Each client has a place of its own, and no second one.
    let (mut first, mut second) = (haproxy.connect(one), haproxy.connect(two));
    assert_eq!(
        (first.mapped(), second.mapped()),
        (Some(first.local), Some(second.local)),
        "{}",
        turnd.log()
    );
    assert_eq!(haproxy.connect(one).mapped(), None, "the limit counts {one}'s connections");

    first.allocate();
    second.allocate();
    turnd.until_log(&format!("client={}", first.local));
    assert!(!turnd.log().contains("::ffff:"), "{}", turnd.log());
    drop((first, second));
    turnd.end();
}

#[test]
fn h54_ipv4_clients_of_a_dual_stack_haproxy_are_ipv4_clients_of_stund() {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
    let stund = Service::start("stund", address, &proxied(&service::stund_config(address)));
    let haproxy = HaProxy::start(address);
    let mut client = haproxy.connect(Ipv4Addr::LOCALHOST);
    assert_eq!(client.mapped(), Some(client.local), "{}", stund.log());
    drop(client);
    stund.end();
}

/// The configuration with a listener that takes TCP through the proxy.
fn proxied(config: &str) -> String {
    config.replacen("[[listen]]\n", &format!("[[listen]]\ntransports = [\"tcp\"]\n{TRUSTED}"), 1)
}

/// HAProxy in front of a server, on a port of its own. Ended when dropped.
struct HaProxy {
    _process: Process,
    port: u16,
    _scratch: Scratch,
}

impl HaProxy {
    fn start(server: SocketAddr) -> Self {
        let (scratch, port) = (Scratch::new(), port::free());
        let config = format!(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n\
             frontend turn\n bind :::{port} v4v6\n default_backend turn\n\
             backend turn\n server one {server} send-proxy-v2\n"
        );
        let path = scratch.write("haproxy.cfg", &config);
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(path);
        let mut process = Process::logged("haproxy", command, &scratch.path("log"))
            .expect("`cargo xtask test tools` installs haproxy");
        // From an address of no other client: the limits count this one, too.
        let open = || connect(Ipv4Addr::new(127, 0, 0, 9), port).is_ok();
        process.wait_until("listener", PATIENCE, open).unwrap();
        Self { _process: process, port, _scratch: scratch }
    }

    /// A client at this address.
    fn connect(&self, from: Ipv4Addr) -> Connection {
        let stream = connect(from, self.port).unwrap();
        let local = stream.local_addr().unwrap();
        assert_eq!(local.ip(), IpAddr::from(from));
        Connection { stream, local }
    }
}

fn connect(from: Ipv4Addr, port: u16) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(from.into(), 0).into())?;
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket.into())
}

struct Connection {
    stream: TcpStream,
    local: SocketAddr,
}

impl Connection {
    /// The client's address as the server sees it; `None` when the server closes instead.
    fn mapped(&mut self) -> Option<SocketAddr> {
        let client = Client::at(self.local, Transport::Tcp);
        self.exchange(
            &client,
            &client.unsigned(TransactionId([7; 12]), Method::BINDING, &|_| Ok(())),
        )?
        .mapped()
    }

    fn allocate(&mut self) {
        let mut client = Client::at(self.local, Transport::Tcp).named(USER, PASSWORD);
        let udp =
            |w: &mut causeway_wire::MessageWriter<'_>| w.put(&RequestedTransport::UDP).map(drop);
        let id = client.next_transaction();
        let challenge = self
            .exchange(&client, &client.unsigned(id, Method::ALLOCATE, &udp))
            .expect("a challenge");
        (client.realm, client.nonce) = (challenge.realm(), challenge.nonce());
        let id = client.next_transaction();
        let answer =
            self.exchange(&client, &client.signed(id, Method::ALLOCATE, &udp)).expect("an answer");
        assert_eq!(answer.error(), None);
    }

    fn exchange(&mut self, client: &Client, request: &[u8]) -> Option<Answer> {
        self.stream.write_all(request).ok()?;
        let mut bytes = Vec::new();
        loop {
            if let Some(len) =
                frame_len(&bytes).expect("the server's frames").filter(|len| *len <= bytes.len())
            {
                bytes.truncate(len);
                return Some(Answer { bytes, to: client.five_tuple });
            }
            let mut more = [0; 4096];
            match self.stream.read(&mut more) {
                Ok(len @ 1..) => bytes.extend_from_slice(&more[..len]),
                _ => return None,
            }
        }
    }
}
