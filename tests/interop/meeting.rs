//! The rendezvous behind reverse proxies that others wrote: under a path, over TLS, with each
//! client counted by its own address.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use causeway_kit::program::{self, built};
use causeway_kit::{Finished, Process, Scratch, port};
use causeway_tests::daemon::certificates::{Certificates, KeyKind};
use socket2::{Domain, Socket, Type};

const START: Duration = Duration::from_secs(10);
const CALL: Duration = Duration::from_secs(60);
/// The seats that one client may have, as the tests set it.
const SEATS: usize = 4;

/// A rendezvous on a free port, and where it listens.
fn rendezvous(arguments: &[&str]) -> (Process, SocketAddr) {
    let mut command = Command::new(built("ice-agent"));
    command
        .args([
            "rendezvous",
            "--listen",
            "127.0.0.1:0",
            "--max-seats-per-address",
            &SEATS.to_string(),
        ])
        .args(arguments);
    let mut running = Process::start("ice-agent rendezvous", command).expect("it is built");
    let line = running.wait_line("://", START).expect("a line with its URL");
    let address = line
        .split("://")
        .nth(1)
        .and_then(|rest| rest.trim().split('/').next())
        .expect("a URL")
        .parse();
    (running, address.expect("an address"))
}

/// Starts a server of other authors and waits until it takes connections.
fn start(command: Command, listens: u16, scratch: &Scratch) -> Process {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut process =
        Process::logged(name, command, &scratch.path("server.log")).unwrap_or_else(|error| {
            panic!("{error}; `cargo xtask test tools` installs what is missing")
        });
    let open = || TcpStream::connect((Ipv4Addr::LOCALHOST, listens)).is_ok();
    process.wait_until("listener", START, open).unwrap_or_else(|error| panic!("{error}"));
    process
}

/// nginx with one server that hands `/meet/` on.
fn nginx(scratch: &Scratch, listens: u16, tls: Option<&Certificates>, location: &str) -> Process {
    let folder = scratch.folder().to_owned();
    let (ssl, certificates) = match tls {
        Some(made) => {
            let [chain, key] = made.files();
            (
                " ssl",
                format!(
                    "ssl_certificate {}; ssl_certificate_key {};",
                    chain.display(),
                    key.display()
                ),
            )
        }
        None => ("", String::new()),
    };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}/{kind};\n", folder.display()))
        .concat();
    // Debian's nginx runs as root in the tests, and must read what root wrote.
    let user = if folder_is_roots(&folder) { "user root;" } else { "" };
    let text = format!(
        "{user} daemon off; pid {0}/pid; error_log stderr;\n\
         events {{ worker_connections 200; }}\nhttp {{ access_log off;\n{temporary}\
         server {{ listen 127.0.0.1:{listens}{ssl}; {certificates}\nlocation /meet/ {{ {location} }} }} }}\n",
        folder.display()
    );
    let file = scratch.write("nginx.conf", &text);
    let mut command = Command::new("nginx");
    command.arg("-e").arg("stderr").arg("-p").arg(&folder).arg("-c").arg(file);
    start(command, listens, scratch)
}

fn folder_is_roots(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(folder).is_ok_and(|metadata| metadata.uid() == 0)
}

fn haproxy(scratch: &Scratch, listens: u16, frontend: &str, server: &str) -> Process {
    let text = format!(
        "defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
         frontend f\n {frontend}\n default_backend b\nbackend b\n{server}\n"
    );
    let file = scratch.write("haproxy.cfg", &text);
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(file);
    start(command, listens, scratch)
}

/// An agent that meets another one at the URL, and uses no proxy.
fn agent(url: &str) -> Command {
    let mut command = Command::new(built("ice-agent"));
    command.args(["connect", "--json", "--bind", "127.0.0.1", "--count", "5", "--interval", "5"]);
    command.args(["--rendezvous", url]);
    for variable in ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "ICE_AGENT_PROXY"] {
        command.env_remove(variable);
    }
    command
}

/// Lets two agents meet at the URL: the first makes the room, the second has its link.
fn meet(url: &str, root: Option<&Path>) {
    let agent = |url: &str| {
        let mut command = agent(url);
        command.args(root.map(|root| format!("--ca={}", root.display())));
        command
    };
    let mut first = Process::start("the first agent", agent(url)).expect("it is built");
    let told = first.wait_line("'", CALL).unwrap_or_else(|error| panic!("no link: {error}"));
    let link = told.split('\'').nth(1).unwrap_or_else(|| panic!("no link is in {told}"));
    let second = program::run(agent(link), CALL);
    let first = first.finish(CALL).and_then(Finished::success);
    assert!(second.succeeded && first.is_ok(), "{url}: {}\n{first:?}", second.text);
}

/// The status of a join, asked from this address of loopback over plain HTTP.
fn join(from: Ipv4Addr, to: SocketAddr, path: &str, room: usize, forged: &str) -> String {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((from, 0)).into()).expect("all of 127.0.0.0/8 is ours");
    socket.connect(&to.into()).expect("the proxy listens");
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(CALL)).expect("a socket");
    let request = format!(
        "POST {path}/rooms/{room:032x}/members HTTP/1.1\r\nHost: meet.test\r\n{forged}\
         Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("a connection");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer.split(' ').nth(1).unwrap_or("none").to_owned()
}

