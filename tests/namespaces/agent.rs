//! `ice-agent connect` where netlink is forbidden.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use causeway_kit::port;
use causeway_kit::program::built;
use serde_json::Value;

use crate::host::within;

#[test]
fn h55_two_agents_connect_where_netlink_is_forbidden() {
    within("agent::h55_two_agents_connect_where_netlink_is_forbidden", || {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
        let listen = address.to_string();
        let mut rendezvous = sandboxed(&["rendezvous", "--listen", &listen]).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "the rendezvous does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        let url = format!("http://{address}");
        let agent = || -> Child {
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
            sandboxed(&arguments).spawn().unwrap()
        };
        let sides = [agent(), agent()].map(|agent| agent.wait_with_output().unwrap());
        rendezvous.kill().unwrap();
        rendezvous.wait().unwrap();
        for side in &sides {
            judge(side);
        }
    });
}

fn judge(side: &Output) {
    let text = String::from_utf8_lossy(&side.stdout);
    let report: Value = serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&side.stderr)));
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

fn sandboxed(arguments: &[&str]) -> Command {
    let mut command = Command::new(built("lab-sandbox"));
    command.arg("netlink").arg(built("ice-agent")).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}
