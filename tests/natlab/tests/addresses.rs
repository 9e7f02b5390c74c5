//! Addresses that come and go while both servers run: a virtual one, one of IPv6 whose duplicate
//! address detection is not over, one that is taken away.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

use std::time::Duration;

use causeway_natlab::services::daemon;
use causeway_natlab::{LabName, Namespace, Process, Scratch, binary};

const READY: &str = "ready workers=";
const WAITING: &str = "waiting for addresses that this host does not have yet";
const PATIENCE: Duration = Duration::from_secs(20);

fn turnd(
    namespace: &Namespace,
    scratch: &Scratch,
    listen: &str,
    relay: &str,
    net: &str,
) -> Process {
    let config = format!(
        "realm = \"natlab.example\"\n[[listen]]\naddress = \"{listen}\"\n\
         [relay]\naddresses = [\"{relay}\"]\nscope = \"private\"\n\
         [auth]\nusers = {{ lab = {{ password = \"a password of the lab\" }} }}\n\
         [admin]\nlisten = \"off\"\n[net]\nworkers = 1\n{net}\n"
    );
    daemon("turnd", namespace, &scratch.write("turnd.toml", &config)).unwrap()
}

fn stund(
    namespace: &Namespace,
    scratch: &Scratch,
    listen: &str,
    alternate: &str,
    net: &str,
) -> Process {
    let config = format!(
        "[[listen]]\naddress = \"{listen}\"\n\
         [nat_discovery]\nalternate_address = \"{alternate}\"\n[admin]\nlisten = \"off\"\n\
         [net]\nworkers = 1\n{net}\n"
    );
    daemon("stund", namespace, &scratch.write("stund.toml", &config)).unwrap()
}

#[test]
fn a_virtual_address_is_waited_for_until_it_comes() {
    let (namespace, scratch) =
        (Namespace::create(&LabName::unique(), "virtual").unwrap(), Scratch::new());
    let ip = |arguments: &[&str]| namespace.run("ip", arguments, "").unwrap();
    let wait = "address_wait = \"30s\"";
    ip(&["addr", "add", "198.51.100.8/32", "dev", "lo"]);
    let mut turnd = turnd(&namespace, &scratch, "198.51.100.7:3478", "198.51.100.7", wait);
    // stund's own address is there, its alternate is not.
    let mut stund = stund(&namespace, &scratch, "198.51.100.8:3480", "198.51.100.7", wait);
    for process in [&mut turnd, &mut stund] {
        process.wait_line(WAITING, PATIENCE).unwrap();
        assert!(!process.output().contains(READY));
    }
    ip(&["addr", "add", "198.51.100.7/32", "dev", "lo"]);
    for process in [&mut turnd, &mut stund] {
        process.wait_line(READY, PATIENCE).unwrap();
    }
    turnd.stop_cleanly(PATIENCE).unwrap();
    stund.stop_cleanly(PATIENCE).unwrap();
}

#[test]
fn an_ipv6_address_whose_duplicate_address_detection_is_not_over_is_waited_for_or_bound_freely() {
    let (namespace, scratch) =
        (Namespace::create(&LabName::unique(), "dad").unwrap(), Scratch::new());
    let with = |parameter: &str, value: &str| {
        format!("echo {value} > /proc/sys/net/ipv6/conf/{parameter}\n")
    };
    let script = with("all/disable_ipv6", "0")
        + &with("default/disable_ipv6", "0")
        + &with("default/dad_transmits", "6");
    namespace.run("sh", &["-e", "-s"], &script).unwrap();
    let ip = |arguments: &[&str]| namespace.run("ip", arguments, "").unwrap();
    ip(&["link", "add", "one", "type", "veth", "peer", "name", "other"]);
    ip(&["link", "set", "one", "up"]);
    ip(&["link", "set", "other", "up"]);
    ip(&["addr", "add", "2001:db8::7/64", "dev", "one"]);
    assert!(
        ip(&["-6", "addr", "show", "tentative"]).contains("2001:db8::7"),
        "it takes some six seconds"
    );
    let start = |net: &str, port: u16| {
        turnd(&namespace, &scratch, &format!("[2001:db8::7]:{port}"), "2001:db8::7", net)
    };
    let refused = start("", 3478).finish(PATIENCE).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{refused}");
    assert!(
        refused.errors.contains("listen[0].address: 2001:db8::7 is not an address of this host"),
        "{refused}"
    );
    let mut free = start("freebind = true", 3479);
    free.wait_line(READY, PATIENCE).unwrap();
    let mut waiting = start("address_wait = \"30s\"", 3480);
    waiting.wait_line(WAITING, PATIENCE).unwrap();
    waiting.wait_line(READY, PATIENCE).unwrap();
    free.stop_cleanly(PATIENCE).unwrap();
    waiting.stop_cleanly(PATIENCE).unwrap();
}

#[test]
fn an_allocate_without_its_relay_address_is_508_with_the_reason_and_goes_on_when_it_is_back() {
    let (namespace, scratch) =
        (Namespace::create(&LabName::unique(), "gone").unwrap(), Scratch::new());
    let address = |verb: &str| {
        namespace.run("ip", &["addr", verb, "198.51.100.7/32", "dev", "lo"], "").unwrap()
    };
    address("add");
    let mut turnd = turnd(&namespace, &scratch, "127.0.0.1:3478", "198.51.100.7", "");
    turnd.wait_line(READY, PATIENCE).unwrap();
    let check = || {
        let mut command = namespace.command(binary("ice-agent").unwrap());
        command.args([
            "check",
            "turn:127.0.0.1:3478",
            "--transport",
            "udp",
            "--username",
            "lab",
            "--count",
            "1",
        ]);
        command.env("ICE_AGENT_PASSWORD", "a password of the lab");
        Process::start("ice-agent check", command).unwrap().finish(PATIENCE * 2).unwrap()
    };
    // Its own loop is between two relayed addresses, which are peers of each other.
    assert!(check().status.success(), "{}\n{}", check(), turnd.log_tail());
    address("del");
    let refused = check();
    assert!(
        !refused.status.success() && refused.to_string().contains("508"),
        "{refused}\n{}",
        turnd.log_tail()
    );
    let line = turnd
        .wait_line("Allocate answered 508: a relay address cannot be bound", PATIENCE)
        .unwrap();
    assert!(
        line.contains("cause=\"address\"")
            && line.contains("198.51.100.7")
            && line.contains("remedy="),
        "{line}"
    );
    address("add");
    assert!(check().status.success(), "{}", turnd.log_tail());
    turnd.stop_cleanly(PATIENCE).unwrap();
}
