//! Relayed addresses of `turnd`: both families, pairs of ports, reservations over all workers, ICMP
//! from the kernel.

use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use causeway_relay::Transport;
use causeway_wire::attribute::{
    AdditionalAddressFamily, AddressFamily, AttributeType, Data, DontFragment, EvenPort, Icmp,
    Lifetime, RequestedAddressFamily, RequestedTransport, ReservationToken, XorPeerAddress,
};
use causeway_wire::{Class, Message, MessageWriter, Method, TransactionId};

use crate::turnd;
use causeway_tests::daemon::leg::{arrives, udp};
use causeway_tests::daemon::talker::Talker;

const EVERY: [Transport; 4] = [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Dtls];

#[test]
fn rfc8656_7_2_a_dual_allocation_relays_in_both_families_over_every_transport() {
    let turnd = turnd::turnd_of_both_families();
    for transport in EVERY {
        let mut talker = turnd.talker(transport);
        let relayed = allocate_both(&mut talker);
        for (relayed, peer) in relayed.into_iter().zip([udp(), udp_v6()]) {
            let address = peer.local_addr().unwrap();
            assert_eq!(talker.permit(address), None);
            talker.send(address, b"out");
            assert_eq!(arrives(&peer), (b"out".to_vec(), relayed));
            peer.send_to(b"in", relayed).unwrap();
            assert_eq!(talker.data_arrive(), (address, b"in".to_vec()));
        }
        let mapped: SocketAddr = "[::ffff:127.0.0.1]:9".parse().unwrap();
        assert_eq!(talker.permit(mapped), Some(443));
    }
}

#[test]
fn rfc8656_8_1_one_family_is_deleted_and_the_other_goes_on() {
    let turnd = turnd::turnd_of_both_families();
    let (mut talker, peer) = (turnd.talker(Transport::Udp), udp());
    let [ipv4, ipv6] = allocate_both(&mut talker);
    talker.permit(peer.local_addr().unwrap());
    let answer = talker.ask(Method::REFRESH, &|w| {
        w.put(&Lifetime(0))?.put(&RequestedAddressFamily(AddressFamily::Ipv6)).map(drop)
    });
    assert_eq!((answer.error(), answer.lifetime()), (None, Some(0)));
    let rebound = (0..100).find_map(|_| {
        UdpSocket::bind(ipv6).inspect_err(|_| std::thread::sleep(Duration::from_millis(5))).ok()
    });
    assert!(rebound.is_some(), "its port is free again");
    talker.send(peer.local_addr().unwrap(), b"still");
    assert_eq!(arrives(&peer), (b"still".to_vec(), ipv4));
    assert_eq!(turnd.metric("turnd_allocations{transport=\"udp\",family=\"ipv4\"}"), 1);
}

#[test]
fn rfc8656_7_2_a_reserved_port_is_claimed_at_whatever_worker_the_client_is() {
    let turnd = turnd::turnd();
    // Two workers share the clients by source port: with this many, both serve some.
    let mut makers: Vec<_> = (0..12).map(|at| turnd.talker(EVERY[at % 4])).collect();
    let reserved: Vec<_> = makers.iter_mut().map(reserve).collect();
    assert_eq!(turnd.metric("turnd_relay_ports_reserved"), 12);
    for (first, token) in reserved {
        let mut claimer = turnd.talker(Transport::Udp);
        let answer = claim(&mut claimer, token);
        assert_eq!(
            answer.map(|relayed| (relayed.ip(), relayed.port())),
            Ok((first.ip(), first.port() + 1))
        );
        assert_eq!(claim(&mut turnd.talker(Transport::Udp), token), Err(508), "once");
        let peer = udp();
        claimer.permit(peer.local_addr().unwrap());
        claimer.send(peer.local_addr().unwrap(), b"x");
        assert_eq!(arrives(&peer).1, answer.unwrap());
        assert_eq!(claimer.ask(Method::REFRESH, &|w| w.put(&Lifetime(0)).map(drop)).error(), None);
    }
    assert_eq!(turnd.metric("turnd_relay_ports_reserved"), 0);
}

