//! The workspace's servers on the lab's public host: `stund` with its two addresses, `turnd`, and the rendezvous.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::process::Transport;
use crate::scratch::Scratch;
use crate::{Lab, LabError, Namespace, Process, binary};

/// The user that agents in the lab allocate as.
pub const USER: &str = "lab";
/// That user's password.
pub const PASSWORD: &str = "a password of the lab";
const REALM: &str = "natlab.example";

const STUN_PORT: u16 = 3478;
const ALTERNATE_PORT: u16 = 3479;
const TURN_PORT: u16 = 3480;
const RENDEZVOUS_PORT: u16 = 8080;

const START: Duration = Duration::from_secs(20);
const END: Duration = Duration::from_secs(5);

/// `stund` on its two addresses and two ports.
#[derive(Debug)]
pub struct Stund {
    process: Process,
    _scratch: Scratch,
}

impl Stund {
    /// Starts it and waits until its four sockets are bound.
    ///
    /// # Errors
    /// As [`Services::start`].
    pub fn start(lab: &Lab) -> Result<Self, LabError> {
        let scratch = Scratch::new()?;
        let mut process = stund(lab, &scratch)?;
        for &address in &lab.server.addresses {
            for port in [STUN_PORT, ALTERNATE_PORT] {
                process.wait_port(Transport::Udp, SocketAddr::new(address, port), START)?;
            }
        }
        process.wait_port(Transport::Tcp, Self::address(lab), START)?;
        Ok(Self { process, _scratch: scratch })
    }

    /// Its primary address and port.
    #[must_use]
    pub fn address(lab: &Lab) -> SocketAddr {
        SocketAddr::new(lab.server.address(), STUN_PORT)
    }

    /// Ends it by SIGTERM.
    ///
    /// # Errors
    /// As [`Services::stop`].
    pub fn stop(self) -> Result<(), LabError> {
        self.process.stop_cleanly(END)
    }
}

/// The running servers of one lab.
#[derive(Debug)]
pub struct Services {
    stund: Stund,
    turnd: Process,
    rendezvous: Process,
    host: SocketAddr,
    _scratch: Scratch,
}

impl Services {
    /// Starts all three and waits until their ports are bound.
    ///
    /// # Errors
    /// [`LabError::NotBuilt`] when an executable is missing; else what the server said that did not come up.
    pub fn start(lab: &Lab) -> Result<Self, LabError> {
        let scratch = Scratch::new()?;
        let host = lab.server.address();
        let stund = Stund::start(lab)?;
        let turnd = turnd(lab, &scratch)?;
        let rendezvous = rendezvous(lab)?;
        let mut services = Self { stund, turnd, rendezvous, host: SocketAddr::new(host, 0), _scratch: scratch };
        services.turnd.wait_port(Transport::Udp, services.at(TURN_PORT), START)?;
        services.turnd.wait_port(Transport::Tcp, services.at(TURN_PORT), START)?;
        services.rendezvous.wait_port(Transport::Tcp, services.at(RENDEZVOUS_PORT), START)?;
        Ok(services)
    }

    /// `HOST:PORT` of the STUN server's primary address.
    #[must_use]
    pub fn stun(&self) -> SocketAddr {
        self.at(STUN_PORT)
    }

    /// `HOST:PORT` of the TURN server, over UDP and TCP.
    #[must_use]
    pub fn turn(&self) -> SocketAddr {
        self.at(TURN_PORT)
    }

    /// Where two agents meet.
    #[must_use]
    pub fn rendezvous_url(&self) -> String {
        format!("http://{}", self.at(RENDEZVOUS_PORT))
    }

    /// Ends all three by SIGTERM.
    ///
    /// # Errors
    /// [`LabError::Timeout`] when one does not listen to it; [`LabError::Ended`] when one ends with a failure.
    pub fn stop(self) -> Result<(), LabError> {
        self.rendezvous.stop_cleanly(END)?;
        self.turnd.stop_cleanly(END)?;
        self.stund.stop()
    }

    /// The last lines of each server's log, for the message of a failed test.
    #[must_use]
    pub fn log_tails(&self) -> String {
        [("stund", &self.stund.process), ("turnd", &self.turnd), ("rendezvous", &self.rendezvous)]
            .map(|(name, process)| format!("{name}:\n{}", process.log_tail()))
            .join("\n")
    }

    fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.host.ip(), port)
    }
}

fn stund(lab: &Lab, scratch: &Scratch) -> Result<Process, LabError> {
    let [primary, alternate] = [lab.server.addresses[0], lab.server.addresses[1]];
    let config = format!(
        r#"
        [[listen]]
        address = "{primary}:{STUN_PORT}"

        [nat_discovery]
        alternate_address = "{alternate}"
        alternate_port = {ALTERNATE_PORT}
        "#
    );
    daemon("stund", &lab.server.namespace, &scratch.file("stund.toml", &config)?)
}

fn turnd(lab: &Lab, scratch: &Scratch) -> Result<Process, LabError> {
    let host = lab.server.address();
    let password = scratch.file("password", PASSWORD)?.display().to_string();
    // The peer policy is the built-in one: the lab's addresses look public, and it needs no hole in it.
    let config = format!(
        r#"
        realm = "{REALM}"

        [[listen]]
        address = "{host}:{TURN_PORT}"

        [relay]
        addresses = ["{host}"]
        ports = "49152-50151"

        [auth]
        users = {{ {USER} = {{ password_file = "{password}" }} }}
        "#
    );
    daemon("turnd", &lab.server.namespace, &scratch.file("turnd.toml", &config)?)
}

/// Starts a service of the workspace inside `namespace` with a configuration file. It is started when this returns, not
/// ready: see [`Process::wait_port`].
///
/// # Errors
/// [`LabError::NotBuilt`] when the executable is missing, [`LabError::Io`] when it cannot be started.
pub fn daemon(name: &str, namespace: &Namespace, config: &Path) -> Result<Process, LabError> {
    let mut command = namespace.command(binary(name)?);
    command.arg("--config").arg(config);
    Process::start(name, command)
}

fn rendezvous(lab: &Lab) -> Result<Process, LabError> {
    let mut command = lab.server.namespace.command(binary("ice-agent")?);
    let address = SocketAddr::new(lab.server.address(), RENDEZVOUS_PORT);
    command.args(["rendezvous", "--listen", &address.to_string()]);
    Process::start("ice-agent rendezvous", command)
}
