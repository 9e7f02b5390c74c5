//! Two network namespaces for the servers and the load.

use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use nix::sched::{CloneFlags, unshare};

/// Two unnamed network namespaces, joined by a pair of virtual Ethernet devices. Nothing is left
/// behind, however the process ends.
///
/// The servers' namespace lasts as long as a child process that waits for the end of its input; the
/// load's is the calling thread's own.
pub(super) struct Namespaces {
    holder: Child,
}

impl Namespaces {
    /// The address on which servers listen.
    pub(super) const SERVERS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

    /// Moves the calling thread to its namespace.
    pub(super) fn new() -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET)?;
        let mut holder = Command::new("unshare")
            .args(["--net", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start unshare")?;
        // Its reply shows that it is in its namespace.
        holder.stdin.as_mut().context("no pipe")?.write_all(b"?")?;
        holder.stdout.as_mut().context("no pipe")?.read_exact(&mut [0])?;
        let namespaces = Self { holder };
        namespaces.join()?;
        Ok(namespaces)
    }

    fn join(&self) -> Result<()> {
        let holder = self.holder.id().to_string();
        let load = [
            "link set lo up",
            "link add load0 type veth peer name servers0",
            "address add 198.18.0.2/24 dev load0",
            "link set load0 up",
        ];
        for line in load {
            ip(&[], line)?;
        }
        // All client and peer addresses are local here, without being on a device.
        ip(&[], "route add local 198.19.0.0/16 dev lo")?;
        ip(&[], &format!("link set servers0 netns {holder}"))?;
        let servers = [
            "link set lo up",
            "address add 198.18.0.1/24 dev servers0",
            "link set servers0 up",
            "route add 198.19.0.0/16 via 198.18.0.2",
        ];
        for line in servers {
            ip(&self.enter(), line)?;
        }
        Ok(())
    }

    /// The command prefix that runs a command in the servers' namespace.
    pub(super) fn enter(&self) -> Vec<String> {
        vec!["nsenter".to_owned(), format!("--net=/proc/{}/ns/net", self.holder.id())]
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        // It also ends with its input.
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

fn ip(prefix: &[String], line: &str) -> Result<()> {
    let mut words = prefix.iter().map(String::as_str).chain(["ip"]).chain(line.split(' '));
    let status = Command::new(words.next().context("no command")?)
        .args(words)
        .status()
        .context("cannot start ip")?;
    ensure!(status.success(), "ip {line}: {status}");
    Ok(())
}