#[test]
fn h32_a_user_reserves_a_limited_number_of_ports_and_all_come_back() {
    let turnd = turnd::turnd();
    let free = turnd.metric(FREE);
    let mut talker = turnd.talker(Transport::Udp);
    let mut reserved = 0;
    // A refused Refresh follows each refusal; the server does not answer more than 64 refusals at
    // once (H33).
    for _ in 0..45 {
        let answer = talker.ask(Method::ALLOCATE, &|w| {
            w.put(&RequestedTransport::UDP)?.put(&EvenPort { reserve: true }).map(drop)
        });
        match answer.error() {
            None => reserved += 1,
            error => assert_eq!(error, Some(508), "after {reserved}"),
        }
        talker.ask(Method::REFRESH, &|w| w.put(&Lifetime(0)).map(drop));
    }
    assert_eq!(reserved, 20, "as many as a user may have allocations");
    assert_eq!(turnd.metric(FREE), free - 20);
    // Reservations last half a minute; the rest is for a busy machine.
    let came_back = (0..400).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        turnd.metric(FREE) == free
    });
    assert!(came_back && turnd.metric("turnd_relay_ports_reserved") == 0);
}

#[test]
fn rfc8656_11_5_what_the_kernel_says_of_a_closed_port_reaches_the_client() {
    let turnd = turnd::turnd_of_both_families();
    for transport in EVERY {
        for (socket, icmp) in [(udp(), (3, 3)), (udp_v6(), (1, 4))] {
            let mut talker = turnd.talker(transport);
            allocate_both(&mut talker);
            let closed = socket.local_addr().unwrap();
            drop(socket);
            assert_eq!(talker.permit(closed), None);
            talker.send(closed, b"to a closed port");
            let bytes = talker.link.receive().unwrap();
            let message = Message::decode(&bytes).unwrap();
            assert_eq!((message.class(), message.method()), (Class::Indication, Method::DATA));
            assert_eq!(message.attribute(), Ok(Some(XorPeerAddress(closed))), "over {transport:?}");
            let (icmp_type, code) = icmp;
            assert_eq!(message.attribute(), Ok(Some(Icmp { icmp_type, code, error_data: [0; 4] })));
            assert!(!message.has(AttributeType::DATA));
            assert_eq!(
                talker.ask(Method::REFRESH, &|_| Ok(())).error(),
                None,
                "H38: the allocation stands"
            );
        }
    }
}

#[test]
fn rfc8656_11_2_a_send_indication_with_dont_fragment_arrives() {
    let turnd = turnd::turnd();
    for transport in EVERY {
        let (mut talker, peer) = (turnd.talker(transport), udp());
        let answer = talker.ask(Method::ALLOCATE, &|w| {
            w.put(&RequestedTransport::UDP)?.put(&DontFragment).map(drop)
        });
        assert_eq!(answer.error(), None);
        let address = peer.local_addr().unwrap();
        talker.permit(address);
        let mut bytes = [0; 128];
        let mut writer =
            MessageWriter::new(&mut bytes, Class::Indication, Method::SEND, TransactionId([8; 12]))
                .unwrap();
        writer
            .put(&XorPeerAddress(address))
            .unwrap()
            .put(&DontFragment)
            .unwrap()
            .put(&Data(b"whole"))
            .unwrap();
        let len = writer.finish();
        talker.link.send(&bytes[..len]);
        assert_eq!(arrives(&peer), (b"whole".to_vec(), answer.relayed().unwrap()));
    }
}

const FREE: &str = "turnd_relay_ports_free{family=\"ipv4\"}";

fn allocate_both(talker: &mut Talker) -> [SocketAddr; 2] {
    let both = talker.ask(Method::ALLOCATE, &|w| {
        w.put(&RequestedTransport::UDP)?
            .put(&AdditionalAddressFamily(AddressFamily::Ipv6))
            .map(drop)
    });
    assert_eq!((both.error(), both.address_error()), (None, None));
    both.all_relayed().try_into().expect("one of each family")
}

fn reserve(talker: &mut Talker) -> (SocketAddr, ReservationToken) {
    let answer = talker.ask(Method::ALLOCATE, &|w| {
        w.put(&RequestedTransport::UDP)?.put(&EvenPort { reserve: true }).map(drop)
    });
    (answer.relayed().unwrap(), answer.token().unwrap())
}

fn claim(talker: &mut Talker, token: ReservationToken) -> Result<SocketAddr, u16> {
    let answer =
        talker.ask(Method::ALLOCATE, &|w| w.put(&RequestedTransport::UDP)?.put(&token).map(drop));
    answer.relayed().ok_or(answer.error().unwrap_or_default())
}

fn udp_v6() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}
