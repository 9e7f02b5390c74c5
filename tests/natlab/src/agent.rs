//! What one `ice-agent connect` is told.

use crate::services::{PASSWORD, Services, USER};
use crate::{Access, Lab, LabError, Process, binary, certificates};

/// How long a TURN server has to be given up first that UDP does not reach is part of it.
const TIMEOUT_S: u32 = 30;

/// The options of one agent; the other is at another site.
#[derive(Debug, Clone)]
pub struct Agent {
    /// The URL of the rendezvous.
    pub rendezvous: String,
    /// All other options of the command line.
    pub options: Vec<String>,
}

impl Agent {
    /// With every server that an operator would name to a client that is connected so.
    #[must_use]
    pub fn at(lab: &Lab, site: usize, services: &Services) -> Self {
        let access = lab.sites[site].access;
        let mut agent = Self { rendezvous: services.rendezvous_url(), options: Vec::new() };
        let (stun, turn) = (services.stun(), services.turn());
        match access {
            Access::Ipv4(_) | Access::DoubleNat { .. } => {
                agent.option("--stun", format!("stun:{stun}"));
                agent.over("udp", "turn", turn).over("tcp", "turn", turn);
            }
            Access::Ipv6 => {
                let stun = services.stun_ipv6().expect("a lab with such a site has IPv6");
                let turn = services.turn_ipv6().expect("a lab with such a site has IPv6");
                agent.rendezvous =
                    services.rendezvous_url_ipv6().expect("a lab with such a site has IPv6");
                agent.option("--stun", format!("stun:{stun}"));
                agent.over("udp", "turn", turn).over("tcp", "turn", turn);
            }
            Access::DualStack(_) => {
                agent.option("--stun", format!("stun:{stun}"));
                agent.option(
                    "--stun",
                    format!(
                        "stun:{}",
                        services.stun_ipv6().expect("a lab with such a site has IPv6")
                    ),
                );
                agent.over("udp", "turn", turn);
            }
            Access::TlsOnly => {
                agent
                    .over("udp", "turn", turn)
                    .over("tcp", "turns", services.turn_https())
                    .trusting(services);
            }
            Access::HttpProxy => {
                let proxy = crate::proxy::address(&lab.sites[site]);
                agent.rendezvous = format!("http://{proxy}");
                agent
                    .over("udp", "turn", turn)
                    .over("tcp", "turns", services.turn_https())
                    .trusting(services);
                agent.option("--proxy", format!("http://{proxy}"));
            }
        }
        agent
    }

    /// Without a server: its own addresses only.
    #[must_use]
    pub fn alone(services: &Services) -> Self {
        Self { rendezvous: services.rendezvous_url(), options: vec!["--no-relay".to_owned()] }
    }

    /// Which may use this relay only, of `turn:` or `turns:` and `udp` or `tcp`.
    #[must_use]
    pub fn relayed(services: &Services, scheme: &str, transport: &str) -> Self {
        let mut agent = Self {
            rendezvous: services.rendezvous_url(),
            options: vec!["--relay-only".to_owned()],
        };
        agent.over(transport, scheme, services.turn()).trusting(services);
        if (scheme, transport) == ("turns", "udp") {
            // The DTLS library of `ice-agent` finds no addresses in certificates.
            agent.option("--server-name", certificates::NAME.to_owned());
        }
        agent
    }

    fn over(&mut self, transport: &str, scheme: &str, turn: std::net::SocketAddr) -> &mut Self {
        self.option("--turn", format!("{scheme}:{turn}?transport={transport}"));
        self
    }

    fn trusting(&mut self, services: &Services) {
        self.option("--ca", services.root().display().to_string());
    }

    fn option(&mut self, name: &str, value: String) {
        self.options.extend([name.to_owned(), value]);
    }

    /// Starts it at a site, to send `count` datagrams.
    pub(crate) fn start(
        &self,
        lab: &Lab,
        site: usize,
        count: u32,
        interval_ms: u32,
        size: u32,
    ) -> Result<Process, LabError> {
        let mut command = lab.sites[site].client.namespace.command(binary("ice-agent")?);
        command
            .args(["connect", "--json", "--room", "lab", "--rendezvous", &self.rendezvous])
            .args(&self.options);
        // How much loss is too much is for the lab to say.
        command.args(["--max-loss", "100"]);
        command.env("ICE_AGENT_USERNAME", USER).env("ICE_AGENT_PASSWORD", PASSWORD);
        for (option, value) in [
            ("--count", count),
            ("--interval", interval_ms),
            ("--size", size),
            ("--timeout", TIMEOUT_S),
        ] {
            command.args([option, &value.to_string()]);
        }
        Ok(Process::start(format!("ice-agent connect at site {site}"), command)?)
    }
}
