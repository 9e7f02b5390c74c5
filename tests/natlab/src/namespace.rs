//! Network namespaces that remove themselves.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::LabError;

const PREFIX: &str = "cwlab";
const NETNS_DIRECTORY: &str = "/run/netns";

/// The name of one lab: no other lab, of this process or of another one that lives, has the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabName {
    pid: u32,
    serial: u32,
}

/// How many labs this process has named.
static SERIAL: AtomicU32 = AtomicU32::new(0);

impl LabName {
    /// A name that was not used before.
    #[must_use]
    pub fn unique() -> Self {
        Self { pid: std::process::id(), serial: SERIAL.fetch_add(1, Ordering::Relaxed) }
    }

    /// The namespace name for one role in this lab.
    fn namespace(&self, role: &str) -> String {
        format!("{PREFIX}-{}-{}-{role}", self.pid, self.serial)
    }
}

/// A network namespace; removed, with every process still in it, when dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes an empty namespace with its loopback device up and IPv6 off.
    ///
    /// # Errors
    /// [`LabError::Command`] when the kernel or `ip` refuses.
    pub fn create(lab: &LabName, role: &str) -> Result<Self, LabError> {
        let name = lab.namespace(role);
        run(Command::new("ip").args(["netns", "add", &name]), "")?;
        let namespace = Self { name };
        // Strict reverse path filters would drop what a multi-homed host receives.
        namespace.sysctl(&[
            ("net/ipv4/conf/all/rp_filter", "0"),
            ("net/ipv4/conf/default/rp_filter", "0"),
            ("net/ipv6/conf/all/disable_ipv6", "1"),
            ("net/ipv6/conf/default/disable_ipv6", "1"),
        ])?;
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Turns IPv6 on for devices that are added later; addresses are assigned by the lab, not
    /// derived from advertisements. Duplicate address detection is off: while it runs, a second or
    /// two, a router solicits no neighbour and forwards nothing.
    ///
    /// # Errors
    /// [`LabError::Command`] when the kernel refuses.
    pub fn enable_ipv6(&self) -> Result<(), LabError> {
        self.sysctl(&[
            ("net/ipv6/conf/default/accept_ra", "0"),
            ("net/ipv6/conf/default/accept_dad", "0"),
            ("net/ipv6/conf/default/dad_transmits", "0"),
            ("net/ipv6/conf/default/disable_ipv6", "0"),
            ("net/ipv6/conf/all/disable_ipv6", "0"),
        ])
    }

    /// The name that `ip netns` knows it by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run `program` inside. `ip netns exec` replaces itself, so the child's
    /// pid is the program's.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs `program` inside with `input` on its standard input and returns its standard output.
    ///
    /// # Errors
    /// [`LabError::Command`] when it cannot be started or fails.
    pub fn run(&self, program: &str, arguments: &[&str], input: &str) -> Result<String, LabError> {
        run(self.command(program).args(arguments), input)
    }

    /// Runs `ip` commands inside, one a line.
    pub(crate) fn ip(&self, lines: &str) -> Result<(), LabError> {
        run(Command::new("ip").args(["-n", &self.name, "-batch", "-"]), lines).map(drop)
    }

    /// Lets sockets that ask for any port have these ones only.
    ///
    /// # Errors
    /// [`LabError::Command`] when the kernel refuses.
    pub fn free_ports(&self, ports: std::ops::RangeInclusive<u16>) -> Result<(), LabError> {
        self.sysctl(&[(
            "net/ipv4/ip_local_port_range",
            &format!("{} {}", ports.start(), ports.end()),
        )])
    }

    /// Sets kernel parameters of this namespace only, named by their path below `/proc/sys`.
    pub(crate) fn sysctl(&self, values: &[(&str, &str)]) -> Result<(), LabError> {
        let script: String = values
            .iter()
            .map(|(path, value)| format!("echo {value} > /proc/sys/{path} || exit 1\n"))
            .collect();
        self.run("sh", &["-s"], &script).map(drop)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Removes what killed runs left: the namespaces, with the programs in them, and the scratch
/// folders of a process that is gone. The first lab of a process does this.
pub fn sweep_leftovers() {
    let own = std::process::id();
    // A namespace with our own pid, before our first lab, was another process's before the pid was
    // ours.
    let unused = SERIAL.load(Ordering::Relaxed) == 0;
    for name in
        leftovers(Path::new(NETNS_DIRECTORY), |pid| if pid == own { unused } else { is_gone(pid) })
    {
        remove(&name);
    }
    causeway_kit::scratch::remove_leftovers();
}

/// The names in `directory` that a lab made whose process is gone.
fn leftovers(directory: &Path, is_gone: impl Fn(u32) -> bool) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| owner(name).is_some_and(&is_gone)).collect()
}

fn is_gone(pid: u32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

/// The process that made a namespace, when its name is one of ours.
fn owner(name: &str) -> Option<u32> {
    let (pid, _) = name.strip_prefix(PREFIX)?.strip_prefix('-')?.split_once('-')?;
    pid.parse().ok()
}

/// Ends what still runs in a namespace and removes it. Errors mean nothing here: it may be half
/// gone already.
fn remove(name: &str) {
    if let Ok(output) = Command::new("ip").args(["netns", "pids", name]).output() {
        let pids = String::from_utf8_lossy(&output.stdout);
        for pid in pids.split_whitespace() {
            let _ = Command::new("kill").args(["-KILL", pid]).stderr(Stdio::null()).status();
        }
    }
    let _ = Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status();
}

/// Runs a command to its end; its standard output, or what it complained about.
pub(crate) fn run(command: &mut Command, input: &str) -> Result<String, LabError> {
    let line = format!("{command:?}").replace('"', "");
    let failed = |stderr: String| LabError::Command { command: line.clone(), stderr };
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that reads nothing may be gone before the write; its status tells what matters.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(failed(format!(
            "{}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_their_process() {
        let (first, second) = (LabName::unique(), LabName::unique());
        assert_ne!(first.namespace("server"), second.namespace("server"));
        assert_eq!(owner(&first.namespace("nat-0")), Some(std::process::id()));
    }

    #[test]
    fn other_peoples_namespaces_have_no_owner_here() {
        for name in
            ["cwlab", "cwlab-", "cwlab-x-1-server", "cwlabs-1-2-server", "blue", "k3s-12-3-x"]
        {
            assert_eq!(owner(name), None, "{name}");
        }
    }

    #[test]
    fn a_failing_command_says_why() {
        let error = run(Command::new("sh").args(["-c", "echo broken >&2; exit 3"]), "")
            .unwrap_err()
            .to_string();
        assert!(error.contains("broken") && error.contains('3'), "{error}");
    }
}
