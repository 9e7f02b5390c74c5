//! Two hosts behind one Linux router that use the same source port: what the router does then, and
//! what `ice-agent nat` makes of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::SocketAddr;
use std::time::Duration;

use causeway_natlab::recognition::{Recognition, recognise};
use causeway_natlab::services::Stund;
use causeway_natlab::{Host, Inside, Lab, UdpProbe};

const PATIENCE: Duration = Duration::from_secs(5);
/// As many as the agent may choose from, so that every one of its sockets meets the other host's.
const PORTS: std::ops::RangeInclusive<u16> = 40_000..=40_019;

fn udp(host: &Host, address: usize, port: u16) -> UdpProbe {
    UdpProbe::bind(&host.namespace, SocketAddr::new(host.addresses[address], port))
        .expect("the address is free in this namespace")
}

/// The port that this server socket sees of a client.
fn port_at(server: &mut UdpProbe, client: &mut UdpProbe) -> u16 {
    client.send(server.address(), "which port is this").unwrap();
    server.receive(PATIENCE).expect("UDP gets out").from.port()
}

/// A port that another host has at some destination is changed there and, unexpectedly, at every
/// later destination.
#[test]
fn a_port_that_collided_once_stays_moved() {
    const SHARED: u16 = 5000;
    for collides_at in 0..3 {
        let lab = Lab::behind_one_nat(Inside::Masquerade).unwrap();
        let mut servers = [(0, 3478), (1, 3478), (1, 3479)]
            .map(|(address, port)| udp(&lab.server, address, port));
        let mut other = udp(&lab.sites[0].client, 0, SHARED);
        let mut client = udp(&lab.sites[1].client, 0, SHARED);
        assert_eq!(
            port_at(&mut servers[collides_at], &mut other),
            SHARED,
            "the first to come keeps it"
        );
        let seen: Vec<u16> =
            servers.iter_mut().map(|server| port_at(server, &mut client)).collect();
        let (before, after) = seen.split_at(collides_at);
        assert!(before.iter().all(|port| *port == SHARED), "{collides_at}: {seen:?}");
        assert!(
            after[0] != SHARED && after.iter().all(|port| *port == after[0]),
            "{collides_at}: {seen:?}"
        );
    }
}

/// The agent's result where another host occupies all of its ports towards one of the server's
/// addresses, or none of them.
fn told(taken_at: Option<usize>) -> Recognition {
    let lab = Lab::behind_one_nat(Inside::Masquerade).unwrap();
    lab.sites[1].client.namespace.free_ports(PORTS).unwrap();
    let stund = Stund::start(&lab).unwrap();
    if let Some(at) = taken_at {
        let server = SocketAddr::new(lab.server.addresses[at], Stund::address(&lab).port());
        let mut others: Vec<UdpProbe> =
            PORTS.map(|port| udp(&lab.sites[0].client, 0, port)).collect();
        for other in &mut others {
            other.send(server, "this port is taken").unwrap();
        }
        // They are sent when the line is read, which this waits for no other way.
        std::thread::sleep(Duration::from_millis(500));
    }
    let seen = recognise(&lab.sites[1], Stund::address(&lab)).unwrap();
    stund.stop().unwrap();
    seen
}

#[test]
fn ice_agent_says_what_it_saw_of_ports_and_not_that_the_nat_keeps_them() {
    let caution =
        "Tests from one host cannot show what the NAT does when another host uses the same port";
    let alone = told(None);
    let ports = alone.ports.unwrap();
    assert!(ports.kept == ports.sockets && ports.partly == 0, "{alone:?}");
    assert_eq!(alone.classic, "port-restricted-cone");
    assert!(alone.notes.iter().any(|note| note.contains(caution)), "{alone:?}");

    // At the first destination: moved, and moved everywhere, so that it looks endpoint-independent.
    let first = told(Some(0));
    let ports = first.ports.unwrap();
    assert!(ports.kept < ports.sockets && first.mapping == "endpoint-independent", "{first:?}");
    assert!(first.notes.iter().any(|note| note.contains(caution)), "{first:?}");

    // At a later one: kept first and moved then, which looks as if the mapping depended on the
    // address.
    let later = told(Some(1));
    let ports = later.ports.unwrap();
    assert!(ports.partly > 0 && later.mapping == "address-dependent", "{later:?}");
    assert!(
        later.notes.iter().any(|note| note.contains("may have met the same port of another host")),
        "{later:?}"
    );
}
