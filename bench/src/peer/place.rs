//! Where the servers and the load run: addresses, namespaces and cores.

use std::net::Ipv4Addr;
use std::thread::available_parallelism;

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::load::Subnet;
use crate::peer::namespaces::Namespaces;

/// Where the servers and the load run: addresses, namespaces and cores.
pub struct Place {
    pub(super) address: Ipv4Addr,
    pub(super) network: &'static str,
    pub(super) clients: Subnet,
    pub(super) peers: Subnet,
    namespaces: Option<Namespaces>,
    servers_core: Option<usize>,
}

impl Place {
    /// Servers and load on loopback.
    #[must_use]
    pub fn loopback() -> Self {
        let subnet =
            |second| Subnet::new(Ipv4Addr::new(127, second, 0, 0), 16).expect("16 is a length");
        let (clients, peers) = (subnet(1), subnet(2));
        Self {
            address: Ipv4Addr::LOCALHOST,
            network: "127.0.0.0/8",
            clients,
            peers,
            namespaces: None,
            servers_core: None,
        }
    }

    /// The servers in one network namespace, the calling thread (and what it starts later) in
    /// another, joined by a pair of virtual Ethernet devices. Both namespaces end with this value
    /// and the calling thread, however they end.
    ///
    /// # Errors
    /// If the caller is not root.
    pub fn namespaces() -> Result<Self> {
        let subnet =
            |third| Subnet::new(Ipv4Addr::new(198, 19, third, 0), 17).expect("17 is a length");
        let (clients, peers) = (subnet(0), subnet(128));
        let namespaces =
            Some(Namespaces::new().context("no namespaces (they need root's rights)")?);
        Ok(Self {
            address: Namespaces::SERVERS,
            network: "198.18.0.0/15",
            clients,
            peers,
            namespaces,
            servers_core: None,
        })
    }

    /// Runs servers started later on one core and the calling thread on the other: cores 0 and 1,
    /// if there are two.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn pin(&mut self) -> Result<()> {
        if available_parallelism()?.get() < 2 {
            causeway_cli::complain(
                "one core only: servers and load share it, and the figures say little",
            );
            return Ok(());
        }
        let mut cores = CpuSet::new();
        cores.set(1)?;
        sched_setaffinity(Pid::from_raw(0), &cores).context("cannot run on core 1 alone")?;
        self.servers_core = Some(0);
        Ok(())
    }

    /// The place in words.
    #[must_use]
    pub fn name(&self) -> &'static str {
        if self.namespaces.is_some() { "across namespaces" } else { "on loopback" }
    }

    /// The prefix of a server's command: the server ends with this thread, in its namespace and on
    /// its core.
    pub(super) fn prefix(&self) -> Vec<String> {
        let mut prefix: Vec<String> = ["setpriv", "--pdeathsig", "KILL"].map(str::to_owned).into();
        prefix.extend(self.namespaces.as_ref().map(Namespaces::enter).into_iter().flatten());
        prefix.extend(
            self.servers_core
                .into_iter()
                .flat_map(|core| ["taskset".to_owned(), "-c".to_owned(), core.to_string()]),
        );
        prefix
    }
}
