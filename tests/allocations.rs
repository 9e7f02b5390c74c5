//! A datagram costs no memory: the server allocates none for it, with any number of allocations,
//! permissions and channels.
//!
//! A program of its own, because its allocator counts.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

use std::net::SocketAddr;

use causeway_relay::{
    ClientVerdict, Discard, FiveTuple, IcmpNotice, PeerAddress, RelayId, Reply, Transport,
};
use causeway_tests::addresses::{client, client_v6, peer, peer_v6};
use causeway_tests::{Client, Lab};
use causeway_wire::attribute::{
    AddressFamily, Data, RequestedAddressFamily, RequestedTransport, XorPeerAddress,
};
use causeway_wire::{ChannelData, ChannelNumber, Class, MessageWriter, Method, TransactionId};

const DATA: [u8; 160] = [0x5A; 160];
/// A Binding request without attributes.
const BINDING: [u8; 20] = [0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7];
const UNREACHABLE: IcmpNotice = IcmpNotice { kind: 3, code: 3, data: 0 };

#[test]
fn relaying_a_datagram_allocates_nothing() {
    // One peer, two, and more than fit into an allocation's record, of either family.
    for (peers, ipv6) in [(1, false), (1, true), (2, false), (2, true), (12, false), (12, true)] {
        relaying_allocates_nothing(calls(200, peers, ipv6));
    }
}

fn relaying_allocates_nothing((mut lab, calls): (Lab, Vec<Call>)) {
    let mut out = [0; 1500];
    let now = lab.now();
    let (mut relayed, mut answered) = (0, 0);
    let allocated = allocation_counter::measure(|| {
        for call in &calls {
            let binding = lab.server.handle_client(now, &call.five_tuple, &BINDING, &mut out);
            answered +=
                usize::from(binding.respond().is_some_and(|respond| respond.error.is_none()));
            for message in [&call.channel_data, &call.send] {
                let verdict = lab.server.handle_client(now, &call.five_tuple, message, &mut out);
                relayed += usize::from(matches!(verdict, ClientVerdict::ToPeer(_)));
            }
            for peer in [call.on_channel, call.beside_it].map(PeerAddress) {
                let verdict = lab.server.handle_peer(now, call.relay, peer, DATA.len());
                relayed += usize::from(verdict.is_ok());
            }
            let (relay, peer) = (call.relay, PeerAddress(call.beside_it));
            let verdict = lab.server.handle_icmp(now, relay, peer, &UNREACHABLE, &mut out);
            relayed += usize::from(verdict.is_ok());
        }
    });
    assert_eq!((relayed, answered), (5 * calls.len(), calls.len()));
    assert_eq!(allocated.count_total, 0, "{allocated:?}");
}

#[test]
fn h10_challenging_a_datagram_allocates_nothing() {
    let (mut lab, _) = calls(1, 12, false);
    let mut out = [0; 1500];
    let now = lab.now();
    let requests = [Method::ALLOCATE, Method::BINDING].map(|method| {
        let client = Client::udp(9);
        client.unsigned(TransactionId([1; 12]), method, &|w| {
            w.put(&RequestedTransport::UDP).map(drop)
        })
    });
    let strangers: Vec<_> =
        (1..1000).map(|port| Client::at(client(9, port), Transport::Udp).five_tuple).collect();
    let (mut answered, mut limited) = (0, 0);
    let allocated = allocation_counter::measure(|| {
        for from in &strangers {
            for request in &requests {
                match lab.server.handle_client(now, from, request, &mut out) {
                    ClientVerdict::Reply(Reply::Respond(_)) => answered += 1,
                    ClientVerdict::Reply(Reply::Discard(Discard::RateLimited)) => limited += 1,
                    other => panic!("{other:?}"),
                }
            }
        }
    });
    assert!(answered > 0 && limited > 0, "{answered} answered, {limited} not (H11)");
    assert_eq!((answered + limited, allocated.count_total), (2 * 999, 0), "{allocated:?}");
}

#[test]
fn discarding_a_datagram_allocates_nothing() {
    let (mut lab, calls) = calls(10, 12, false);
    let stranger = Client::udp(200).five_tuple;
    let mut out = [0; 1500];
    let now = lab.now();
    let allocated = allocation_counter::measure(|| {
        for call in &calls {
            for bytes in [
                &call.send[..],
                &call.channel_data,
                &call.send[..30],
                &call.channel_data[..10],
                &[0xFF; 20],
                &[],
            ] {
                let verdict = lab.server.handle_client(now, &stranger, bytes, &mut out);
                assert!(verdict.discard().is_some());
            }
            assert!(
                lab.server.handle_peer(now, call.relay, PeerAddress(peer(99, 1)), 160).is_err()
            );
        }
    });
    assert_eq!(allocated.count_total, 0, "{allocated:?}");
}

/// A client that sends and receives, with prepared datagrams.
struct Call {
    five_tuple: FiveTuple,
    relay: RelayId,
    channel_data: Vec<u8>,
    send: Vec<u8>,
    /// A peer with a channel; `beside_it` has none.
    on_channel: SocketAddr,
    beside_it: SocketAddr,
}

/// A server with `count` clients, each of which has permissions and channels for `peers` peers.
fn calls(count: u16, peers: u16, ipv6: bool) -> (Lab, Vec<Call>) {
    let mut lab = Lab::with(|setup| (setup.ports, setup.quota) = (count, usize::from(count)));
    let calls = (0..count).map(|index| call(&mut lab, index, peers, ipv6)).collect();
    (lab, calls)
}

fn call(lab: &mut Lab, index: u16, peers: u16, ipv6: bool) -> Call {
    let (address, family) = match ipv6 {
        true => (client_v6(index % 250, 1000 + index), AddressFamily::Ipv6),
        false => (client((index % 250) as u8, 1000 + index), AddressFamily::Ipv4),
    };
    let peer = |host: u16, port| if ipv6 { peer_v6(host, port) } else { peer(host as u8, port) };
    let mut client = Client::at(address, Transport::Udp);
    let relayed = client
        .allocate_with(lab, &|w| w.put(&RequestedAddressFamily(family)).map(drop))
        .relayed()
        .unwrap();
    for number in 0..peers {
        assert_eq!(client.bind(lab, 0x4000 + number, peer(number + 1, 5000)), None);
    }
    let channel_data =
        [&ChannelData::header(ChannelNumber::FIRST, DATA.len() as u16)[..], &DATA].concat();
    let mut send = vec![0; 256];
    let mut writer = MessageWriter::new(
        &mut send,
        Class::Indication,
        Method::SEND,
        TransactionId([index as u8; 12]),
    )
    .unwrap();
    writer.put(&XorPeerAddress(peer(peers, 7))).unwrap().put(&Data(&DATA)).unwrap();
    let len = writer.finish();
    send.truncate(len);
    let relay = lab.pool.relay(relayed).unwrap();
    Call {
        five_tuple: client.five_tuple,
        relay,
        channel_data,
        send,
        on_channel: peer(1, 5000),
        beside_it: peer(1, 5001),
    }
}
