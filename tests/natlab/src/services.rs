//! The workspace's servers on the lab's public host: `stund` with its two addresses, `turnd` over
//! all its transports, and the rendezvous; in every family that the lab has.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::certificates::Certificates;
use crate::metrics::Metrics;
use crate::{Lab, LabError, Namespace, Process, Scratch, Transport, binary, wait_port};

/// The user that agents in the lab allocate as.
pub const USER: &str = "lab";
/// Contains spaces, so that a client that cuts it at one fails.
pub const PASSWORD: &str = "a password of the lab";
/// The user name of telephones, which take no password with spaces.
pub const PHONE_USER: &str = "phone";
/// The password of [`PHONE_USER`].
pub const PHONE_PASSWORD: &str = "a-password-of-the-phones";
const REALM: &str = "natlab.example";

const STUN_PORT: u16 = 3478;
const ALTERNATE_PORT: u16 = 3479;
/// UDP, TCP, TLS and DTLS.
const TURN_PORT: u16 = 3480;
/// TLS alone: what the strictest firewalls pass.
const HTTPS_PORT: u16 = 443;
const ADMIN_PORT: u16 = 9641;
/// Of a lab with IPv6; one without has it on the server's other address, at [`HTTPS_PORT`].
const RENDEZVOUS_PORT: u16 = 8080;

/// The log line of both servers once all their sockets are bound.
const READY: &str = "ready workers=";
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
        let scratch = Scratch::new();
        let mut process = stund(lab, &scratch)?;
        for &address in lab.server.addresses.iter().filter(|address| address.is_ipv4()) {
            for port in [STUN_PORT, ALTERNATE_PORT] {
                wait_port(&mut process, Transport::Udp, SocketAddr::new(address, port), START)?;
            }
        }
        wait_port(&mut process, Transport::Tcp, Self::address(lab), START)?;
        // The sockets of IPv6 are bound then, too.
        process.wait_line(READY, START)?;
        Ok(Self { process, _scratch: scratch })
    }

    /// Its primary address and port.
    #[must_use]
    pub fn address(lab: &Lab) -> SocketAddr {
        SocketAddr::new(lab.server.address(), STUN_PORT)
    }

    /// Its primary address and port over IPv6, where the lab has it.
    #[must_use]
    pub fn address_ipv6(lab: &Lab) -> Option<SocketAddr> {
        first_of_each_family(&lab.server.addresses).get(1).map(|&ip| SocketAddr::new(ip, STUN_PORT))
    }

    /// Ends it by SIGTERM.
    ///
    /// # Errors
    /// As [`Services::stop`].
    pub fn stop(self) -> Result<(), LabError> {
        Ok(self.process.stop_cleanly(END)?)
    }
}

/// The running servers of one lab.
#[derive(Debug)]
pub struct Services {
    stund: Stund,
    turnd: Process,
    rendezvous: Process,
    /// The server's first address of each family.
    hosts: Vec<IpAddr>,
    meeting: SocketAddr,
    certificates: Certificates,
    _scratch: Scratch,
}

impl Services {
    /// Starts all three and waits until their ports are bound.
    ///
    /// # Errors
    /// [`LabError::Program`] when an executable is missing, or with the log of the server that did
    /// not start.
    pub fn start(lab: &Lab) -> Result<Self, LabError> {
        Self::start_with(lab, "")
    }

    /// The same with more tables for `turnd`'s configuration.
    ///
    /// # Errors
    /// As [`Services::start`].
    pub fn start_with(lab: &Lab, more: &str) -> Result<Self, LabError> {
        let scratch = Scratch::new();
        let hosts = first_of_each_family(&lab.server.addresses);
        let certificates = Certificates::write(&scratch);
        let stund = Stund::start(lab)?;
        let turnd = turnd(lab, &hosts, &certificates, &scratch, more)?;
        let listen = match hosts.as_slice() {
            [_] => SocketAddr::new(lab.server.addresses[1], HTTPS_PORT),
            _ => SocketAddr::from(([0_u16; 8], RENDEZVOUS_PORT)),
        };
        let rendezvous = rendezvous(lab, listen)?;
        let meeting =
            if hosts.len() == 1 { listen } else { SocketAddr::new(hosts[0], RENDEZVOUS_PORT) };
        let mut services =
            Self { stund, turnd, rendezvous, hosts, meeting, certificates, _scratch: scratch };
        let turn = services.turn();
        wait_port(&mut services.turnd, Transport::Udp, turn, START)?;
        wait_port(&mut services.turnd, Transport::Tcp, turn, START)?;
        services.turnd.wait_line(READY, START)?;
        services.rendezvous.wait_line("rendezvous listening", START)?;
        Ok(services)
    }

    /// `HOST:PORT` of the STUN server's primary address.
    #[must_use]
    pub fn stun(&self) -> SocketAddr {
        SocketAddr::new(self.hosts[0], STUN_PORT)
    }

    /// The STUN server's primary address over IPv6, where the lab has it.
    #[must_use]
    pub fn stun_ipv6(&self) -> Option<SocketAddr> {
        self.hosts.get(1).map(|&host| SocketAddr::new(host, STUN_PORT))
    }

    /// `HOST:PORT` of the TURN server, over UDP, TCP, TLS and DTLS.
    #[must_use]
    pub fn turn(&self) -> SocketAddr {
        SocketAddr::new(self.hosts[0], TURN_PORT)
    }

