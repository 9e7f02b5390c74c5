//! A server under measurement: started, awaited and ended.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fs, io};

use anyhow::{Context, Result, ensure};
use causeway_kit::certificates::Files;
use causeway_kit::{Process as Running, Scratch, port, program};

use crate::load::{Access, Process, Target, Transport};
use crate::peer::certificate;
use crate::peer::description::{Description, Kind};
use crate::peer::place::Place;
use crate::peer::placeholder::fill;

/// The user name on each server.
const USER: &str = "bench";
/// The password of the user.
const PASSWORD: &str = "bench";
/// The realm of each server.
const REALM: &str = "bench.example";

/// How long a server may take to answer after its start.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server to start, as its description says or with changes.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Its description.
    pub description: Description,
    /// The program to run instead of the description's.
    pub program: Option<PathBuf>,
    /// The backend, if one is requested.
    pub backend: Option<String>,
}

/// A running server; dropping it ends the process.
pub struct Server {
    running: Running,
    process: Process,
    kind: Kind,
    ports: Ports,
    target: Target,
    _directory: Scratch,
}

struct Ports {
    plain: u16,
    secure: u16,
}

impl Choice {
    /// The server of a description, without changes.
    ///
    /// # Errors
    /// If there is no description of this name.
    pub fn find(name: &str) -> Result<Self> {
        Ok(Self { description: Description::find(name)?, program: None, backend: None })
    }

    /// The path of the program.
    ///
    /// # Errors
    /// If it is not installed; the error says how to install it.
    pub fn program(&self) -> Result<PathBuf> {
        let program = match &self.program {
            Some(program) => program.clone(),
            None => fill(&self.description.program, |name| {
                (name == "build").then(|| program::folder().display().to_string())
            })?
            .into(),
        };
        let found = if program.components().count() > 1 {
            program.is_file().then(|| program.clone())
        } else {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path)
                .map(|folder| folder.join(&program))
                .find(|program| program.is_file())
        };
        found.with_context(|| {
            format!(
                "{} is not there ({}). {}",
                program.display(),
                self.description.about,
                self.description.install
            )
        })
    }

    /// The version that the program prints; empty if it prints none.
    ///
    /// # Errors
    /// If the program is not installed.
    pub fn version(&self) -> Result<String> {
        let program = self.program()?;
        if self.description.version.is_empty() {
            return Ok(String::new());
        }
        let output =
            Command::new(program).args(&self.description.version).stdin(Stdio::null()).output()?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let mut lines =
            text.lines().filter(|line| line.contains(|letter: char| letter.is_ascii_digit()));
        Ok(lines.next_back().unwrap_or_default().trim().to_owned())
    }

    /// Starts it with these relay ports (the first and the last), and waits until it answers.
    ///
    /// # Errors
    /// If it is not installed, or does not answer within ten seconds.
    pub fn start(&self, place: &Place, relay_ports: [u16; 2], secure: bool) -> Result<Server> {
        let program = self.program()?;
        let mut server = self.spawn(&program, place, relay_ports, secure)?;
        server
            .wait()
            .with_context(|| format!("{} ({})", program.display(), self.description.about))?;
        Ok(server)
    }

    fn spawn(
        &self,
        program: &Path,
        place: &Place,
        relay_ports: [u16; 2],
        secure: bool,
    ) -> Result<Server> {
        let directory = Scratch::try_new()?;
        let ports = Ports { plain: port::try_free()?, secure: port::try_free()? };
        let certificate = if secure { Some(certificate::write(&directory)?) } else { None };
        let values = Values {
            place,
            ports: &ports,
            relay_ports,
            directory: directory.folder(),
            certificate: certificate.as_ref(),
            backend: self.backend.as_deref(),
        };
        let addition = self.description.addition(secure);
        for (name, text) in &self.description.files {
            let added = addition.files.get(name).map_or("", String::as_str);
            let text = fill(&format!("{text}{added}"), |name| values.of(name))?;
            directory.try_write(name, text)?;
        }
        let arguments = self.description.arguments.iter().chain(self.backend_arguments()?);
        let arguments = arguments
            .chain(&addition.arguments)
            .map(|argument| fill(argument, |name| values.of(name)))
            .collect::<Result<Vec<_>>>()?;
        let prefix = place.prefix();
        let mut command = Command::new(&prefix[0]);
        command.args(&prefix[1..]).arg(program).args(arguments).stdout(Stdio::null());
        let running = Running::with_own_output(program.display().to_string(), command)?;
        let access = match self.description.access {
            Kind::Floor => Access::Floor,
            Kind::Turn | Kind::Binding => {
                Access::Turn { username: USER.into(), password: PASSWORD.into() }
            }
        };
        let address = SocketAddr::from((place.address, ports.plain));
        let target = Target { address, access, clients: place.clients, peers: place.peers };
        Ok(Server {
            process: Process::new(running.pid()),
            running,
            kind: self.description.access,
            ports,
            target,
            _directory: directory,
        })
    }

    /// The arguments that choose the backend, where one is asked for.
    fn backend_arguments(&self) -> Result<&[String]> {
        let Description { about, backend, .. } = &self.description;
        ensure!(self.backend.is_none() || !backend.is_empty(), "{about} has no choice of backends");
        Ok(if self.backend.is_some() { backend } else { &[] })
    }
}

