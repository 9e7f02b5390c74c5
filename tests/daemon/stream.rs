//! Frames of a stream as clients cut or break them, and the effect on the allocation.

use causeway_relay::Transport;
use causeway_wire::Method;
use causeway_wire::attribute::Lifetime;

use crate::turnd;
use causeway_tests::daemon::leg::{arrives, udp};

#[test]
fn h14_half_a_frame_waits_and_the_rest_completes_it() {
    let turnd = turnd::turnd();
    for transport in [Transport::Tcp, Transport::Tls] {
        let (mut talker, peer) = (turnd.talker(transport), udp());
        talker.allocate();
        talker.permit(peer.local_addr().unwrap());
        let id = talker.client.next_transaction();
        let request = talker.client.signed(id, Method::REFRESH, &|_| Ok(()));
        for cut in [1, 3, 4, 19, 20, request.len() - 1] {
            talker.link.send(&request[..cut]);
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert_eq!(talker.exchange(&request[cut..]).error(), None, "cut at {cut}");
        }
        let two = [&request[..], &request[..]].concat();
        assert_eq!(talker.exchange(&two).error(), None);
        assert_eq!(talker.exchange(&[]).error(), None, "the second of one segment");
        talker.send(peer.local_addr().unwrap(), b"still there");
        assert_eq!(arrives(&peer).0, b"still there");
    }
}

#[test]
fn the_longest_datagram_of_udp_passes_over_a_stream_in_both_directions() {
    const LONGEST: usize = 65_535 - 20 - 8;
    let turnd = turnd::turnd();
    for transport in [Transport::Tcp, Transport::Tls] {
        let (mut talker, peer) = (turnd.talker(transport), udp());
        let (relayed, address) = (talker.allocate(), peer.local_addr().unwrap());
        talker.permit(address);
        talker.send(address, &[7; LONGEST]);
        assert_eq!(arrives(&peer), (vec![7; LONGEST], relayed), "{transport:?}");
        peer.send_to(&[8; LONGEST], relayed).unwrap();
        assert_eq!(talker.data_arrive(), (address, vec![8; LONGEST]), "{transport:?}");
    }
}

#[test]
fn h23_a_stream_that_cannot_be_framed_is_closed_and_frees_what_it_had() {
    let turnd = turnd::turnd_with("", "[limits]\nallocations_per_user = 1\n");
    for transport in [Transport::Tcp, Transport::Tls] {
        for junk in [
            &[0x80; 12][..],
            &[0x00, 0x01, 0xFF, 0xFF],
            &[0x16, 0x03, 0x01, 0x02, 0x00],
            &[0x00, 0x01, 0x00, 0x03],
        ] {
            let mut talker = turnd.talker(transport);
            talker.allocate();
            talker.link.send(junk);
            assert_eq!(talker.link.receive(), None, "{junk:?}");
            // The next client of the same user gets an allocation: the quota is free again.
            let mut next = turnd.talker(Transport::Udp);
            next.allocate();
            next.ask(Method::REFRESH, &|w| w.put(&Lifetime(0)).map(drop));
        }
    }
}