    /// The TURN server over IPv6, where the lab has it.
    #[must_use]
    pub fn turn_ipv6(&self) -> Option<SocketAddr> {
        self.hosts.get(1).map(|&host| SocketAddr::new(host, TURN_PORT))
    }

    /// The TURN server where HTTPS servers are, over TLS alone.
    #[must_use]
    pub fn turn_https(&self) -> SocketAddr {
        SocketAddr::new(self.hosts[0], HTTPS_PORT)
    }

    /// The certificate that the TURN server's clients must trust.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.certificates.root
    }

    /// Where two agents meet, for one with IPv4.
    #[must_use]
    pub fn rendezvous(&self) -> SocketAddr {
        self.meeting
    }

    /// [`Services::rendezvous`], as agents want it.
    #[must_use]
    pub fn rendezvous_url(&self) -> String {
        format!("http://{}", self.meeting)
    }

    /// Where two agents meet, for one without IPv4.
    #[must_use]
    pub fn rendezvous_url_ipv6(&self) -> Option<String> {
        self.hosts.get(1).map(|&host| format!("http://{}", SocketAddr::new(host, RENDEZVOUS_PORT)))
    }

    /// Scrapes the metrics of `turnd`.
    ///
    /// # Errors
    /// [`LabError`] if it does not answer.
    pub fn metrics(&self, lab: &Lab) -> Result<Metrics, LabError> {
        Metrics::read(&lab.server.namespace, SocketAddr::from(([127, 0, 0, 1], ADMIN_PORT)))
    }

    /// Ends all three by SIGTERM.
    ///
    /// # Errors
    /// [`LabError::Program`] when one does not end in time, or ends with a failure.
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
}

fn first_of_each_family(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let first = |ipv4: bool| addresses.iter().copied().find(|address| address.is_ipv4() == ipv4);
    [first(true), first(false)].into_iter().flatten().collect()
}

fn stund(lab: &Lab, scratch: &Scratch) -> Result<Process, LabError> {
    let addresses = &lab.server.addresses;
    let primaries = first_of_each_family(addresses);
    let listen: String = primaries
        .iter()
        .map(|&ip| format!("[[listen]]\naddress = \"{}\"\n", SocketAddr::new(ip, STUN_PORT)))
        .collect();
    let alternates: Vec<String> = addresses
        .iter()
        .filter(|ip| !primaries.contains(ip))
        .map(|ip| format!("\"{ip}\""))
        .collect();
    let config = format!(
        "{listen}[nat_discovery]\nalternate_address = [{}]\nalternate_port = {ALTERNATE_PORT}\n",
        alternates.join(", ")
    );
    daemon("stund", &lab.server.namespace, &scratch.write("stund.toml", &config))
}

fn turnd(
    lab: &Lab,
    hosts: &[IpAddr],
    certificates: &Certificates,
    scratch: &Scratch,
    more: &str,
) -> Result<Process, LabError> {
    let password = scratch.write("password", PASSWORD).display().to_string();
    let phone = scratch.write("phone-password", PHONE_PASSWORD).display().to_string();
    let listen: String = hosts
        .iter()
        .map(|&host| {
            let (all, https) =
                (SocketAddr::new(host, TURN_PORT), SocketAddr::new(host, HTTPS_PORT));
            format!(
                "[[listen]]\naddress = \"{all}\"\n\
                 transports = [\"udp\", \"tcp\", \"tls\", \"dtls\"]\n\
                 [[listen]]\naddress = \"{https}\"\ntransports = [\"tls\"]\n"
            )
        })
        .collect();
    let relays: Vec<String> = hosts.iter().map(|host| format!("\"{host}\"")).collect();
    // The peer policy is the built-in one: the lab's addresses look public, and it needs no hole in
    // it.
    let config = format!(
        r#"
        realm = "{REALM}"
        {listen}
        [relay]
        addresses = [{}]
        ports = "49152-50151"

        [auth]
        users = {{ {USER} = {{ password_file = "{password}" }}, {PHONE_USER} = {{ password_file = "{phone}" }} }}

        [tls]
        certificate = "{}"
        key = "{}"

        [admin]
        listen = "127.0.0.1:{ADMIN_PORT}"
        {more}
        "#,
        relays.join(", "),
        certificates.server.chain.display(),
        certificates.server.key.display()
    );
    daemon("turnd", &lab.server.namespace, &scratch.write("turnd.toml", &config))
}

/// Starts a service of the workspace inside `namespace` with a configuration file. It is started
/// when this returns, not ready: see [`wait_port`].
///
/// # Errors
/// [`LabError::Program`] when the executable is missing or cannot be started.
pub fn daemon(name: &str, namespace: &Namespace, config: &Path) -> Result<Process, LabError> {
    let mut command = namespace.command(binary(name)?);
    command.arg("--config").arg(config);
    Ok(Process::start(name, command)?)
}

fn rendezvous(lab: &Lab, listen: SocketAddr) -> Result<Process, LabError> {
    let mut command = lab.server.namespace.command(binary("ice-agent")?);
    command.args(["rendezvous", "--listen", &listen.to_string()]);
    Ok(Process::start("ice-agent rendezvous", command)?)
}
