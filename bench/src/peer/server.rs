use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::load::{Access, Process, Target, Transport};
use crate::peer::certificate::Certificate;
use crate::peer::description::{Description, Kind};
use crate::peer::place::Place;
use crate::peer::placeholder::fill;

/// The user of each server.
const USER: &str = "bench";
/// His password.
const PASSWORD: &str = "bench";
/// The realm of each server.
const REALM: &str = "bench.example";

/// How long a server has to come up.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server to be started, as its description says or somewhat otherwise.
#[derive(Clone, Debug)]
pub struct Choice {
    /// How it is started.
    pub description: Description,
    /// Another program than the description's.
    pub program: Option<PathBuf>,
    /// The backend, if one is asked for.
    pub backend: Option<String>,
}

/// A server that was started for the measurement; it ends with this value.
pub struct Server {
    child: Child,
    process: Process,
    kind: Kind,
    ports: Ports,
    target: Target,
    directory: PathBuf,
}

struct Ports {
    plain: u16,
    secure: u16,
}

impl Choice {
    /// A description without changes.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn find(name: &str) -> Result<Self> {
        Ok(Self { description: Description::find(name)?, program: None, backend: None })
    }

    /// The program that is run.
    ///
    /// # Errors
    /// It is not there; says how one gets it.
    pub fn program(&self) -> Result<PathBuf> {
        let program = match &self.program {
            Some(program) => program.clone(),
            None => fill(&self.description.program, |name| (name == "build").then(build))?.into(),
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

    /// What the program says of its version; empty when it says nothing.
    ///
    /// # Errors
    /// It is not there.
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

    /// Starts it, to relay from these ports (the first and the last), and waits until it answers.
    ///
    /// # Errors
    /// It is not there, or does not answer within ten seconds.
    pub fn start(&self, place: &Place, relay_ports: [u16; 2], secure: bool) -> Result<Server> {
        let program = self.program()?;
        let directory = directory()?;
        let server = self.spawn(&program, place, relay_ports, secure, &directory);
        if server.is_err() {
            drop(fs::remove_dir_all(&directory));
        }
        let mut server = server?;
        server
            .wait()
            .with_context(|| format!("{} ({})", program.display(), self.description.about))?;
        Ok(server)
    }

    fn spawn(
        &self,
        program: &Path,
        place: &Place,
        [first, last]: [u16; 2],
        secure: bool,
        directory: &Path,
    ) -> Result<Server> {
        let ports = Ports { plain: free_port()?, secure: free_port()? };
        let certificate = if secure { Some(Certificate::write(directory)?) } else { None };
        let value = |name: &str| {
            Some(match name {
                "address" => place.address.to_string(),
                "network" => place.network.to_owned(),
                "port" => ports.plain.to_string(),
                "tls_port" => ports.secure.to_string(),
                "min_port" => first.to_string(),
                "max_port" => last.to_string(),
                "user" => USER.to_owned(),
                "password" => PASSWORD.to_owned(),
                "realm" => REALM.to_owned(),
                "dir" => directory.display().to_string(),
                "cert" => certificate.as_ref()?.chain.display().to_string(),
                "key" => certificate.as_ref()?.key.display().to_string(),
                "build" => build(),
                "backend" => self.backend.clone()?,
                _ => return None,
            })
        };
        let addition = self.description.addition(secure);
        for (name, text) in &self.description.files {
            let added = addition.files.get(name).map_or("", String::as_str);
            fs::write(directory.join(name), fill(&format!("{text}{added}"), value)?)?;
        }
        let backend: &[String] =
            if self.backend.is_some() { &self.description.backend } else { &[] };
        ensure!(
            self.backend.is_none() || !backend.is_empty(),
            "{} has no choice of backends",
            self.description.about
        );
        let arguments = self.description.arguments.iter().chain(backend).chain(&addition.arguments);
        let arguments =
            arguments.map(|argument| fill(argument, value)).collect::<Result<Vec<_>>>()?;
        let prefix = place.prefix();
        let mut command = Command::new(&prefix[0]);
        command.args(&prefix[1..]).arg(program).args(arguments);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let access = match self.description.access {
            Kind::Floor => Access::Floor,
            Kind::Turn | Kind::Binding => {
                Access::Turn { username: USER.into(), password: PASSWORD.into() }
            }
        };
        let address = SocketAddr::from((place.address, ports.plain));
        let target = Target { address, access, clients: place.clients, peers: place.peers };
        Ok(Server {
            process: Process::new(child.id()),
            child,
            kind: self.description.access,
            ports,
            target,
            directory: directory.to_owned(),
        })
    }
}

impl Server {
    fn wait(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.answers()? {
            if let Some(status) = self.child.try_wait()? {
                bail!("ended at once: {status}");
            }
            ensure!(Instant::now() < deadline, "does not answer");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Whether a Binding request is answered, or a floor's request.
    fn answers(&self) -> Result<bool> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        let request = match self.kind {
            Kind::Floor => b"FLR1\x7F\0\0\x01\0\x09".to_vec(),
            Kind::Turn | Kind::Binding => {
                [&[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42][..], &[7; 12]].concat()
            }
        };
        // Refused while nobody listens; asked again.
        Ok(socket.send_to(&request, self.target.address).is_ok()
            && socket.recv(&mut [0; 256]).is_ok())
    }

    /// Where clients of this transport go to.
    #[must_use]
    pub fn address(&self, transport: Transport) -> SocketAddr {
        let port = if transport.is_secure() { self.ports.secure } else { self.ports.plain };
        SocketAddr::new(self.target.address.ip(), port)
    }

    /// Where such a load goes, and as whom.
    #[must_use]
    pub fn target(&self, transport: Transport) -> Target {
        Target { address: self.address(transport), ..self.target.clone() }
    }

    /// As whom clients come.
    #[must_use]
    pub fn credentials(&self) -> [&'static str; 2] {
        [USER, PASSWORD]
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Whether it has a ring of io_uring open.
    #[must_use]
    pub fn has_ring(&self) -> bool {
        let folder = fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        let mut links =
            folder.into_iter().flatten().filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        links.any(|link| link.to_string_lossy().contains("io_uring"))
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

/// The folder of this program, where its neighbours are, too.
fn build() -> String {
    let program = std::env::current_exe().unwrap_or_default();
    let folder = program.parent().unwrap_or(Path::new("."));
    // A test's program stands a folder deeper.
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    folder.display().to_string()
}

/// A port that is free for UDP and TCP.
fn free_port() -> Result<u16> {
    for _ in 0..20 {
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port")
}

fn directory() -> Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("turnload-{}-{number}", std::process::id()));
    fs::create_dir_all(&directory)?;
    Ok(directory)
}
