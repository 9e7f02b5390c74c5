//! Driving `lab-probe` programs inside the namespaces.

use std::net::SocketAddr;
use std::time::Duration;

use crate::{LabError, Namespace, Process, binary};

/// Long enough for a loaded machine; only a failure waits it out.
const START: Duration = Duration::from_secs(10);

/// A datagram that a probe received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The source address that the receiver sees.
    pub from: SocketAddr,
    /// The content of the datagram.
    pub text: String,
}

/// A UDP socket inside a namespace.
#[derive(Debug)]
pub struct UdpProbe {
    process: Process,
    address: SocketAddr,
    read: usize,
}

impl UdpProbe {
    /// Binds a socket to `address` (port 0: the kernel chooses) inside `namespace`.
    ///
    /// # Errors
    /// [`LabError`] when the program is not built, cannot be started, or the address cannot be
    /// bound.
    pub fn bind(namespace: &Namespace, address: SocketAddr) -> Result<Self, LabError> {
        let (process, address) = start(namespace, "udp", address)?;
        Ok(Self { process, address, read: 0 })
    }

    /// The address that it is bound to, as its own host sees it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends one datagram; `text` is one line.
    ///
    /// # Errors
    /// [`LabError::Program`] when the probe has ended.
    pub fn send(&mut self, to: SocketAddr, text: &str) -> Result<(), LabError> {
        Ok(self.process.write_line(&format!("send {to} {text}"))?)
    }

    /// The next datagram that was not returned yet; `None` when none comes in time.
    pub fn receive(&mut self, timeout: Duration) -> Option<Arrival> {
        let mut arrival = None;
        let (read, _) = self.process.next_line(self.read, timeout, |line| {
            arrival = parse_arrival(line);
            arrival.is_some()
        })?;
        self.read = read;
        arrival
    }
}

fn parse_arrival(line: &str) -> Option<Arrival> {
    let (from, text) = line.strip_prefix("received ")?.split_once(' ')?;
    Some(Arrival { from: from.parse().ok()?, text: text.to_owned() })
}

/// A TCP listener inside a namespace; it tells each client the address that it sees.
#[derive(Debug)]
pub struct TcpListenerProbe {
    _process: Process,
    address: SocketAddr,
}

impl TcpListenerProbe {
    /// Listens on `address` inside `namespace`.
    ///
    /// # Errors
    /// As [`UdpProbe::bind`].
    pub fn bind(namespace: &Namespace, address: SocketAddr) -> Result<Self, LabError> {
        let (process, address) = start(namespace, "tcp-listen", address)?;
        Ok(Self { _process: process, address })
    }

    /// The address that it listens at.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Connects from inside `namespace` to a [`TcpListenerProbe`]: the client's address as the listener
/// sees it, or `None` when there is no connection within two seconds.
///
/// # Errors
/// [`LabError`] when the program is not built, cannot be started, or answers nonsense.
pub fn tcp_connect(namespace: &Namespace, to: SocketAddr) -> Result<Option<SocketAddr>, LabError> {
    let mut command = namespace.command(binary("lab-probe")?);
    command.args(["tcp-connect", &to.to_string()]);
    let finished = Process::start("lab-probe tcp-connect", command)?.finish(START)?;
    if finished.output.starts_with("failed ") {
        return Ok(None);
    }
    let seen_as = finished.output.strip_prefix("seen-as ").and_then(|address| address.parse().ok());
    seen_as
        .map(Some)
        .ok_or_else(|| LabError::Unexpected(format!("lab-probe tcp-connect said:\n{finished}")))
}

fn start(
    namespace: &Namespace,
    mode: &str,
    address: SocketAddr,
) -> Result<(Process, SocketAddr), LabError> {
    let mut command = namespace.command(binary("lab-probe")?);
    command.args([mode, &address.to_string()]);
    let mut process = Process::start(format!("lab-probe {mode} {address}"), command)?;
    let line = process.wait_line("bound ", START)?;
    let bound = line.strip_prefix("bound ").and_then(|bound| bound.parse().ok());
    let bound =
        bound.ok_or_else(|| LabError::Unexpected(format!("lab-probe {mode} said {line:?}")))?;
    Ok((process, bound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_told_from_other_lines() {
        let arrival = parse_arrival("received 80.80.80.2:3478 two words").unwrap();
        assert_eq!(
            arrival,
            Arrival { from: "80.80.80.2:3478".parse().unwrap(), text: "two words".to_owned() }
        );
        assert_eq!(parse_arrival("send-error 80.80.80.2:3478 unreachable"), None);
    }
}
