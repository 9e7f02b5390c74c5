//! The mapping behaviour for TCP: connections from one port to several of the server's addresses
//! ("These tests can be used for UDP, TCP, or TCP/TLS connections", RFC 5780 §3.1). Filtering
//! cannot be tested, since no STUN server opens connections to its clients.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use anyhow::Context;
use causeway_client::Binding;
use causeway_wire::Transport;
use tokio::net::TcpSocket;
use tokio::time::{Instant, sleep};

use super::behaviour::{Behaviour, Classic};
use super::comparison::{self, Observation};
use super::loss::{self, MAX_TOTALS};
use super::observations::{Ports, Test};
use super::pacer::Pacer;
use super::report::Report;
use super::servers::{MAX_COMPARED, differs, in_turns};
use super::tcp_probe;
use crate::probe::{ProbeError, binding};
use crate::transport::connection::Connection;

/// The tests over TCP. Connections stay open, so that the NAT keeps its mappings.
struct OverTcp {
    report: Report,
    local: SocketAddr,
    open: Vec<Connection>,
    timeout: Duration,
    pacer: Pacer,
}

/// Connects from `local` to the first server that has another address, and to that address; if
/// there is none, to several servers.
///
/// # Errors
/// No socket.
pub(super) async fn run(
    local: IpAddr,
    servers: &[Vec<SocketAddr>],
    server: SocketAddr,
    timeout: Duration,
    pacer: Pacer,
) -> anyhow::Result<Report> {
    // Held until the end, so that no other program gets the port.
    let holder = socket(SocketAddr::new(local, 0)).context("no socket")?;
    let report = Report { transport: Transport::Tcp, ..Report::new(server) };
    let mut run = OverTcp { report, local: holder.local_addr()?, open: Vec::new(), timeout, pacer };
    let mut seen: Vec<(Observation, Binding)> = Vec::new();
    for server in in_turns(servers) {
        let Some(binding) = run.test("connectivity", server).await else { continue };
        seen.push((Observation { server, mapped: binding.mapped }, binding));
        if other(&seen).is_some() || seen.len() >= MAX_COMPARED {
            break;
        }
    }
    let mut observations: Vec<Observation> =
        seen.iter().map(|(observation, _)| *observation).collect();
    if let Some((server, other)) = other(&seen) {
        // The full tests need no other servers.
        observations.retain(|observation| observation.server == server);
        run.report.other_address = Some(other);
        for (name, to) in
            [("mapping II", SocketAddr::new(other.ip(), server.port())), ("mapping III", other)]
        {
            if let Some(binding) = run.test(name, to).await {
                observations.push(Observation { server: to, mapped: binding.mapped });
            }
        }
    }
    run.conclude(&observations);
    run.report.ports = Ports::of(&run.report.tests);
    run.report.explain();
    Ok(run.report)
}

/// The last server that answered, with its other address, if that differs enough for the tests.
fn other(seen: &[(Observation, Binding)]) -> Option<(SocketAddr, SocketAddr)> {
    let (observation, binding) = seen.last()?;
    binding
        .other
        .filter(|other| differs(observation.server, *other))
        .map(|other| (observation.server, other))
}

impl OverTcp {
    /// Opens one connection, sends one request, and adds the test to the report.
    async fn test(&mut self, name: &'static str, to: SocketAddr) -> Option<Binding> {
        self.pacer.next().await;
        let answer = self.ask(to).await;
        let mut test = Test {
            name,
            local: self.local,
            sent_to: to,
            asked: "the same",
            requests: 1,
            mapped: None,
            answered_from: None,
            failure: None,
        };
        match &answer {
            Ok(binding) => {
                test.mapped = Some(binding.mapped);
                test.answered_from = Some(to);
            }
            Err(error) => test.failure = Some(error.to_string()),
        }
        self.report.tests.push(test);
        answer.ok()
    }

    /// Sends a request from the port that all tests share. Silence counts only if connections from
    /// other ports, which run at the same time, are silent too.
    async fn ask(&mut self, to: SocketAddr) -> Result<Binding, ProbeError> {
        let total = loss::total(self.timeout);
        let control = async {
            // Longer than a path with an ordinary delay needs.
            sleep(total / 4).await;
            tcp_probe::answers(to, total - total / 4).await
        };
        let local = self.local;
        let asking = async {
            let end = Instant::now() + total * MAX_TOTALS;
            let stream = loop {
                match tokio::time::timeout(total, async { socket(local)?.connect(to).await }).await
                {
                    Ok(connected) => break connected?,
                    Err(_) if Instant::now() < end => {}
                    Err(_) => return Err(silence()),
                }
            };
            let mut connection = Connection::over(stream)?;
            // The system retransmits over the connection, at growing intervals.
            let bound =
                binding(&mut connection, to, Transport::Tcp, tcp_probe::timing(total * MAX_TOTALS))
                    .await?;
            Ok((connection, bound))
        };
        let mut asking = pin!(asking);
        let ended = tokio::select! {
            ended = &mut asking => ended,
            answers = control => if answers { asking.await } else { Err(silence()) },
        };
        let (connection, bound) = ended?;
        self.open.push(connection);
        Ok(bound)
    }

    fn conclude(&mut self, observations: &[Observation]) {
        let Some(first) = observations.first() else {
            self.report.notes.push(
                "No answer over TCP: the server is down, or the path to it is blocked.".into(),
            );
            return;
        };
        let nat = first.mapped != self.local;
        self.report.server = first.server;
        self.report.local = Some(self.local);
        self.report.mapped = Some(first.mapped);
        self.report.nat = Some(nat);
        self.report.mapping =
            if nat { comparison::mapping(observations) } else { Behaviour::EndpointIndependent };
        if self.report.mapping == Behaviour::Unknown {
            let note = "The mapping behaviour is unknown, since only one address answered; give a \
                second server with another address (--server).";
            self.report.notes.push(note.into());
        }
        self.report.notes.push(
            "The filtering behaviour for TCP is unknown: no STUN server opens connections \
                to its clients."
                .into(),
        );
        self.report.classic = Classic::of(nat, self.report.mapping, Behaviour::Unknown);
    }
}

fn silence() -> ProbeError {
    io::Error::new(io::ErrorKind::TimedOut, "no answer over TCP").into()
}

/// A socket that is bound and shares its port with the others.
fn socket(local: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if local.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(local)?;
    Ok(socket)
}
