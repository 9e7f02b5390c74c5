//! Servers that are started to be measured.

mod certificate;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::load::{Access, Process, Target, Transport};
use certificate::Certificate;

/// The user of both servers.
pub(crate) const USER: &str = "bench";
/// His password.
pub(crate) const PASSWORD: &str = "bench";
/// The realm of both servers.
pub(crate) const REALM: &str = "bench.example";

/// The core that both servers share; the load has the other.
const CORE: &str = "0";

/// A server that was started for the measurement; it ends with this value.
pub(crate) struct Server {
    child: Child,
    process: Process,
    plain: SocketAddr,
    address: SocketAddr,
    directory: PathBuf,
}

impl Server {
    /// turnd with its defaults, but for the limits that would keep one user from having thousands of allocations.
    pub(crate) fn turnd(program: &Path, transports: &[Transport]) -> Result<Self> {
        let port = free_port()?;
        let directory = directory("turnd")?;
        let config = directory.join("turnd.toml");
        let tls = if transports.iter().any(|transport| transport.is_secure()) {
            let Certificate { chain, key } = Certificate::write(&directory)?;
            format!("[tls]\ncertificate = {chain:?}\nkey = {key:?}\n")
        } else {
            String::new()
        };
        // Plain UDP too: there it is asked whether the server is up.
        let others = transports.iter().filter(|transport| **transport != Transport::Udp);
        let transports: Vec<&str> = std::iter::once("udp").chain(others.map(|transport| transport.name())).collect();
        fs::write(
            &config,
            format!(
                "realm = {REALM:?}\n[[listen]]\naddress = \"127.0.0.1:{port}\"\ntransports = {transports:?}\n\
                 [relay]\naddresses = [\"127.0.0.1\"]\nscope = \"private\"\nports = \"20000-31999\"\n\
                 [auth.users.{USER}]\npassword = {PASSWORD:?}\n[peers]\nrules = [\"allow 127.0.0.0/8\"]\n\
                 [limits]\nallocations_per_user = 10000\nallocations_per_prefix = 10000\n[log]\nlevel = \"error\"\n[admin]\nlisten = \"off\"\n{tls}"
            ),
        )?;
        let mut command = Command::new("taskset");
        command.args(["-c", CORE]).arg(program).arg("--config").arg(&config);
        Self::start(command, (port, port), directory)
    }

    /// coturn with its defaults, but for its user, its address and the loopback peers.
    pub(crate) fn coturn(program: &Path, transport: Transport) -> Result<Self> {
        let port = free_port()?;
        let directory = directory("coturn")?;
        let mut command = Command::new("taskset");
        command.args(["-c", CORE]).arg(program).args(["-n", "--lt-cred-mech", "--no-cli", "--allow-loopback-peers"]);
        command.args(["--log-file", "stdout", "--simple-log", "-L", "127.0.0.1", "-E", "127.0.0.1", "-r", REALM]);
        command.args(["--min-port", "32000", "--max-port", "43999", "-p", &port.to_string(), "-u", &format!("{USER}:{PASSWORD}")]);
        command.arg("--userdb").arg(directory.join("turndb")).arg("--pidfile").arg(directory.join("pid"));
        let mut data_port = port;
        if transport.is_secure() {
            let Certificate { chain, key } = Certificate::write(&directory)?;
            data_port = free_port()?;
            command.arg("--cert").arg(chain).arg("--pkey").arg(key).args(["--tls-listening-port", &data_port.to_string()]);
        } else {
            command.args(["--no-tls", "--no-dtls"]);
        }
        Self::start(command, (port, data_port), directory)
    }

    /// `ports`: where a Binding request over UDP is answered, and where the load goes.
    fn start(mut command: Command, ports: (u16, u16), directory: PathBuf) -> Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn();
        let child = child.with_context(|| format!("cannot start {command:?}"))?;
        let [plain, address] = [ports.0, ports.1].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let mut server = Self { process: Process::new(child.id()), child, plain, address, directory };
        let deadline = Instant::now() + Duration::from_secs(10);
        while !server.answers()? {
            if Instant::now() > deadline || server.child.try_wait()?.is_some() {
                bail!("{command:?} does not answer");
            }
        }
        Ok(server)
    }

    /// Whether a Binding request is answered.
    fn answers(&self) -> Result<bool> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        let request = [&[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42][..], &[7; 12]].concat();
        // Refused while nobody listens; asked again.
        Ok(socket.send_to(&request, self.plain).is_ok() && socket.recv(&mut [0; 256]).is_ok())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the load goes, and as whom.
    pub(crate) fn target(&self) -> Target {
        Target::new(self.address, Access::Turn { username: USER.into(), password: PASSWORD.into() })
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.directory));
    }
}

fn free_port() -> Result<u16> {
    Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn directory(name: &str) -> Result<PathBuf> {
    let directory = std::env::temp_dir().join(format!("turnload-{}-{name}", std::process::id()));
    fs::create_dir_all(&directory)?;
    Ok(directory)
}
