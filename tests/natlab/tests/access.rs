//! The sites beyond one NAT and IPv4 are what they say, by packets alone.

use std::net::SocketAddr;
use std::time::Duration;

use causeway_natlab::{
    Access, Arrival, Behaviour, Host, Inside, Lab, NatKind, TcpListenerProbe, UdpBehaviour,
    UdpProbe, observe, tcp_connect,
};

const PATIENCE: Duration = Duration::from_secs(5);
/// For what must not come.
const SILENCE: Duration = Duration::from_millis(300);

fn udp(host: &Host, address: usize, port: u16) -> UdpProbe {
    UdpProbe::bind(&host.namespace, SocketAddr::new(host.addresses[address], port))
        .expect("the address is free in this namespace")
}

#[test]
fn two_nats_behave_as_the_more_closed_of_them() {
    use NatKind::{AddressRestricted, FullCone, PortRestricted, Symmetric};
    for (home, provider) in
        [(PortRestricted, FullCone), (FullCone, PortRestricted), (AddressRestricted, Symmetric)]
    {
        let access = Access::DoubleNat { home, provider };
        let seen = observe(&Lab::of(&[access]).unwrap(), 0).unwrap();
        assert_eq!(seen, Behaviour { translated: true, udp: access.udp4(), tcp: true }, "{access}");
    }
}

#[test]
fn over_ipv6_nothing_is_translated_and_only_answers_come_in() {
    for access in [Access::Ipv6, Access::DualStack(NatKind::Symmetric)] {
        let lab = Lab::of(&[access]).unwrap();
        let client = &lab.sites[0].client;
        let own = client.addresses.iter().position(std::net::IpAddr::is_ipv6).unwrap();
        let mut inside = udp(client, own, 5000);
        let mut server = udp(&lab.server, 2, 3478);
        let mut stranger = udp(&lab.server, 3, 3478);

        stranger.send(inside.address(), "unasked").unwrap();
        assert_eq!(inside.receive(SILENCE), None, "{access}");
        inside.send(server.address(), "asked").unwrap();
        let arrival = server.receive(PATIENCE).expect("UDP gets out");
        assert_eq!(arrival.from, inside.address(), "{access}");
        stranger.send(arrival.from, "still unasked").unwrap();
        server.send(arrival.from, "answer").unwrap();
        let first = inside.receive(PATIENCE).expect("an answer comes in");
        assert_eq!((first.text.as_str(), inside.receive(SILENCE)), ("answer", None), "{access}");
        assert!(access.udp6().is_some_and(|UdpBehaviour { port_preserved, .. }| port_preserved));
    }
}

#[test]
fn a_dual_stack_site_has_the_nat_that_it_says_over_ipv4() {
    let access = Access::DualStack(NatKind::AddressRestricted);
    let seen = observe(&Lab::of(&[access]).unwrap(), 0).unwrap();
    assert_eq!(seen, NatKind::AddressRestricted.promise());
}

#[test]
fn a_firewall_passes_tcp_to_port_443_and_nothing_else() {
    for (access, passed) in [(Access::TlsOnly, true), (Access::HttpProxy, false)] {
        let lab = Lab::of(&[access]).unwrap();
        let client = &lab.sites[0].client;
        let listen = |port| {
            TcpListenerProbe::bind(
                &lab.server.namespace,
                SocketAddr::new(lab.server.address(), port),
            )
            .unwrap()
        };
        let (https, other) = (listen(443), listen(3478));
        assert_eq!(
            tcp_connect(&client.namespace, https.address()).unwrap().is_some(),
            passed,
            "{access}"
        );
        assert_eq!(tcp_connect(&client.namespace, other.address()).unwrap(), None, "{access}");

        let mut server = udp(&lab.server, 0, 443);
        let mut inside = udp(client, 0, 5000);
        inside.send(server.address(), "QUIC").unwrap();
        assert_eq!(server.receive(SILENCE), None, "{access}");
    }
}

#[test]
fn only_a_nat_with_hairpin_turns_packets_around() {
    for (inside, own_address_reached, turned_around) in [
        (Inside::Open, true, false),
        (Inside::Hairpin, false, true),
        (Inside::NoHairpin, false, false),
    ] {
        let lab = Lab::behind_one_nat(inside).unwrap();
        let mut server = udp(&lab.server, 0, 3478);
        let mut one = udp(&lab.sites[0].client, 0, 5000);
        let mut other = udp(&lab.sites[1].client, 0, 6000);
        let mut mapped = |probe: &mut UdpProbe| {
            probe.send(server.address(), "mapping").unwrap();
            server.receive(PATIENCE).expect("UDP gets out").from
        };
        let (one_outside, other_outside) = (mapped(&mut one), mapped(&mut other));
        assert_eq!(one_outside.ip(), lab.sites[0].public_address(), "{inside}");

        one.send(other.address(), "inside").unwrap();
        let arrived = other.receive(if own_address_reached { PATIENCE } else { SILENCE });
        let expected =
            own_address_reached.then(|| Arrival { from: one.address(), text: "inside".to_owned() });
        assert_eq!(arrived, expected, "{inside}");
        one.send(other_outside, "outside").unwrap();
        let arrived = other.receive(if turned_around { PATIENCE } else { SILENCE });
        let expected =
            turned_around.then(|| Arrival { from: one_outside, text: "outside".to_owned() });
        assert_eq!(arrived, expected, "{inside}: from its outer address, as RFC 4787 §6 has it");
    }
}
