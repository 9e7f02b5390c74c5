//! coturn's load generator against `turnd`, in every mode that Debian's turnserver passes too:
//! nothing is lost.

mod echo;
mod mode;
mod report;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::thread;
use std::time::Duration;

use causeway_kit::program::{self, Output};
use causeway_tests::daemon::service::{PASSWORD, USER};

use crate::legs::{Leg, Server};
use causeway_tests::daemon::certificates::{Certificates, KeyKind};
use echo::Echo;
use mode::{MODES, Mode, To};
use report::Report;

const LIMIT: Duration = Duration::from_secs(60);

/// Its clients draw channel numbers from the whole range of RFC 5766, as old clients do, and all
/// have one name.
const TABLES: &str =
    "[protocol]\nchannel_numbers = \"rfc5766\"\n[limits]\nallocations_per_user = 1000\n";

const CLIENTS: u32 = 2;
const MESSAGES: u32 = 50;

/// As many runs at a time, most of which is waiting.
const AT_A_TIME: usize = 5;

/// Enough of them for a client that comes over IPv6 or over another transport.
const SOME: usize = 8;

#[test]
fn over_udp_nothing_is_lost() {
    let server = Server::start(Ipv4Addr::LOCALHOST, TABLES);
    all_comes_back(&server, Leg::Udp, MODES);
    server.end();
}

#[test]
fn over_tcp_nothing_is_lost() {
    let server = Server::start(Ipv4Addr::LOCALHOST, TABLES);
    all_comes_back(&server, Leg::Tcp, MODES);
    server.end();
}

#[test]
fn over_tls_nothing_is_lost() {
    let server =
        Server::with_certificates(Ipv4Addr::LOCALHOST, Certificates::make(KeyKind::Ecdsa), TABLES);
    all_comes_back(&server, Leg::Tls, MODES);
    server.end();
}

#[test]
fn over_dtls_nothing_is_lost() {
    // A chain of three RSA certificates: the server's flight is more than a datagram long.
    let server =
        Server::with_certificates(Ipv4Addr::LOCALHOST, Certificates::make(KeyKind::Rsa), TABLES);
    all_comes_back(&server, Leg::Dtls, MODES);
    server.end();
}

#[test]
fn from_ipv6_nothing_is_lost() {
    let server = Server::start(Ipv6Addr::LOCALHOST, TABLES);
    all_comes_back(&server, Leg::Udp, &MODES[..SOME]);
    all_comes_back(&server, Leg::Tcp, &MODES[..SOME]);
    server.end();
}

#[test]
fn a_rest_secret_lets_its_clients_in() {
    let server = Server::with_rest_secret(Ipv4Addr::LOCALHOST, "minted", TABLES);
    let good = uclient(&server, Leg::Udp, &["-y", "-c", "-u", "bob", "-W", "minted"]);
    assert!(
        Report::read(&good.text).is_some_and(|report| report.all_came_back(CLIENTS * MESSAGES)),
        "{}",
        good.text
    );
    let bad = uclient(&server, Leg::Udp, &["-y", "-c", "-u", "bob", "-W", "guessed"]);
    assert!(!bad.succeeded && bad.text.contains("Cannot complete Allocation"), "{}", bad.text);
    server.end();
}

#[test]
fn a_wrong_password_gets_no_allocation() {
    let server = Server::start(Ipv4Addr::LOCALHOST, TABLES);
    let output = uclient(&server, Leg::Udp, &["-y", "-c", "-u", USER, "-w", "not it"]);
    assert!(
        !output.succeeded && output.text.contains("Cannot complete Allocation"),
        "{}",
        output.text
    );
    server.end();
}

/// Runs the modes, and then says which of them failed, and how.
fn all_comes_back(server: &Server, leg: Leg, modes: &[Mode]) {
    let echo = Echo::start();
    let mut failures = Vec::new();
    for some in modes.chunks(if leg == Leg::Tls { 3 } else { AT_A_TIME }) {
        let outputs: Vec<Output> = thread::scope(|scope| {
            let runs: Vec<_> =
                some.iter().map(|mode| scope.spawn(|| run(server, leg, *mode, &echo))).collect();
            runs.into_iter().map(|run| run.join().expect("it does not panic")).collect()
        });
        for (mode, output) in some.iter().zip(outputs) {
            let report = Report::read(&output.text);
            let good = output.succeeded
                && report.as_ref().is_some_and(|report| report.all_came_back(CLIENTS * MESSAGES));
            println!("{leg:?} {:34} {:20} {report:?}", mode.shows, mode.flags.join(" "));
            if !good {
                failures.push(format!("{leg:?}, {}: {}", mode.shows, output.text));
            }
        }
    }
    assert!(failures.is_empty(), "{}\n{}", failures.join("\n\n"), server.turnd.log());
}

fn run(server: &Server, leg: Leg, mode: Mode, echo: &Echo) -> Output {
    let port = echo.port.to_string();
    let peer: &[&str] = match mode.to {
        To::Ipv4Peer => &["-e", "127.0.0.1", "-r", &port],
        To::Ipv6Peer => &["-e", "::1", "-r", &port],
        To::EachOther => &[],
    };
    let flags = [peer, mode.flags, &["-u", USER, "-w", PASSWORD]].concat();
    let output = uclient(server, leg, &flags);
    // It draws channel numbers at random, now and then 0x7FFF, which is beyond the range of old
    // clients (RFC 5766): such a run says nothing.
    if output.text.contains("channel bind: error 400") {
        uclient(server, leg, &flags)
    } else {
        output
    }
}

fn uclient(server: &Server, leg: Leg, flags: &[&str]) -> Output {
    let mut command = Command::new("turnutils_uclient");
    command.args(match leg {
        Leg::Udp => &[][..],
        Leg::Tcp => &["-t"],
        Leg::Tls => &["-t", "-S"],
        Leg::Dtls => &["-S"],
    });
    // Over TLS it takes a record for one message: what waits together in the server, which a stall
    // of this machine can bring about, is lost.
    let milliseconds = if leg == Leg::Tls { "40" } else { "10" };
    let address = server.turnd.address;
    // What the flags say counts, since it comes last.
    command
        .args([
            "-m",
            &CLIENTS.to_string(),
            "-n",
            &MESSAGES.to_string(),
            "-z",
            milliseconds,
            "-l",
            "160",
        ])
        .args(flags);
    command.args(["-p", &address.port().to_string(), &address.ip().to_string()]);
    program::run(command, LIMIT)
}
