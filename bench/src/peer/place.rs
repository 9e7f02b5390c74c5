use std::net::Ipv4Addr;
use std::thread::available_parallelism;

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::load::Subnet;
use crate::peer::namespaces::Namespaces;

/// Where the servers and the load are: which addresses, which namespace, which cores.
pub struct Place {
    pub(super) address: Ipv4Addr,
    pub(super) network: &'static str,
    pub(super) clients: Subnet,
    pub(super) peers: Subnet,
    namespaces: Option<Namespaces>,
    servers_core: Option<usize>,
}

impl Place {
    /// All of it on loopback.
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

    /// The servers in a network namespace, the calling thread (and what it starts from now on) in
    /// another, a pair of virtual Ethernet devices between them. Both are gone with this value
    /// and the calling thread, whatever ends them.
    ///
    /// # Errors
    /// Without root's rights.
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

    /// Servers that are started from now on run on one core, the calling thread on the other: on
    /// core 0 and 1, where there are two.
    ///
    /// # Errors
    /// When the kernel refuses.
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

    /// In words.
    #[must_use]
    pub fn name(&self) -> &'static str {
        if self.namespaces.is_some() { "across namespaces" } else { "on loopback" }
    }

    /// What a server's command begins with: it ends with this thread, and is where it belongs.
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
