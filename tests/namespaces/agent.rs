//! `ice-agent connect` where netlink is forbidden.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use causeway_kit::port;
use causeway_kit::process::{Finished, Process};
use causeway_kit::program::built;
use serde_json::Value;

use crate::host::within;

#[test]
fn h55_two_agents_connect_where_netlink_is_forbidden() {
    within("agent::h55_two_agents_connect_where_netlink_is_forbidden", || {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
        let listen = address.to_string();
        let mut rendezvous = sandboxed(&["rendezvous", "--listen", &listen]);
        let open = || TcpStream::connect(address).is_ok();
        rendezvous.wait_until("listener", Duration::from_secs(10), open).unwrap();
        let url = format!("http://{address}");
        let agent = || {
            let arguments = [
                "connect",
                "--room",
                "r",
                "--rendezvous",
                &url,
                "--no-relay",
                "--json",
                "--count",
                "20",
                "--interval",
                "5",
            ];
            sandboxed(&arguments)
        };
        for side in [agent(), agent()] {
            judge(&side.finish(Duration::from_secs(60)).unwrap());
        }
    });
}

fn judge(side: &Finished) {
    let report: Value = serde_json::from_str(&side.output)
        .unwrap_or_else(|_| panic!("{}\n{}", side.output, side.errors));
    assert_eq!(
        (side.status.code(), &report["outcome"]),
        (Some(0), &"connected".into()),
        "{report:#}"
    );
    let local = report["selected"]["local"]["address"].as_str().unwrap();
    assert!(local.starts_with("20.0.0.5:") || local.starts_with("[2600::5]:"), "{local}");
    let told =
        report["errors"].as_array().unwrap().iter().any(|error| error["step"] == "interfaces");
    assert!(told, "addresses may be missing, and the report says so: {report:#}");
}

fn sandboxed(arguments: &[&str]) -> Process {
    let mut command = Command::new(built("lab-sandbox"));
    command.arg("netlink").arg(built("ice-agent")).args(arguments);
    Process::start(arguments[0], command).unwrap()
}