/// The values of the placeholders of a description.
struct Values<'a> {
    place: &'a Place,
    ports: &'a Ports,
    relay_ports: [u16; 2],
    directory: &'a Path,
    certificate: Option<&'a Files>,
    backend: Option<&'a str>,
}

impl Values<'_> {
    fn of(&self, name: &str) -> Option<String> {
        Some(match name {
            "address" => self.place.address.to_string(),
            "network" => self.place.network.to_owned(),
            "port" => self.ports.plain.to_string(),
            "tls_port" => self.ports.secure.to_string(),
            "min_port" => self.relay_ports[0].to_string(),
            "max_port" => self.relay_ports[1].to_string(),
            "user" => USER.to_owned(),
            "password" => PASSWORD.to_owned(),
            "realm" => REALM.to_owned(),
            "dir" => self.directory.display().to_string(),
            "cert" => self.certificate?.chain.display().to_string(),
            "key" => self.certificate?.key.display().to_string(),
            "build" => program::folder().display().to_string(),
            "backend" => self.backend?.to_owned(),
            _ => return None,
        })
    }
}

impl Server {
    fn wait(&mut self) -> Result<()> {
        let (kind, address) = (self.kind, self.target.address);
        self.running.wait_until("answer", PATIENCE, || answers(kind, address).is_ok())?;
        Ok(())
    }

    /// The address for clients of this transport.
    #[must_use]
    pub fn address(&self, transport: Transport) -> SocketAddr {
        let port = if transport.is_secure() { self.ports.secure } else { self.ports.plain };
        SocketAddr::new(self.target.address.ip(), port)
    }

    /// The target for a load over this transport.
    #[must_use]
    pub fn target(&self, transport: Transport) -> Target {
        Target { address: self.address(transport), ..self.target.clone() }
    }

    /// The protocol and the credentials of its clients.
    #[must_use]
    pub fn credentials(&self) -> [&'static str; 2] {
        [USER, PASSWORD]
    }

    /// The process of the server.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Whether it has an io_uring ring open.
    #[must_use]
    pub fn has_ring(&self) -> bool {
        let folder = fs::read_dir(format!("/proc/{}/fd", self.running.pid()));
        let mut links =
            folder.into_iter().flatten().filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        links.any(|link| link.to_string_lossy().contains("io_uring"))
    }
}

/// Sends a Binding request, or a floor's request, and waits for the answer.
fn answers(kind: Kind, address: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    let request = match kind {
        Kind::Floor => b"FLR1\x7F\0\0\x01\0\x09".to_vec(),
        Kind::Turn | Kind::Binding => {
            [&[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42][..], &[7; 12]].concat()
        }
    };
    // Refused while nothing listens; the caller asks again.
    socket.send_to(&request, address)?;
    socket.recv(&mut [0; 256]).map(drop)
}
