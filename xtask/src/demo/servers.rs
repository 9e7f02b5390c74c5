//! `stund` with two addresses, `turnd`, and the meeting point.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use causeway_kit::{Scratch, port};

use super::credentials::Credentials;
use super::process::{Process, built};
use super::stop::Stop;

const START: Duration = Duration::from_secs(15);
const END: Duration = Duration::from_secs(10);

/// The servers of the demonstration, running.
pub(super) struct Servers {
    /// The primary address of `stund`.
    pub(super) stun: SocketAddr,
    turn: SocketAddr,
    /// The address of the rendezvous, where agents meet.
    pub(super) rendezvous: SocketAddr,
    /// The only user of `turnd`.
    pub(super) credentials: Credentials,
    processes: Vec<Process>,
}

impl Servers {
    /// Starts them and waits until they listen.
    pub(super) fn start(scratch: &Scratch, stop: &Stop) -> Result<Self> {
        let free = port::try_free;
        let [stun, alternate, turn] = [free()?, free()?, free()?];
        let [rendezvous, stun_admin, turn_admin] = [free()?, free()?, free()?];
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let credentials = Credentials::generate(scratch)?;
        let stund = scratch
            .try_write("stund.toml", stund_config(local(stun), alternate, local(stun_admin)))?;
        let turnd = scratch
            .try_write("turnd.toml", turnd_config(local(turn), local(turn_admin), &credentials))?;
        let mut servers = Self {
            stun: local(stun),
            turn: local(turn),
            rendezvous: local(rendezvous),
            credentials,
            processes: Vec::new(),
        };
        servers.add("stund", &["--config", &text(&stund)], servers.stun, scratch, stop)?;
        servers.add("turnd", &["--config", &text(&turnd)], servers.turn, scratch, stop)?;
        let listen = servers.rendezvous.to_string();
        servers.add(
            "ice-agent",
            &["rendezvous", "--listen", &listen],
            servers.rendezvous,
            scratch,
            stop,
        )?;
        causeway_cli::print_line(format_args!(
            "stund on {} and 127.0.0.2:{alternate}, turnd on {}, rendezvous on {}",
            servers.stun, servers.turn, servers.rendezvous
        ))?;
        Ok(servers)
    }

    /// `turnd`, for an agent.
    pub(super) fn turn_uri(&self, transport: &str) -> String {
        format!("turn:{}?transport={transport}", self.turn)
    }

    /// Ends them, the last one first.
    pub(super) fn end(self) -> Result<()> {
        self.processes.into_iter().rev().try_for_each(|process| process.end(END))
    }

    fn add(
        &mut self,
        name: &str,
        arguments: &[&str],
        address: SocketAddr,
        scratch: &Scratch,
        stop: &Stop,
    ) -> Result<()> {
        let mut command = built(name);
        command.args(arguments);
        let mut process = Process::logged(name, command, scratch)?;
        process.wait_until("listener", || TcpStream::connect(address).is_ok(), START, stop)?;
        self.processes.push(process);
        Ok(())
    }
}

fn stund_config(listen: SocketAddr, alternate_port: u16, admin: SocketAddr) -> String {
    format!(
        r#"
[[listen]]
address = "{listen}"

[nat_discovery]
alternate_address = "127.0.0.2"
scope = "private"
alternate_port = {alternate_port}

[admin]
listen = "{admin}"
"#
    )
}

/// Loopback is never a peer, unless a rule names it: this one does.
pub(super) fn turnd_config(
    listen: SocketAddr,
    admin: SocketAddr,
    credentials: &Credentials,
) -> String {
    let (user, password) = (credentials.user, text(&credentials.file));
    format!(
        r#"
realm = "demo.example"

[[listen]]
address = "{listen}"

[relay]
addresses = ["127.0.0.1"]
scope = "private"

[auth]
users = {{ {user} = {{ password_file = "{password}" }} }}

[peers]
rules = ["allow 127.0.0.1"]

[admin]
listen = "{admin}"
"#
    )
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
