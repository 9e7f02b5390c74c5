//! coturn's load generator against `turnd`.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use causeway_tests::daemon::port;
use causeway_tests::daemon::program::{self, Output};
use causeway_tests::daemon::service::{self, PASSWORD, USER};

const LIMIT: Duration = Duration::from_secs(90);

/// Its clients draw channel numbers from the whole range of RFC 5766, as old clients do.
const OLD_CHANNELS: &str = "[protocol]\nchannel_numbers = \"rfc5766\"\n";

const CLIENTS: u32 = 4;
const MESSAGES: u32 = 100;

#[test]
fn channels_over_udp_lose_nothing() {
    all_comes_back(&[]);
}

#[test]
fn send_indications_over_udp_lose_nothing() {
    all_comes_back(&["-s"]);
}

#[test]
fn channels_over_tcp_lose_nothing() {
    all_comes_back(&["-t"]);
}

#[test]
fn send_indications_over_tcp_lose_nothing() {
    all_comes_back(&["-t", "-s"]);
}

#[test]
fn clients_of_one_server_reach_each_other() {
    let turnd = service::turnd(r#""allow 127.0.0.1""#, OLD_CHANNELS);
    let output = uclient(turnd.address, &["-y", "-c"], PASSWORD);
    let report = Report::read(&output.text);
    assert!(output.succeeded && report.lost == 0 && report.sent == report.received && report.sent > 0, "{}", output.text);
    turnd.end();
}

#[test]
fn a_wrong_password_gets_no_allocation() {
    let turnd = service::turnd(r#""allow 127.0.0.1""#, OLD_CHANNELS);
    let output = uclient(turnd.address, &["-y", "-c"], "not it");
    assert!(!output.succeeded, "{}", output.text);
    assert!(output.text.contains("Cannot complete Allocation"), "{}", output.text);
    turnd.end();
}

fn all_comes_back(flags: &[&str]) {
    let turnd = service::turnd(r#""allow 127.0.0.1""#, OLD_CHANNELS);
    let peer = Peer::start();
    let port = peer.port.to_string();
    let to_peer = ["-c", "-e", "127.0.0.1", "-r", &port];
    let output = uclient(turnd.address, &[flags, &to_peer].concat(), PASSWORD);
    let report = Report::read(&output.text);
    assert!(output.succeeded, "{}\n{}", output.text, turnd.log());
    let expected = Report { sent: CLIENTS * MESSAGES, received: CLIENTS * MESSAGES, lost: 0, dropped: 0 };
    assert_eq!(report, expected, "{}\n{}", output.text, turnd.log());
    turnd.end();
}

fn uclient(server: SocketAddr, flags: &[&str], password: &str) -> Output {
    let mut command = Command::new("turnutils_uclient");
    command.args(flags).args(["-u", USER, "-w", password]);
    command.args(["-m", &CLIENTS.to_string(), "-n", &MESSAGES.to_string(), "-z", "10", "-l", "160"]);
    command.args(["-p", &server.port().to_string(), &server.ip().to_string()]);
    program::run(command, LIMIT)
}

/// What the load generator counted.
#[derive(Debug, PartialEq)]
struct Report {
    sent: u32,
    received: u32,
    lost: u32,
    dropped: u32,
}

impl Report {
    /// The last figures count: the first ones are of a run that goes on.
    #[track_caller]
    fn read(text: &str) -> Self {
        let figure = |name: &str| {
            let (_, after) = text.rsplit_once(name).unwrap_or_else(|| panic!("no {name:?} in:\n{text}"));
            let digits = after.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(after.len());
            after[..digits].parse().unwrap_or_else(|_| panic!("no figure after {name:?} in:\n{text}"))
        };
        Self {
            sent: figure("tot_send_msgs="),
            received: figure("tot_recv_msgs="),
            lost: figure("Total lost packets "),
            dropped: figure("total send dropped "),
        }
    }
}

#[test]
fn the_figures_are_read_from_the_end() {
    let text = "3: : start_mclient: msz=4, tot_send_msgs=33, tot_recv_msgs=31, tot_send_bytes ~ 3300\n\
        6: : start_mclient: tot_send_msgs=200, tot_recv_msgs=199\n\
        6: : Total lost packets 1 (0.500000%), total send dropped 2 (1.000000%)\n";
    assert_eq!(Report::read(text), Report { sent: 200, received: 199, lost: 1, dropped: 2 });
}

/// coturn's own peer, which sends everything back.
struct Peer {
    child: Child,
    port: u16,
}

impl Peer {
    fn start() -> Self {
        let port = port::free();
        let child = Command::new("turnutils_peer")
            .args(["-L", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("turnutils_peer: {error}; `cargo xtask test tools` brings what is missing"));
        let peer = Self { child, port };
        peer.wait();
        peer
    }

    /// Until it answers: it says nothing when it is ready.
    fn wait(&self) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("some port is free");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout can be set");
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut answer = [0; 16];
        while Instant::now() < deadline {
            // Refused until it is there.
            let sent = socket.send_to(b"ready?", (Ipv4Addr::LOCALHOST, self.port));
            if sent.is_ok() && socket.recv(&mut answer).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("turnutils_peer does not answer on port {}", self.port);
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself, and then both fail: nothing is left to be done.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
