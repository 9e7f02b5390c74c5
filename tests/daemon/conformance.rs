//! The daemon conforms where the wire and the kernel take part; `tests/rfc8656.rs` and
//! `tests/rfc8489.rs` test the core.

use causeway_relay::Transport;
use causeway_wire::Method;
use causeway_wire::attribute::{AttributeType, Lifetime, RequestedTransport};

use crate::turnd;
use causeway_tests::daemon::leg::{arrives, udp};

const EVERY: [Transport; 4] = [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Dtls];

#[test]
fn rfc8656_7_2_an_allocation_over_every_transport() {
    let turnd = turnd::turnd();
    for transport in EVERY {
        let mut talker = turnd.talker(transport);
        let answer = talker.ask(Method::ALLOCATE, &|w| {
            w.put(&RequestedTransport::UDP)?.put(&Lifetime(777)).map(drop)
        });
        assert_eq!(
            (answer.error(), answer.lifetime(), answer.mapped()),
            (None, Some(777), Some(talker.link.local()))
        );
        assert!(answer.is_signed_with(&talker.client.key()));
        let relayed = answer.relayed().unwrap();
        assert!(relayed.ip() == turnd.address.ip() && relayed.port() >= 49_152);
    }
}

#[test]
fn rfc8656_5_and_7_2_errors_over_every_transport() {
    let turnd = turnd::turnd();
    for transport in EVERY {
        let mut talker = turnd.talker(transport);
        assert_eq!(talker.ask(Method::REFRESH, &|_| Ok(())).error(), Some(437));
        assert_eq!(talker.ask(Method::ALLOCATE, &|_| Ok(())).error(), Some(400));
        assert_eq!(
            talker.ask(Method::ALLOCATE, &|w| w.put(&RequestedTransport::TCP).map(drop)).error(),
            Some(442)
        );
        let v6 = talker.ask(Method::ALLOCATE, &|w| {
            w.put(&RequestedTransport::UDP)?
                .put_raw(AttributeType::REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0])
                .map(drop)
        });
        assert_eq!(v6.error(), Some(440), "the server has no IPv6 relay address");
        talker.allocate();
        assert_eq!(
            talker.ask(Method::ALLOCATE, &|w| w.put(&RequestedTransport::UDP).map(drop)).error(),
            Some(437)
        );
        let unknown =
            talker.ask(Method::REFRESH, &|w| w.put_raw(AttributeType(0x7FFF), &[]).map(drop));
        assert_eq!((unknown.error(), unknown.unknown()), (Some(420), vec![AttributeType(0x7FFF)]));
        assert_eq!(talker.ask(Method::REFRESH, &|_| Ok(())).error(), None);
    }
}

#[test]
fn rfc8656_11_data_by_indications_over_every_transport() {
    let turnd = turnd::turnd();
    for transport in EVERY {
        let (mut talker, peer) = (turnd.talker(transport), udp());
        let relayed = talker.allocate();
        assert_eq!(talker.permit(peer.local_addr().unwrap()), None);
        for length in [0, 1, 2, 3, 4, 1200] {
            let data: Vec<u8> = (0..length).map(|at| at as u8).collect();
            talker.send(peer.local_addr().unwrap(), &data);
            assert_eq!(arrives(&peer), (data.clone(), relayed));
            peer.send_to(&data, relayed).unwrap();
            assert_eq!(talker.data_arrive(), (peer.local_addr().unwrap(), data));
        }
    }
}

#[test]
fn rfc8656_12_data_by_channels_over_every_transport() {
    let turnd = turnd::turnd();
    for transport in EVERY {
        let (mut talker, peer) = (turnd.talker(transport), udp());
        let relayed = talker.allocate();
        assert_eq!(talker.bind(0x4001, peer.local_addr().unwrap()), None);
        for length in [0, 1, 2, 3, 4, 1200] {
            let data: Vec<u8> = (0..length).map(|at| at as u8).collect();
            talker.send_channel(0x4001, &data);
            assert_eq!(arrives(&peer), (data.clone(), relayed));
            peer.send_to(&data, relayed).unwrap();
            let padding =
                if transport.is_stream() { causeway_wire::padded(length) - length } else { 0 };
            let expected =
                [&[0x40, 0x01][..], &(length as u16).to_be_bytes(), &data, &[0; 3][..padding]]
                    .concat();
            assert_eq!(talker.link.receive(), Some(expected), "{length} bytes over {transport:?}");
        }
    }
}

#[test]
fn rfc8656_9_without_a_permission_nothing_goes_in_or_out() {
    let turnd = turnd::turnd();
    for transport in EVERY {
        let (mut talker, peer, stranger) = (turnd.talker(transport), udp(), udp());
        let relayed = talker.allocate();
        stranger.send_to(b"x", relayed).unwrap();
        talker.send(peer.local_addr().unwrap(), b"not permitted");
        talker.send_channel(0x4000, b"not bound");
        talker.heard_nothing();
        talker.permit(peer.local_addr().unwrap());
        talker.send(peer.local_addr().unwrap(), b"permitted");
        assert_eq!(arrives(&peer).0, b"permitted");
    }
}

#[test]
fn rfc8656_8_2_lifetime_zero_ends_relaying_at_once() {
    let turnd = turnd::turnd();
    for transport in EVERY {
        let (mut talker, peer) = (turnd.talker(transport), udp());
        let relayed = talker.allocate();
        talker.permit(peer.local_addr().unwrap());
        assert_eq!(
            talker.ask(Method::REFRESH, &|w| w.put(&Lifetime(0)).map(drop)).lifetime(),
            Some(0)
        );
        peer.send_to(b"x", relayed).unwrap();
        talker.heard_nothing();
        assert_eq!(talker.ask(Method::REFRESH, &|_| Ok(())).error(), Some(437));
        talker.allocate();
    }
}

#[test]
fn h36_a_retransmitted_allocate_gets_the_same_answer_from_the_daemon() {
    let turnd = turnd::turnd();
    let mut talker = turnd.talker(Transport::Udp);
    talker.ask(Method::REFRESH, &|_| Ok(()));
    let id = talker.client.next_transaction();
    let request =
        talker.client.signed(id, Method::ALLOCATE, &|w| w.put(&RequestedTransport::UDP).map(drop));
    let answers: Vec<_> = (0..3).map(|_| talker.exchange(&request)).collect();
    assert!(
        answers[0].error().is_none()
            && answers.iter().all(|answer| answer.relayed() == answers[0].relayed())
    );
}

#[test]
fn h8_two_clients_reach_each_other_through_their_relays() {
    let turnd = turnd::turnd();
    let (mut a, mut b) = (turnd.talker(Transport::Udp), turnd.talker(Transport::Tcp));
    let (relayed_a, relayed_b) = (a.allocate(), b.allocate());
    assert_eq!((a.bind(0x4000, relayed_b), b.permit(relayed_a)), (None, None));
    a.send_channel(0x4000, b"hello");
    assert_eq!(b.data_arrive(), (relayed_a, b"hello".to_vec()));
    b.send(relayed_a, b"and back");
    assert_eq!(a.link.receive(), Some(b"\x40\x00\x00\x08and back".to_vec()));
}
