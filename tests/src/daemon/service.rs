//! `stund` and `turnd` as an operator starts them: a configuration file, a process, a log.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use causeway_kit::program::built;
use causeway_kit::{Process, Scratch, port, wait};

/// The one user in `turnd`'s configuration.
pub const USER: &str = "alice";
/// The password of [`USER`].
pub const PASSWORD: &str = "interop-4711";
/// The realm of [`USER`].
pub const REALM: &str = "interop.example";

const CONFIG: &str = "config.toml";
/// The file that libfaketime reads: how far the service's clocks are ahead.
const CLOCK: &str = "clock";
const START: Duration = Duration::from_secs(20);
const END: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(5);
const PROBE: Duration = Duration::from_secs(2);

/// A running service. Dropped, it is ended; [`end`](Self::end) also checks its exit status.
pub struct Service {
    name: &'static str,
    process: Process,
    /// The address of its listeners, UDP and TCP.
    pub address: SocketAddr,
    /// The address of the admin listener; port 0 when the configuration has none.
    pub admin: SocketAddr,
    how: How,
    scratch: Scratch,
}

/// The options of a start, in addition to the configuration.
#[derive(Default)]
struct How {
    flags: Vec<String>,
    /// The limit of open files, soft and hard.
    open_files: Option<u32>,
    /// The permission that a sandbox denies it, as `lab-sandbox` names it.
    denied: Option<&'static str>,
}

/// `turnd` on loopback, with these rules for peers and these further tables in its configuration.
#[must_use]
pub fn turnd(peers: &str, more: &str) -> Service {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
    Service::start("turnd", address, &turnd_config(address, peers, more))
}

/// [`turnd`] with these relay addresses, quoted and separated by commas.
#[must_use]
pub fn turnd_with_relays(relays: &str, peers: &str, more: &str) -> Service {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
    Service::start(
        "turnd",
        address,
        &turnd_config(address, peers, more).replace(r#"["127.0.0.1"]"#, &format!("[{relays}]")),
    )
}

/// [`turnd`] with these relayed ports.
#[must_use]
pub fn turnd_with_ports(ports: &str, peers: &str, more: &str) -> Service {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
    let config = turnd_config(address, peers, more)
        .replace("[relay]\n", &format!("[relay]\nports = \"{ports}\"\n"));
    Service::start("turnd", address, &config)
}

/// The configuration of [`turnd`].
#[must_use]
pub fn turnd_config(address: SocketAddr, peers: &str, more: &str) -> String {
    let admin = port::free();
    format!(
        r#"
realm = "{REALM}"
[[listen]]
address = "{address}"
[relay]
addresses = ["127.0.0.1"]
scope = "private"
[auth]
users = {{ {USER} = {{ password = "{PASSWORD}" }} }}
[peers]
rules = [{peers}]
[admin]
listen = "127.0.0.1:{admin}"
{more}
"#
    )
}

/// `stund` on loopback, with 127.0.0.2 as its alternate address; also returns that address.
#[must_use]
pub fn stund() -> (Service, SocketAddr) {
    let (port, alternate_port, admin) = (port::free(), port::free(), port::free());
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let config = format!(
        r#"
[[listen]]
address = "{address}"
[nat_discovery]
alternate_address = "127.0.0.2"
alternate_port = {alternate_port}
scope = "private"
[admin]
listen = "127.0.0.1:{admin}"
"#
    );
    let alternate = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), alternate_port));
    (Service::start("stund", address, &config), alternate)
}

/// `stund` on loopback with one address: plain STUN.
#[must_use]
pub fn stund_with_one_address() -> Service {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
    Service::start("stund", address, &stund_config(address))
}

/// The configuration of [`stund_with_one_address`].
#[must_use]
pub fn stund_config(address: SocketAddr) -> String {
    let admin = port::free();
    format!("[[listen]]\naddress = \"{address}\"\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n")
}

impl Service {
    /// Starts it and waits until its port is open.
    #[must_use]
    pub fn start(name: &'static str, address: SocketAddr, config: &str) -> Self {
        Self::start_with(name, address, config, &[])
    }

    /// Starts it without waiting for its port.
    #[must_use]
    pub fn launched(name: &'static str, address: SocketAddr, config: &str) -> Self {
        Self::spawn(name, address, config, How::default(), Scratch::new())
    }

