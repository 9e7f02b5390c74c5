//! Relayed ports that other programs hold, addresses that the host does not have, and how the log
//! and the metrics report them.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::thread;
use std::time::{Duration, Instant};

use causeway_kit::port;
use causeway_tests::daemon::caller::Caller;
use causeway_tests::daemon::service::{self, PASSWORD, Service, USER};

/// An address of loopback that no other test relays from.
const RELAY: Ipv4Addr = Ipv4Addr::new(127, 72, 0, 1);
const PORTS: RangeInclusive<u16> = 21_500..=21_899;
const ABSENT: &str = "192.0.2.77";

fn relaying_from(relay: &str, more: &str) -> Service {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
    let config = service::turnd_config(address, "", more)
        .replace(r#"["127.0.0.1"]"#, &format!("[\"{relay}\"]"));
    let ports = format!("[relay]\nports = \"{}-{}\"\n", PORTS.start(), PORTS.end());
    Service::start("turnd", address, &config.replace("[relay]\n", &ports))
}

#[test]
fn rfc8656_7_2_an_allocate_gets_the_one_port_that_no_other_program_holds() {
    let mut others: Vec<_> = PORTS.map(|port| UdpSocket::bind((RELAY, port)).unwrap()).collect();
    let free = others.swap_remove(123).local_addr().unwrap();
    let turnd = relaying_from(&RELAY.to_string(), "[net]\nworkers = 2\n");
    let caller = Caller::allocate(turnd.address, USER, PASSWORD)
        .unwrap_or_else(|error| panic!("{error}\n{}", turnd.log()));
    assert_eq!(turnd.metric("turnd_allocations_refused_total{cause=\"port\"}"), 0);
    assert_eq!(
        UdpSocket::bind(free).unwrap_err().kind(),
        std::io::ErrorKind::AddrInUse,
        "it is the one that was bound"
    );

    // With no port left, the log and the metrics have the reason.
    let refused = Caller::allocate(turnd.address, USER, PASSWORD).err().expect("no port is left");
    assert!(refused.to_string().contains("508"), "{refused}");
    assert_eq!(turnd.metric("turnd_allocations_refused_total{cause=\"port\"}"), 1);
    turnd.until_log(
        "Allocate answered 508: no relayed port is free cause=\"port\" family=\"IPv4\" ports=400",
    );

    // A port that another program frees is found after a while.
    let freed = others.swap_remove(7).local_addr().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let again = loop {
        match Caller::allocate(turnd.address, USER, PASSWORD) {
            Ok(caller) => break caller,
            Err(error) => assert!(Instant::now() < deadline, "{error}\n{}", turnd.log()),
        }
        thread::sleep(Duration::from_millis(200));
    };
    assert_eq!(UdpSocket::bind(freed).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    drop((caller, again, others));
    turnd.end();
}

#[test]
fn h44_an_address_that_the_host_does_not_have_is_named_with_its_key() {
    let at = |address: &str| SocketAddr::new(address.parse().unwrap(), port::free());
    let loopback = at("127.0.0.1");
    let relay = service::turnd_config(loopback, "", "")
        .replace(r#"["127.0.0.1"]"#, &format!("[\"{ABSENT}\"]"));
    let alternate = format!(
        "{}[nat_discovery]\nalternate_address = \"{ABSENT}\"\nscope = \"private\"\n",
        service::stund_config(loopback)
    );
    for (name, config, key) in [
        ("turnd", service::turnd_config(at(ABSENT), "", ""), "listen[0].address"),
        ("turnd", relay, "relay.addresses"),
        ("stund", service::stund_config(at(ABSENT)), "listen[0].address"),
        ("stund", alternate, "nat_discovery.alternate_address"),
    ] {
        let (status, log) = Service::refused(name, &config);
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(
            log.contains(&format!("{key}: {ABSENT} is not an address of this host"))
                && log.contains("net.freebind"),
            "{name}: {log}"
        );
        let start = Instant::now();
        let (status, log) =
            Service::refused(name, &format!("{config}[net]\naddress_wait = \"1s\"\n"));
        assert!(start.elapsed() >= Duration::from_secs(1) && status.code() == Some(1), "{log}");
        assert!(log.contains("waiting for addresses that this host does not have yet"), "{log}");
        assert!(
            log.contains(&format!(
                "{key}: {ABSENT} is not an address of this host, even after 1s (net.address_wait)"
            )),
            "{log}"
        );
    }
}

#[test]
fn addresses_that_the_host_does_not_have_are_bound_freely_by_name() {
    let free = "[net]\nfreebind = true\n";
    let turnd = relaying_from(ABSENT, free);
    let caller = Caller::allocate(turnd.address, USER, PASSWORD)
        .unwrap_or_else(|error| panic!("{error}\n{}", turnd.log()));
    drop(caller);
    turnd.end();
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
    let both = format!(
        "[[listen]]\naddress = \"{ABSENT}:3478\"\n{}{free}",
        service::stund_config(loopback)
    );
    let stund = Service::start("stund", loopback, &both);
    assert!(!stund.log().contains("not an address"));
    stund.end();
}

#[test]
fn a_signal_ends_the_wait_for_an_address() {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
    for (name, config) in [
        ("turnd", service::turnd_config(loopback, "", "")),
        ("stund", service::stund_config(loopback)),
    ] {
        let config = format!("{config}[net]\naddress_wait = \"5m\"\n").replacen(
            "[[listen]]",
            &format!("[[listen]]\naddress = \"{ABSENT}:3478\"\n[[listen]]"),
            1,
        );
        let service = Service::launched(name, loopback, &config);
        service.until_log("waiting for addresses");
        service.end();
    }
}
