//! Programs under watch: their output kept, their end certain.

use std::fmt;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::LabError;
use crate::log::{Log, Stream};

const POLL: Duration = Duration::from_millis(10);
/// How long a program has to end after SIGTERM, when it is dropped without [`Process::stop`].
const GRACE: Duration = Duration::from_secs(2);

/// A transport protocol, for [`Process::wait_port`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A bound UDP socket.
    Udp,
    /// A listening TCP socket.
    Tcp,
}

/// A running program. Its standard input stays open, its output is collected; dropped, it is ended.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: Log,
}

impl Process {
    /// Starts `command`; see [`Namespace::command`](crate::Namespace::command) for one that runs
    /// inside a namespace. `name` is what errors call it.
    ///
    /// # Errors
    /// [`LabError::Io`] when it cannot be started.
    pub fn start(name: impl Into<String>, mut command: Command) -> Result<Self, LabError> {
        let name = name.into();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(LabError::io(format!("starting {name}")))?;
        let log = Log::default();
        log.follow(Stream::Output, child.stdout.take().expect("stdout is piped above"));
        log.follow(Stream::Error, child.stderr.take().expect("stderr is piped above"));
        Ok(Self { name, child, log })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has written a line, to either stream, that contains `text`; returns the line.
    ///
    /// # Errors
    /// [`LabError::Timeout`], or [`LabError::Ended`] when it ended without it.
    pub fn wait_line(&mut self, text: &str, timeout: Duration) -> Result<String, LabError> {
        match self.log.wait(0, timeout, |line| line.contains(text)) {
            Some((_, line)) => Ok(line),
            None => Err(self.without(&format!("line with {text:?}"), timeout)),
        }
    }

    /// Waits until a socket is bound to `address` in this program's namespace (not necessarily by
    /// this program).
    ///
    /// # Errors
    /// [`LabError::Timeout`], or [`LabError::Ended`] when it ended before.
    pub fn wait_port(
        &mut self,
        transport: Transport,
        address: SocketAddr,
        timeout: Duration,
    ) -> Result<(), LabError> {
        let deadline = Instant::now() + timeout;
        let table = match transport {
            Transport::Udp => format!("/proc/{}/net/udp", self.pid()),
            Transport::Tcp => format!("/proc/{}/net/tcp", self.pid()),
        };
        loop {
            let sockets = std::fs::read_to_string(&table).unwrap_or_default();
            if is_bound(&sockets, transport, address) {
                return Ok(());
            }
            if Instant::now() > deadline || self.has_ended()?.is_some() {
                return Err(self.without(&format!("{transport:?} socket on {address}"), timeout));
            }
            std::thread::sleep(POLL);
        }
    }

    /// Writes one line to its standard input.
    ///
    /// # Errors
    /// [`LabError::Io`] when it no longer reads.
    pub fn write_line(&mut self, line: &str) -> Result<(), LabError> {
        let stdin = self.child.stdin.as_mut().expect("stdin is piped and never taken");
        writeln!(stdin, "{line}").map_err(LabError::io(format!("writing to {}", self.name)))
    }

    /// The next line at or after `position` that `wanted` accepts, and the position behind it.
    pub(crate) fn next_line(
        &self,
        position: usize,
        timeout: Duration,
        wanted: impl FnMut(&str) -> bool,
    ) -> Option<(usize, String)> {
        self.log.wait(position, timeout, wanted)
    }

    /// Waits for its end; its exit status, standard output and standard error.
    ///
    /// # Errors
    /// [`LabError::Timeout`] when it still runs; it is then ended.
    pub fn finish(mut self, timeout: Duration) -> Result<Finished, LabError> {
        match self.wait_end(timeout)? {
            Some(status) => {
                self.log.wait_closed(GRACE);
                Ok(Finished {
                    name: self.name.clone(),
                    status,
                    output: self.log.text(Stream::Output),
                    errors: self.log.text(Stream::Error),
                })
            }
            None => Err(self.without("end", timeout)),
        }
    }

    /// Asks it to end (SIGTERM) and ends it (SIGKILL) when it has not within `grace`.
    ///
    /// # Errors
    /// [`LabError::Timeout`] when it had to be killed: a service that ignores SIGTERM is a finding.
    pub fn stop(mut self, grace: Duration) -> Result<ExitStatus, LabError> {
        self.terminate();
        match self.wait_end(grace)? {
            Some(status) => Ok(status),
            None => {
                let deaf = self.without("end after SIGTERM", grace);
                // Its refusal is known; the drop need not wait for it once more.
                let _ = self.child.kill();
                Err(deaf)
            }
        }
    }

    /// [`Process::stop`], for a service: it ends with success.
    ///
    /// # Errors
    /// [`LabError::Timeout`] as for `stop`; [`LabError::Ended`] when it ends with a failure, or had
    /// ended before.
    pub fn stop_cleanly(mut self, grace: Duration) -> Result<(), LabError> {
        if self.has_ended()?.is_some() {
            return Err(self.without("running service", Duration::ZERO));
        }
        let (name, log) = (self.name.clone(), self.log.clone());
        let status = self.stop(grace)?;
        if status.success() {
            return Ok(());
        }
        log.wait_closed(GRACE);
        Err(LabError::Ended {
            program: name,
            status: status.to_string(),
            what: "a failure".to_owned(),
            log: log.tail(),
        })
    }

    /// Ends it as a crash would (SIGKILL).
    ///
    /// # Errors
    /// [`LabError::Io`] when it cannot be.
    pub fn kill(&mut self) -> Result<(), LabError> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map(drop).map_err(LabError::io(format!("killing {}", self.name)))
    }

