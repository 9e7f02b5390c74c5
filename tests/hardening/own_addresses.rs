//! Listeners on wildcard addresses, on a host whose addresses change.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use causeway_relay::{Command, Discard, OwnAddresses, PeerPolicy};
use causeway_tests::addresses::{peer, peer_v6};
use causeway_tests::{Client, Lab, Reaction};
use causeway_wire::Method;
use causeway_wire::attribute::{AddressFamily, RequestedAddressFamily, RequestedTransport};

/// The present addresses of the host, and the number of queries for them.
#[derive(Debug, Default)]
struct Host {
    addresses: Mutex<Vec<IpAddr>>,
    asked: Mutex<usize>,
}

impl OwnAddresses for Host {
    fn contains(&self, ip: IpAddr) -> bool {
        *self.asked.lock().unwrap() += 1;
        self.addresses.lock().unwrap().contains(&ip)
    }
}

impl Host {
    fn set(&self, addresses: &[SocketAddr]) {
        *self.addresses.lock().unwrap() = addresses.iter().map(SocketAddr::ip).collect();
    }

    fn asked(&self) -> usize {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn lab() -> (Lab, Arc<Host>) {
    let (mut lab, host) = (Lab::default(), Arc::new(Host::default()));
    let listeners = ["0.0.0.0:3478", "[::]:3478"].map(|address| address.parse().unwrap());
    let policy = PeerPolicy::new(&[], listeners.to_vec(), Vec::new(), 49152..=65535);
    lab.command(Command::SetPolicy(policy.asking(Arc::<Host>::clone(&host))));
    (lab, host)
}

#[test]
fn h55_an_address_that_becomes_the_hosts_own_is_no_peer_from_then_on() {
    for (family, new, other) in [
        (AddressFamily::Ipv4, peer(9, 3478), peer(8, 3478)),
        (AddressFamily::Ipv6, peer_v6(9, 3478), peer_v6(8, 3478)),
    ] {
        let (mut lab, host) = lab();
        let mut client = Client::udp(1);
        let answer = client.ask(&mut lab, Method::ALLOCATE, &|w| {
            w.put(&RequestedTransport::UDP)?.put(&RequestedAddressFamily(family)).map(drop)
        });
        assert_eq!(answer.answer().error(), None);
        let denied = Reaction::Silence(Discard::PeerDenied);
        assert_eq!(
            (client.bind(&mut lab, 0x4000, new), client.bind(&mut lab, 0x4001, other)),
            (None, None),
            "not its own yet"
        );
        assert_eq!(
            client.send_channel(&mut lab, 0x4000, b"x").to_peer().map(|(_, to, _)| to),
            Some(new)
        );

        host.set(&[new]);
        assert_eq!(
            client.send_channel(&mut lab, 0x4000, b"x"),
            denied,
            "through the existing channel"
        );
        assert_eq!(client.send(&mut lab, new, b"x"), denied, "by the existing permission");
        assert_eq!(client.bind(&mut lab, 0x4000, new), Some(403), "a refresh");
        assert_eq!(
            client.send_channel(&mut lab, 0x4001, b"x").to_peer().map(|(_, to, _)| to),
            Some(other)
        );
        let elsewhere = SocketAddr::new(new.ip(), 3479);
        assert_eq!(
            client.send(&mut lab, elsewhere, b"x").to_peer().map(|(_, to, _)| to),
            Some(elsewhere),
            "another port"
        );

        host.set(&[]);
        assert_eq!(
            client.send_channel(&mut lab, 0x4000, b"x").to_peer().map(|(_, to, _)| to),
            Some(new),
            "it is another host's address again"
        );
    }
}

#[test]
fn h55_the_system_is_asked_for_listeners_ports_only_and_never_by_strangers() {
    let (mut lab, host) = lab();
    let (mut client, mut stranger) = (Client::udp(1), Client::udp(2));
    client.allocate(&mut lab);
    client.bind(&mut lab, 0x4000, peer(1, 1000));
    client.permit(&mut lab, &[peer(1, 3478)]);
    client.send(&mut lab, peer(1, 1000), b"x");
    client.send_channel(&mut lab, 0x4000, b"x");
    stranger.send(&mut lab, peer(1, 3478), b"x");
    client.send(&mut lab, peer(2, 3478), b"x");
    assert_eq!(host.asked(), 0, "other ports, no allocation, no permission");
    client.send(&mut lab, peer(1, 3478), b"x");
    assert_eq!(host.asked(), 1);
}
