//! Permissions, channels and data, in virtual time.

use std::net::SocketAddr;

use crate::scripted::*;
use causeway_client::{
    Discard, Event, HEADROOM, Received, RequestError, SendError, TAILROOM, Transport, TurnClient,
};
use causeway_wire::attribute::{ChannelNumberAttribute, Data, Icmp, XorPeerAddress};
use causeway_wire::{
    ChannelData, ChannelRange, Class, ErrorCode, Message, MessageWriter, Method, TransactionId,
};

/// A Data indication, as the server sends it.
fn indication(fill: impl FnOnce(&mut MessageWriter<'_>)) -> Vec<u8> {
    let mut bytes = vec![0; 2048];
    let mut writer =
        MessageWriter::new(&mut bytes, Class::Indication, Method::DATA, TransactionId([9; 12]))
            .unwrap();
    fill(&mut writer);
    let len = writer.finish();
    bytes.truncate(len);
    bytes
}

/// `data` as the client sends it to `peer`.
fn wrapped(
    client: &mut TurnClient,
    now: std::time::Duration,
    peer: SocketAddr,
    data: &[u8],
) -> Result<Vec<u8>, SendError> {
    let mut buffer = vec![0xEE; HEADROOM + data.len() + TAILROOM];
    buffer[HEADROOM..HEADROOM + data.len()].copy_from_slice(data);
    let frame = client.wrap(now, peer, &mut buffer, HEADROOM..HEADROOM + data.len())?;
    Ok(buffer[frame].to_vec())
}

#[test]
fn rfc8656_9_permissions_are_refreshed_before_300_seconds() {
    let start = epoch();
    let mut client = allocated(Transport::Udp, start);
    let second = "203.0.113.8".parse().unwrap();
    client.permit(start, peer().ip()).unwrap();
    client.permit(start, second).unwrap();
    client.permit(start, second).unwrap();
    assert_eq!(
        talk(&mut client, start, honest).len(),
        2,
        "one request a peer, however often it is asked for"
    );
    assert_eq!(
        events(&mut client),
        [
            Event::PermissionInstalled { peer: peer().ip() },
            Event::PermissionInstalled { peer: second },
        ]
    );
    let log = run(&mut client, start, start + seconds(500), honest);
    assert_eq!(
        log,
        [
            (240, Method::CREATE_PERMISSION),
            (240, Method::CREATE_PERMISSION),
            (480, Method::CREATE_PERMISSION),
            (480, Method::CREATE_PERMISSION)
        ]
    );
    assert_eq!(events(&mut client), [], "a refresh is no news");
}

#[test]
fn rfc8656_9_a_permission_that_is_not_refreshed_expires() {
    let start = epoch();
    let mut client = allocated(Transport::Udp, start);
    client.permit(start, peer().ip()).unwrap();
    talk(&mut client, start, honest);
    events(&mut client);
    run(&mut client, start, start + seconds(299), |_| Vec::new());
    assert!(wrapped(&mut client, start + seconds(299), peer(), b"x").is_ok());
    run(&mut client, start, start + seconds(300), |_| Vec::new());
    assert_eq!(
        wrapped(&mut client, start + seconds(300), peer(), b"x"),
        Err(SendError::NoPermission)
    );
    assert_eq!(events(&mut client).last(), Some(&Event::PermissionExpired { peer: peer().ip() }));
}

#[test]
fn a_refused_peer_harms_no_other() {
    let now = epoch();
    let mut client = allocated(Transport::Udp, now);
    client.permit(now, "127.0.0.1".parse().unwrap()).unwrap();
    client.permit(now, peer().ip()).unwrap();
    talk(&mut client, now, |request| {
        let message = Message::decode(request).unwrap();
        if message.attribute::<XorPeerAddress>().unwrap().unwrap().0.ip().is_loopback() {
            return error(request, ErrorCode::FORBIDDEN, |writer| {
                writer.integrity(&key()).unwrap();
            });
        }
        honest(request)
    });
    assert!(matches!(
        events(&mut client)[..],
        [Event::Failed { .. }, Event::PermissionInstalled { .. }]
    ));
}

#[test]
fn rfc8656_10_1_a_peer_of_another_family_is_not_asked_for() {
    let now = epoch();
    let mut client = allocated(Transport::Udp, now);
    assert_eq!(client.permit(now, "2001:db8::1".parse().unwrap()), Err(RequestError::Family));
    assert_eq!(client.bind(now, "[2001:db8::1]:1".parse().unwrap()), Err(RequestError::Family));
    assert_eq!(client.poll_transmit(), None);
}

#[test]
fn rfc8656_11_1_a_send_indication_is_put_around_the_data() {
    let now = epoch();
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut client = allocated(transport, now);
        assert_eq!(wrapped(&mut client, now, peer(), b"hello"), Err(SendError::NoPermission));
        client.permit(now, peer().ip()).unwrap();
        assert_eq!(
            wrapped(&mut client, now, peer(), b"hello"),
            Err(SendError::NoPermission),
            "not confirmed yet"
        );
        talk(&mut client, now, honest);
        for data in [&b""[..], b"1", b"22", b"333", b"4444", b"hello"] {
            let bytes = wrapped(&mut client, now, peer(), data).unwrap();
            let message = Message::decode(&bytes).unwrap();
            assert_eq!((message.class(), message.method()), (Class::Indication, Method::SEND));
            assert_eq!(message.attribute::<XorPeerAddress>().unwrap().unwrap().0, peer());
            assert_eq!(message.attribute::<Data<'_>>().unwrap().unwrap().0, data);
            assert!(bytes[36 + data.len()..].iter().all(|pad| *pad == 0), "padding is zero (H22)");
        }
    }
}

#[test]
fn rfc8656_12_5_channel_data_is_padded_over_streams_only() {
    let now = epoch();
    for (transport, expected) in [(Transport::Udp, 9), (Transport::Tcp, 12)] {
        let mut client = allocated(transport, now);
        client.bind(now, peer()).unwrap();
        assert_eq!(talk(&mut client, now, honest), [Method::CHANNEL_BIND]);
        let [Event::ChannelBound { number, .. }] = events(&mut client)[..] else {
            panic!("not bound")
        };
        let bytes = wrapped(&mut client, now, peer(), b"hello").unwrap();
        assert_eq!(bytes.len(), expected);
        assert_eq!(
            ChannelData::decode(&bytes, ChannelRange::Rfc8656).unwrap(),
            ChannelData { channel: number, data: b"hello" }
        );
        assert!(bytes[9..].iter().all(|pad| *pad == 0));
        let other_port = SocketAddr::new(peer().ip(), 1);
        let bytes = wrapped(&mut client, now, other_port, b"hello").unwrap();
        assert_eq!(
            Message::decode(&bytes).unwrap().method(),
            Method::SEND,
            "a ChannelBind installs a permission for the address"
        );
    }
}

#[test]
fn data_that_does_not_fit_is_an_error_and_stays_as_it_is() {
    let now = epoch();
    let mut client = allocated(Transport::Udp, now);
    client.permit(now, peer().ip()).unwrap();
    talk(&mut client, now, honest);
    let mut buffer = [7; 64];
    assert_eq!(
        client.wrap(now, peer(), &mut buffer, 35..40),
        Err(SendError::NoRoom),
        "the header takes 36 bytes"
    );
    assert_eq!(client.wrap(now, peer(), &mut buffer, 40..65), Err(SendError::NoRoom));
    assert_eq!(
        client.wrap(now, peer(), &mut buffer, 49..62),
        Err(SendError::NoRoom),
        "the padding takes three bytes"
    );
    let backwards = std::ops::Range { start: 50, end: 40 };
    assert_eq!(client.wrap(now, peer(), &mut buffer, backwards), Err(SendError::NoRoom));
    assert_eq!(buffer, [7; 64]);
    assert_eq!(wrapped(&mut client, now, peer(), &vec![0; 65_536]), Err(SendError::TooLong));
    assert_eq!(wrapped(&mut client, now, peer(), &vec![0; 65_530]), Err(SendError::TooLong));
}

#[test]
fn rfc8656_11_4_data_comes_from_permitted_peers_only() {
    let now = epoch();
    let mut client = allocated(Transport::Udp, now);
    let from_peer = indication(|writer| {
        writer.put(&XorPeerAddress(peer())).unwrap().put(&Data(b"hi")).unwrap();
    });
    assert_eq!(
        client.handle_input(now, server_address(), &from_peer),
        Received::Discarded(Discard::NoPermission)
    );
    client.permit(now, peer().ip()).unwrap();
    assert_eq!(
        client.handle_input(now, server_address(), &from_peer),
        Received::Data { peer: peer(), data: b"hi" },
        "ahead of the answer"
    );
    talk(&mut client, now, honest);
    assert_eq!(
        client.handle_input(now, server_address(), &from_peer),
        Received::Data { peer: peer(), data: b"hi" }
    );
    assert_eq!(client.handle_input(now, peer(), &from_peer), Received::Discarded(Discard::Source));
    let without_peer = indication(|writer| {
        writer.put(&Data(b"hi")).unwrap();
    });
    let without_data = indication(|writer| {
        writer.put(&XorPeerAddress(peer())).unwrap();
    });
    for bytes in [without_peer, without_data] {
        assert_eq!(
            client.handle_input(now, server_address(), &bytes),
            Received::Discarded(Discard::Attribute)
        );
    }
}

#[test]
fn rfc8656_11_6_icmp_is_told() {
    let now = epoch();
    let mut client = allocated(Transport::Udp, now);
    client.permit(now, peer().ip()).unwrap();
    talk(&mut client, now, honest);
    events(&mut client);
    let icmp = Icmp { icmp_type: 3, code: 3, error_data: [0; 4] };
    let bytes = indication(|writer| {
        writer.put(&XorPeerAddress(peer())).unwrap().put(&icmp).unwrap();
    });
    assert_eq!(client.handle_input(now, server_address(), &bytes), Received::Consumed);
    assert_eq!(events(&mut client), [Event::Unreachable { peer: peer(), icmp }]);
    // "discards the indication" without a peer, and without a permission.
    let stranger = "203.0.113.200:1".parse().unwrap();
    let without_peer = indication(|writer| {
        writer.put(&icmp).unwrap();
    });
    let stranger = indication(|writer| {
        writer.put(&XorPeerAddress(stranger)).unwrap().put(&icmp).unwrap();
    });
    for (bytes, discard) in [(without_peer, Discard::Attribute), (stranger, Discard::NoPermission)]
    {
        assert_eq!(
            client.handle_input(now, server_address(), &bytes),
            Received::Discarded(discard)
        );
    }
    assert_eq!(events(&mut client), []);
}

#[test]
fn rfc8656_12_channel_data_may_come_before_the_answer() {
    let now = epoch();
    let mut client = allocated(Transport::Udp, now);
    let data = [0x40, 0x00, 0x00, 0x02, b'h', b'i'];
    assert_eq!(
        client.handle_input(now, server_address(), &data),
        Received::Discarded(Discard::UnboundChannel)
    );
    client.bind(now, peer()).unwrap();
    assert_eq!(
        client.handle_input(now, server_address(), &data),
        Received::Data { peer: peer(), data: b"hi" }
    );
    let cut = [0x40, 0x00, 0x00, 0x03, b'h', b'i'];
    assert_eq!(
        client.handle_input(now, server_address(), &cut),
        Received::Discarded(Discard::NotStun)
    );
}

#[test]
fn rfc8656_12_channels_and_their_permissions_are_kept_alive() {
    let start = epoch();
    let mut client = allocated(Transport::Udp, start);
    client.bind(start, peer()).unwrap();
    talk(&mut client, start, honest);
    events(&mut client);
    let log = run(&mut client, start, start + seconds(530), honest);
    assert_eq!(log, [(240, Method::CREATE_PERMISSION), (480, Method::CREATE_PERMISSION)]);
    let log = run(&mut client, start, start + seconds(3600), honest);
    assert!(log.contains(&(540, Method::CHANNEL_BIND)));
    let frame = wrapped(&mut client, start + seconds(3600), peer(), b"x").unwrap();
    assert_eq!(frame[0], 0x40, "still on the channel after an hour");
}

#[test]
fn rfc8656_12_a_number_is_not_reused_within_five_minutes_of_expiry() {
    let start = epoch();
    let mut client = allocated(Transport::Udp, start);
    let numbers = |client: &mut TurnClient, now, peer| {
        client.bind(now, peer).unwrap();
        let mut numbers = Vec::new();
        talk(client, now, |request| {
            numbers.push(
                Message::decode(request)
                    .unwrap()
                    .attribute::<ChannelNumberAttribute>()
                    .unwrap()
                    .unwrap()
                    .0,
            );
            honest(request)
        });
        numbers
    };
    assert_eq!(numbers(&mut client, start, peer()), [0x4000]);
    client.release(peer());
    // All the other numbers are taken too, so that only the released one could be given out.
    for port in 1..0x1000 {
        let other = SocketAddr::new(peer().ip(), port);
        assert_eq!(numbers(&mut client, start, other), [0x4000 + port]);
        client.release(other);
    }
    let next: SocketAddr = "203.0.113.77:1".parse().unwrap();
    for (at, expected) in [
        (0, Err(RequestError::NoChannel)),
        (601, Err(RequestError::NoChannel)),
        (899, Err(RequestError::NoChannel)),
        (900, Ok(())),
    ] {
        let now = start + seconds(at);
        run(&mut client, start, now, honest);
        assert_eq!(client.bind(now, next), expected, "after {at} s");
    }
}

#[test]
fn hostile_input_never_panics() {
    use rand::{Rng, RngExt};
    let now = epoch();
    let mut client = allocated(Transport::Udp, now);
    client.bind(now, peer()).unwrap();
    let request = sent(&mut client).remove(0).payload;
    let seeds = [
        success(&request),
        honest(&request),
        indication(|w| {
            w.put(&XorPeerAddress(peer())).unwrap().put(&Data(b"hi")).unwrap();
        }),
        vec![0x40, 0, 0, 2, 1, 2],
    ];
    let mut rng = rng();
    for round in 0..20_000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..bytes.len());
            bytes[at] = rng.next_u32() as u8;
        }
        bytes.truncate(rng.random_range(0..=bytes.len()));
        let _: Received<'_> = client.handle_input(now, server_address(), &bytes);
    }
    assert!(client.allocated().is_some());
}