/// One client fills its share of seats, however it forges its headers; another one still finds a
/// seat.
fn each_client_has_its_own_share(proxy: SocketAddr, path: &str) {
    let (greedy, other) = (Ipv4Addr::new(127, 66, 0, 1), Ipv4Addr::new(127, 67, 0, 1));
    let joins = (0..SEATS + 3).map(|room| {
        join(greedy, proxy, path, room, &format!("X-Forwarded-For: 198.51.100.{room}\r\n"))
    });
    let statuses: Vec<String> = joins.collect();
    let expected: Vec<&str> =
        (0..SEATS + 3).map(|room| if room < SEATS { "201" } else { "429" }).collect();
    assert_eq!(statuses, expected, "{path}");
    assert_eq!(join(other, proxy, path, 100, ""), "201", "another client has a share of its own");
}

/// An agent that is killed behind the proxy is gone for the rendezvous too: the same room is taken
/// at once by two others.
fn a_killed_agent_leaves_no_ghost(url: &str) {
    let secret = "A".repeat(22);
    let link = format!("{url}#{secret}");
    let mut killed = Process::start("an agent", agent(&link)).expect("it is built");
    killed.wait_line("waiting for the peer", CALL).expect("it joins");
    killed.kill().expect("it is our child");
    let first = thread::spawn({
        let agent = agent(&link);
        move || program::run(agent, CALL)
    });
    thread::sleep(Duration::from_millis(200));
    let second = program::run(agent(&link), CALL);
    let first = first.join().expect("no panic");
    assert!(first.succeeded && second.succeeded, "{}\n{}", first.text, second.text);
}

#[test]
fn behind_nginx_under_a_path() {
    let (_rendezvous, backend) = rendezvous(&["--trust-forwarded-for", "127.0.0.1"]);
    let (scratch, listens) = (Scratch::new(), port::free());
    let location = format!(
        "proxy_pass http://{backend}/; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
    );
    let _nginx = nginx(&scratch, listens, None, &location);
    let url = format!("http://127.0.0.1:{listens}/meet/");
    meet(&url, None);
    a_killed_agent_leaves_no_ghost(&url);
    each_client_has_its_own_share(([127, 0, 0, 1], listens).into(), "/meet");
}

#[test]
fn behind_nginx_with_tls_on_both_sides_and_the_path_left() {
    let (outer, inner) = (Certificates::make(KeyKind::Ecdsa), Certificates::make(KeyKind::Rsa));
    let [chain, key] = inner.files().map(|path| path.display().to_string());
    let (_rendezvous, backend) = rendezvous(&[
        "--tls-certificate",
        &chain,
        "--tls-key",
        &key,
        "--path",
        "/meet",
        "--trust-forwarded-for",
        "127.0.0.0/24",
    ]);
    let (scratch, listens) = (Scratch::new(), port::free());
    let root = inner.root();
    let location = format!(
        "proxy_pass https://{backend}; proxy_ssl_verify on; proxy_ssl_verify_depth 3; \
         proxy_ssl_name localhost; \
         proxy_ssl_trusted_certificate {}; proxy_set_header X-Forwarded-For $remote_addr;",
        root.display()
    );
    let _nginx = nginx(&scratch, listens, Some(&outer), &location);
    meet(&format!("https://127.0.0.1:{listens}/meet/"), Some(&outer.root()));
}

#[test]
fn behind_haproxy_with_forwarded_for() {
    let (_rendezvous, backend) = rendezvous(&["--trust-forwarded-for", "127.0.0.1"]);
    let (scratch, listens) = (Scratch::new(), port::free());
    let server = format!(
        " option forwardfor\n option abortonclose\n \
         http-request replace-path /meet(/.*)? \\1\n server s {backend}"
    );
    let _haproxy = haproxy(&scratch, listens, &format!("bind 127.0.0.1:{listens}"), &server);
    let url = format!("http://127.0.0.1:{listens}/meet/");
    meet(&url, None);
    a_killed_agent_leaves_no_ghost(&url);
    each_client_has_its_own_share(([127, 0, 0, 1], listens).into(), "/meet");
}

#[test]
fn behind_haproxy_with_the_proxy_protocol() {
    for version in ["send-proxy", "send-proxy-v2"] {
        let (_rendezvous, backend) = rendezvous(&["--trust-proxy-protocol", "127.0.0.1"]);
        let (scratch, listens) = (Scratch::new(), port::free());
        let frontend = format!("mode tcp\n bind 127.0.0.1:{listens}");
        let _haproxy = haproxy(
            &scratch,
            listens,
            &frontend,
            &format!(" mode tcp\n server s {backend} {version} check"),
        );
        meet(&format!("http://127.0.0.1:{listens}"), None);
        each_client_has_its_own_share(([127, 0, 0, 1], listens).into(), "");
    }
}

#[test]
fn haproxy_that_is_not_trusted_counts_as_one_client() {
    let (_rendezvous, backend) = rendezvous(&[]);
    let (scratch, listens) = (Scratch::new(), port::free());
    let server = format!(" option forwardfor\n server s {backend}");
    let _haproxy = haproxy(&scratch, listens, &format!("bind 127.0.0.1:{listens}"), &server);
    let proxy = ([127, 0, 0, 1], listens).into();
    let from = |client: u8, room| join(Ipv4Addr::new(127, 66, client, 1), proxy, "", room, "");
    let statuses: Vec<String> =
        (0..=SEATS).map(|room| from(u8::try_from(room).expect("few"), room)).collect();
    assert_eq!(statuses.iter().filter(|status| *status == "201").count(), SEATS, "{statuses:?}");
}