    /// [`start`](Self::start) with these flags.
    #[must_use]
    pub fn start_with(
        name: &'static str,
        address: SocketAddr,
        config: &str,
        flags: &[&str],
    ) -> Self {
        let how = How { flags: flags.iter().map(ToString::to_string).collect(), ..How::default() };
        let mut service = Self::spawn(name, address, config, how, Scratch::new());
        service.wait_open();
        service
    }

    /// [`start`](Self::start) with this limit of open files, soft and hard.
    #[must_use]
    pub fn start_limited(
        name: &'static str,
        address: SocketAddr,
        config: &str,
        open_files: u32,
    ) -> Self {
        let how = How { open_files: Some(open_files), ..How::default() };
        let mut service = Self::spawn(name, address, config, how, Scratch::new());
        service.wait_open();
        service
    }

    /// [`start`](Self::start) within a sandbox that denies this, as `lab-sandbox` names it.
    #[must_use]
    pub fn start_sandboxed(
        name: &'static str,
        address: SocketAddr,
        config: &str,
        flags: &[&str],
        denied: Option<&'static str>,
    ) -> Self {
        let how = How {
            flags: flags.iter().map(ToString::to_string).collect(),
            denied,
            ..How::default()
        };
        let mut service = Self::spawn(name, address, config, how, Scratch::new());
        service.wait_open();
        service
    }

    /// [`refused`](Self::refused) within such a sandbox.
    pub fn refused_sandboxed(
        name: &'static str,
        config: &str,
        denied: &'static str,
    ) -> (ExitStatus, String) {
        Self::refused_how(name, config, How { denied: Some(denied), ..How::default() })
    }

    /// Starts it under a clock that [`move_clock`](Self::move_clock) moves, and waits until its
    /// port is open.
    ///
    /// # Panics
    /// libfaketime is not installed.
    #[must_use]
    pub fn start_under_clock(name: &'static str, address: SocketAddr, config: &str) -> Self {
        assert!(
            Path::new(&faketime()).is_file(),
            "{} is missing: `cargo xtask test tools` installs it",
            faketime()
        );
        let scratch = Scratch::new();
        scratch.write(CLOCK, "+0");
        let mut service = Self::spawn(name, address, config, How::default(), scratch);
        service.wait_open();
        service
    }

    /// Sets all its clocks this far ahead of the machine's.
    pub fn move_clock(&self, ahead: Duration) {
        // By a rename, so that a half-written file is never read.
        let new = self.scratch.write("clock.new", format!("+{}", ahead.as_secs()));
        fs::rename(new, self.scratch.path(CLOCK)).expect("the folder is ours");
    }