    /// What it has written to standard output so far.
    #[must_use]
    pub fn output(&self) -> String {
        self.log.text(Stream::Output)
    }

    /// The last lines that it wrote, for an error message.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.log.tail()
    }

    fn has_ended(&mut self) -> Result<Option<ExitStatus>, LabError> {
        self.child.try_wait().map_err(LabError::io(format!("waiting for {}", self.name)))
    }

    fn wait_end(&mut self, timeout: Duration) -> Result<Option<ExitStatus>, LabError> {
        let deadline = Instant::now() + timeout;
        loop {
            let status = self.has_ended()?;
            if status.is_some() || Instant::now() > deadline {
                return Ok(status);
            }
            std::thread::sleep(POLL);
        }
    }

    /// SIGTERM. The child is not reaped yet, so the pid cannot be anybody else's.
    fn terminate(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = Command::new("kill")
                .args(["-TERM", &self.pid().to_string()])
                .stderr(Stdio::null())
                .status();
        }
    }

    fn without(&mut self, what: &str, waited: Duration) -> LabError {
        let (program, what) = (self.name.clone(), what.to_owned());
        // A program that has closed its output is about to end: its status tells more than a
        // timeout.
        let patience = if self.log.is_closed() { GRACE } else { Duration::ZERO };
        match self.wait_end(patience) {
            Ok(Some(status)) => {
                self.log.wait_closed(GRACE);
                LabError::Ended {
                    program,
                    status: status.to_string(),
                    what: format!("no {what}"),
                    log: self.log.tail(),
                }
            }
            _ => LabError::Timeout { program, what, waited, log: self.log.tail() },
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.terminate();
        if !matches!(self.wait_end(GRACE), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A program that has ended.
#[derive(Debug, Clone)]
pub struct Finished {
    name: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub output: String,
    /// Its standard error.
    pub errors: String,
}

impl Finished {
    /// Its standard output, if it ended with success.
    ///
    /// # Errors
    /// [`LabError::Ended`] with all that it wrote.
    pub fn success(self) -> Result<String, LabError> {
        if self.status.success() {
            return Ok(self.output);
        }
        let log = self.to_string();
        Err(LabError::Ended {
            program: self.name,
            status: self.status.to_string(),
            what: "a failure".to_owned(),
            log,
        })
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.output.lines().chain(self.errors.lines()) {
            writeln!(f, "    {line}")?;
        }
        Ok(())
    }
}

/// Whether the text of `/proc/net/udp` or `/proc/net/tcp` shows a socket that receives on
/// `address`.
fn is_bound(sockets: &str, transport: Transport, address: SocketAddr) -> bool {
    // TCP_LISTEN, and what an unconnected UDP socket shows (TCP_CLOSE).
    let state = if transport == Transport::Tcp { "0A" } else { "07" };
    let IpAddr::V4(ip) = address.ip() else { return false };
    // The kernel prints the address as it lies in memory, read as a number of this machine.
    let exact = format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port());
    let any = format!("00000000:{:04X}", address.port());
    sockets.lines().skip(1).any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next();
        (local == Some(&exact) || local == Some(&any)) && fields.nth(1) == Some(state)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(5);

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::start("shell", command).unwrap()
    }

    #[test]
    fn output_is_collected_to_the_end() {
        let finished = shell("echo out; echo err >&2").finish(SECOND).unwrap();
        assert_eq!((finished.output.as_str(), finished.errors.as_str()), ("out", "err"));
        assert_eq!(finished.success().unwrap(), "out");
    }

    #[test]
    fn a_failure_shows_what_the_program_said() {
        let error =
            shell("echo why; exit 2").finish(SECOND).unwrap().success().unwrap_err().to_string();
        assert!(error.contains("why") && error.contains('2'), "{error}");
    }

    #[test]
    fn a_program_that_ends_early_is_told_from_a_slow_one() {
        let ended = shell("echo sorry").wait_line("ready", SECOND).unwrap_err();
        assert!(matches!(&ended, LabError::Ended { log, .. } if log.contains("sorry")), "{ended}");
        let slow =
            shell("exec sleep 60").wait_line("ready", Duration::from_millis(50)).unwrap_err();
        assert!(matches!(slow, LabError::Timeout { .. }), "{slow}");
    }

    #[test]
    fn stop_asks_first_and_a_deaf_program_is_killed_and_reported() {
        let mut polite = shell("trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done");
        polite.wait_line("ready", SECOND).unwrap();
        assert_eq!(polite.stop(SECOND).unwrap().code(), Some(7));

        let mut deaf = shell("trap '' TERM; echo ready; while :; do sleep 0.02; done");
        deaf.wait_line("ready", SECOND).unwrap();
        let pid = deaf.pid();
        assert!(matches!(deaf.stop(Duration::from_millis(100)), Err(LabError::Timeout { .. })));
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn bound_ports_are_read_from_the_kernels_table() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let text = |transport| {
            let name = if transport == Transport::Tcp { "tcp" } else { "udp" };
            std::fs::read_to_string(format!("/proc/self/net/{name}")).unwrap()
        };
        // The table is no snapshot: while other sockets of the host come and go, a reading may miss
        // one.
        let is_listed =
            |transport, address| (0..100).any(|_| is_bound(&text(transport), transport, address));
        let free: SocketAddr = "127.0.0.9:9".parse().unwrap();
        assert!(is_listed(Transport::Udp, socket.local_addr().unwrap()));
        assert!(is_listed(Transport::Tcp, listener.local_addr().unwrap()));
        assert!(!is_listed(Transport::Udp, free) && !is_listed(Transport::Tcp, free));
    }
}
