//! The servers among programs and boxes that are not ours: behind 1:1 NAT, and asked by a router's
//! miniupnpd.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use causeway_natlab::recognition::Recognition;
use causeway_natlab::services::{Stund, daemon};
use causeway_natlab::{
    Lab, LabError, LabName, Namespace, NatKind, Process, Scratch, requirements, sweep_leftovers,
};

const START: Duration = Duration::from_secs(20);
const READY: &str = "ready workers=";

/// A server with two private addresses, a box that translates each to a public one, and a client on
/// the public network.
struct Translated {
    server: Namespace,
    _translator: Namespace,
    client: Namespace,
}

/// Public to private, on the way in; the other way round on the way out. Ports stay.
const ONE_TO_ONE: &str = "table ip one_to_one {
  chain in {
    type nat hook prerouting priority dstnat;
    dnat to ip daddr map { 45.11.9.7 : 10.0.9.7, 45.11.9.8 : 10.0.9.8 };
  }
  chain out {
    type nat hook postrouting priority srcnat;
    snat to ip saddr map { 10.0.9.7 : 45.11.9.7, 10.0.9.8 : 45.11.9.8 };
  }
}
";

impl Translated {
    fn build() -> Result<Self, LabError> {
        requirements()?;
        sweep_leftovers();
        let name = LabName::unique();
        let [server, translator, client] = [
            Namespace::create(&name, "server")?,
            Namespace::create(&name, "translator")?,
            Namespace::create(&name, "client")?,
        ];
        let ip =
            |inside: &Namespace, lines: &str| inside.run("ip", &["-batch", "-"], lines).map(drop);
        ip(
            &translator,
            &format!("link add lan type veth peer name eth0 netns {}\n", server.name()),
        )?;
        ip(
            &translator,
            &format!("link add wan type veth peer name eth0 netns {}\n", client.name()),
        )?;
        let devices = "address add 10.0.9.1/24 dev lan\naddress add 45.11.9.1/24 dev wan\n\
                       address add 45.11.9.7/32 dev wan\naddress add 45.11.9.8/32 dev wan\n\
                       link set lan up\nlink set wan up\n";
        ip(&translator, devices)?;
        ip(
            &server,
            "address add 10.0.9.7/24 dev eth0\naddress add 10.0.9.8/24 dev eth0\n\
             link set eth0 up\nroute add default via 10.0.9.1\n",
        )?;
        ip(&client, "address add 45.11.9.2/24 dev eth0\nlink set eth0 up\n")?;
        translator.run("sh", &["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"], "")?;
        translator.run("nft", &["-f", "-"], ONE_TO_ONE)?;
        Ok(Self { server, _translator: translator, client })
    }
}

#[test]
fn h44_nat_discovery_behind_1_to_1_nat_gives_a_client_the_right_answers() {
    let lab = Translated::build().expect("a lab");
    let scratch = Scratch::new();
    let config = r#"
[[listen]]
address = "10.0.9.7:3478"
[nat_discovery]
alternate_address = "10.0.9.8"
external = { "10.0.9.7" = "45.11.9.7", "10.0.9.8" = "45.11.9.8" }
"#;
    let file = scratch.write("stund.toml", config);
    let mut stund = daemon("stund", &lab.server, &file).expect("stund starts");
    stund.wait_line(READY, START).expect("stund is ready");
    let mut command =
        lab.client.command(causeway_natlab::binary("ice-agent").expect("it is built"));
    command.args(["nat", "--json", "--timeout", "1.5", "--server", "45.11.9.7:3478"]);
    let finished = Process::start("ice-agent nat", command)
        .and_then(|agent| agent.finish(Duration::from_secs(60)))
        .expect("it ends");
    let seen: Recognition = serde_json::from_str(&finished.output)
        .unwrap_or_else(|error| panic!("{error} in:\n{finished}"));
    let own: IpAddr = "45.11.9.2".parse().expect("an address");
    assert_eq!(
        (seen.classic.as_str(), seen.mapping.as_str(), seen.filtering.as_str(), seen.nat),
        ("open-internet", "endpoint-independent", "endpoint-independent", Some(false)),
        "{finished}"
    );
    assert_eq!(seen.mapped.map(|mapped| mapped.ip()), Some(own));
    stund.stop_cleanly(Duration::from_secs(5)).expect("it ends");
}

/// miniupnpd on the box of a site, with its tables, and `server` as its STUN server; what it says.
fn miniupnpd(lab: &Lab, server: SocketAddr, said: &str) -> Result<String, LabError> {
    let router = &lab.sites[0].boxes[0].namespace;
    let scratch = Scratch::new();
    let chains = "table inet miniupnpd {
  chain forward { type filter hook forward priority 10; policy accept; jump opened; }
  chain prerouting { type nat hook prerouting priority dstnat; jump redirected; }
  chain postrouting { type nat hook postrouting priority srcnat; jump returned; }
  chain opened { }
  chain redirected { }
  chain returned { }
}
";
    router.run("nft", &["-f", "-"], chains)?;
    let config = format!(
        "ext_ifname=wan\nlistening_ip=lan\next_perform_stun=yes\next_stun_host={}\n\
         ext_stun_port={}\nhttp_port=5000\nenable_upnp=yes\n\
         uuid=6f1c9b3e-0000-4000-8000-000000000001\nupnp_table_name=miniupnpd\n\
         upnp_nat_table_name=miniupnpd\nupnp_forward_chain=opened\n\
         upnp_nat_chain=redirected\nupnp_nat_postrouting_chain=returned\n",
        server.ip(),
        server.port()
    );
    let file = scratch.write("miniupnpd.conf", &config);
    let mut command = router.command("miniupnpd");
    command.args(["-d", "-f"]).arg(file).arg("-P").arg(scratch.path("pid"));
    let mut process = Process::start("miniupnpd", command)?;
    let line = process.wait_line(said, Duration::from_secs(20))?;
    // It goes on: UPnP is served.
    process.wait_line("HTTP listening", Duration::from_secs(10))?;
    Ok(line)
}

/// Part of the daemon's message behind a filter, at a server that answers from one address only.
const FILTERED: &str = "but firewall filters incoming connections";

#[test]
fn miniupnpd_starts_at_servers_with_one_address_and_with_two() {
    let lab = Lab::new(&[NatKind::PortRestricted]).expect("a lab");
    let address = SocketAddr::new(lab.server.address(), 3478);
    let outside = lab.sites[0].public_address().to_string();
    let scratch = Scratch::new();
    let listen = format!("[[listen]]\naddress = \"{address}\"\n");
    let turnd = format!(
        "realm = \"natlab.example\"\n{listen}[auth.users.lab]\npassword = \"a password\"\n"
    );
    for (name, config) in [("stund", &listen), ("turnd", &turnd)] {
        let file = scratch.write(&format!("{name}.toml"), config);
        let mut server = daemon(name, &lab.server.namespace, &file).expect("it starts");
        server.wait_line(READY, START).expect("it is ready");
        let line =
            miniupnpd(&lab, address, FILTERED).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(line.contains(&outside), "{name}: {line}");
        server.stop_cleanly(Duration::from_secs(5)).expect("it ends");
    }
    let stund = Stund::start(&lab).expect("stund starts");
    let line = miniupnpd(&lab, address, FILTERED)
        .unwrap_or_else(|error| panic!("with two addresses: {error}"));
    assert!(line.contains(&outside), "{line}");
    stund.stop().expect("it ends");
}