    /// Ends it as a crash would, by SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill().expect("it is our child");
    }

    /// Starts it again with the same configuration, and waits until its port is open. Its new
    /// output replaces the log.
    pub fn start_again(&mut self) {
        self.process = launch(self.name, &self.scratch, &self.how);
        self.wait_open();
    }

    /// The process id of its current run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    fn wait_open(&mut self) {
        let address = self.address;
        let open = || TcpStream::connect(address).is_ok();
        self.process
            .wait_until(&format!("listener on {address}"), START, open)
            .unwrap_or_else(|error| panic!("{error}"));
    }

    fn spawn(
        name: &'static str,
        address: SocketAddr,
        config: &str,
        how: How,
        scratch: Scratch,
    ) -> Self {
        let admin =
            config.split("[admin]\nlisten = \"").nth(1).and_then(|rest| rest.split('"').next());
        let admin =
            admin.and_then(|text| text.parse().ok()).unwrap_or((Ipv4Addr::LOCALHOST, 0).into());
        scratch.write(CONFIG, with_backend(config));
        let process = launch(name, &scratch, &how);
        Self { name, process, address, admin, how, scratch }
    }

    /// Starts it with a configuration that it must refuse: its exit status and output.
    pub fn refused(name: &'static str, config: &str) -> (ExitStatus, String) {
        Self::refused_limited(name, config, None)
    }

    /// [`refused`](Self::refused) with this limit of open files.
    pub fn refused_limited(
        name: &'static str,
        config: &str,
        open_files: Option<u32>,
    ) -> (ExitStatus, String) {
        Self::refused_how(name, config, How { open_files, ..How::default() })
    }

    fn refused_how(name: &'static str, config: &str, how: How) -> (ExitStatus, String) {
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut service = Self::spawn(name, nowhere, config, how, Scratch::new());
        let status = service.process.wait_end(START).expect("it is our child");
        let status = status
            .unwrap_or_else(|| panic!("{name} accepts the configuration:\n{}", service.log()));
        (status, service.log())
    }

    /// Ends it by SIGTERM; its exit status must be a success.
    pub fn end(mut self) {
        self.stop();
    }

    /// [`end`](Self::end), to start it again later.
    pub fn stop(&mut self) {
        self.process.end_by("TERM", END).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Sends it a signal, by its name without `SIG`.
    pub fn signal(&self, name: &str) {
        self.process
            .signal(name)
            .unwrap_or_else(|error| panic!("{error}; its output:\n{}", self.log()));
    }

    /// Its output so far, both streams.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Resident memory, in KiB.
    #[must_use]
    pub fn resident(&self) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.process.pid())).expect("it runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("the kernel reports it");
        line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
    }

    /// Number of open file descriptors.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.process.pid())).expect("it runs").count()
    }

    /// Waits until the log contains `word`: a thread of its own writes the lines, after the event.
    pub fn until_log(&self, word: &str) {
        let found = wait::until(PATIENCE, || self.log().contains(word));
        assert!(found, "the log does not contain {word:?}:\n{}", self.log());
    }

    /// Waits until a metric has this value.
    pub fn until_metric(&self, name: &str, value: u64) {
        let mut last = 0;
        let reached = wait::until(PATIENCE, || {
            last = self.metric(name);
            last == value
        });
        assert!(reached, "{name} is {last}, not {value}:\n{}", self.log());
    }

    /// The name of the program: `stund` or `turnd`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Waits until the series of this family with this reason has this value.
    pub fn until_metric_of(&self, family: &str, reason: &str, value: u64) {
        self.until_metric(&format!("{}_{family}{{reason=\"{reason}\"}}", self.name), value);
    }

    /// The answer of the admin listener: the status and the whole text.
    #[must_use]
    pub fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.admin).expect("the admin listener is open");
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
            .expect("it reads");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("it answers");
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("an answer has a status"), text)
    }

    /// The value of a metric, from the admin listener.
    #[must_use]
    pub fn metric(&self, name: &str) -> u64 {
        let (_, text) = self.get("/metrics");
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().expect("a number")
    }

    /// Asks the admin listener as the kubelet does, with a timeout of two seconds: the status and
    /// the text of the answer.
    ///
    /// # Errors
    /// There is no answer in time, or it is not HTTP.
    pub fn probe(&self, path: &str) -> io::Result<(u16, String)> {
        let mut stream = TcpStream::connect_timeout(&self.admin, PROBE)?;
        stream.set_read_timeout(Some(PROBE))?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.ok_or(io::ErrorKind::InvalidData)?, text))
    }
}

/// The environment variable that names the packet backend of all services whose tests do not choose
/// one.
const BACKEND: &str = "CAUSEWAY_TEST_BACKEND";

fn with_backend(config: &str) -> String {
    match std::env::var(BACKEND) {
        Ok(backend) if !config.contains("backend =") => {
            let table = format!("[net]\nbackend = \"{backend}\"\n");
            let (without, net) = config.split_once("[net]\n").unwrap_or((config, ""));
            format!("{without}\n{table}{net}")
        }
        _ => config.to_owned(),
    }
}

/// The path of libfaketime for programs with threads, on Debian.
fn faketime() -> String {
    format!("/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1", std::env::consts::ARCH)
}

fn launch(name: &str, scratch: &Scratch, How { flags, open_files, denied }: &How) -> Process {
    let wrapper =
        open_files.as_ref().map(|_| "sh".into()).or_else(|| denied.map(|_| built("lab-sandbox")));
    let mut command = Command::new(wrapper.unwrap_or_else(|| built(name)));
    if let Some(denied) = denied {
        command.arg(denied).arg(built(name));
    }
    if let Some(limit) = open_files {
        // `exec` keeps the process id.
        command
            .args(["-c", "ulimit -n \"$0\" && exec \"$@\"", &limit.to_string()])
            .arg(built(name));
    }
    let clock = scratch.path(CLOCK);
    if clock.is_file() {
        command
            .env("LD_PRELOAD", faketime())
            .env("FAKETIME_TIMESTAMP_FILE", clock)
            .env("FAKETIME_NO_CACHE", "1");
    }
    command.arg("--config").arg(scratch.path(CONFIG)).args(flags);
    Process::logged(name, command, &scratch.path("log")).unwrap_or_else(|error| panic!("{error}"))
}
