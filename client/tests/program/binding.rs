//! Binding requests over a network that loses, repeats and reorders, in virtual time.

use std::net::SocketAddr;
use std::time::Duration;

use crate::scripted::*;
use causeway_client::{
    BindingEvent, BindingRequest, Discard, Failure, Received, StunClient, StunConfig, Timing,
    Transmit, Transport,
};
use causeway_wire::attribute::{
    AttributeType, ChangeRequest, OtherAddress, Padding, ResponsePort, UnknownAttributes,
    XorMappedAddress,
};
use causeway_wire::{Class, ErrorCode, Message, MessageWriter};
use rand::{RngExt, SeedableRng};

fn client(config: StunConfig) -> StunClient {
    StunClient::new(config, rng())
}

fn transmits(client: &mut StunClient) -> Vec<Transmit> {
    std::iter::from_fn(|| client.poll_transmit()).collect()
}

fn events(client: &mut StunClient) -> Vec<BindingEvent> {
    std::iter::from_fn(|| client.poll_event()).collect()
}

fn told(request: &[u8], mapped: SocketAddr) -> Vec<u8> {
    answer(request, Class::SuccessResponse, |writer| {
        writer.put(&XorMappedAddress(mapped)).unwrap();
    })
}

fn change_both() -> BindingRequest {
    BindingRequest {
        change: Some(ChangeRequest { change_ip: true, change_port: true }),
        ..BindingRequest::default()
    }
}

#[test]
fn rfc8489_6_3_3_the_mapped_address_and_the_round_trip_are_told() {
    let now = epoch();
    let mut client = client(StunConfig::default());
    let id = client.bind(now, server_address(), BindingRequest::default());
    let request = transmits(&mut client).remove(0).payload;
    assert_eq!(Message::decode(&request).unwrap().fingerprint(), Some(true));
    let bytes = answer(&request, Class::SuccessResponse, |writer| {
        writer
            .put(&XorMappedAddress(mapped()))
            .unwrap()
            .put(&OtherAddress(peer()))
            .unwrap()
            .fingerprint()
            .unwrap();
    });
    assert_eq!(
        client.handle_input(now + Duration::from_millis(30), server_address(), &bytes),
        Received::Consumed
    );
    let event = events(&mut client).remove(0);
    let binding = event.outcome.unwrap();
    assert_eq!((event.id, binding.mapped, binding.other), (id, mapped(), Some(peer())));
    assert_eq!((binding.round_trip, binding.sent), (Some(Duration::from_millis(30)), 1));
    assert_eq!(client.poll_timeout(), None);
}

#[test]
fn rfc5780_7_the_request_carries_what_it_was_told_to() {
    let now = epoch();
    let mut client = client(StunConfig::default());
    client.bind(
        now,
        server_address(),
        BindingRequest { response_port: Some(7), padding: 1500, ..change_both() },
    );
    let request = transmits(&mut client).remove(0).payload;
    let message = Message::decode(&request).unwrap();
    assert_eq!(
        message.attribute::<ChangeRequest>().unwrap(),
        Some(ChangeRequest { change_ip: true, change_port: true })
    );
    assert_eq!(message.attribute::<ResponsePort>().unwrap(), Some(ResponsePort(7)));
    assert_eq!(message.attribute::<Padding>().unwrap(), Some(Padding(1500)));
}

#[test]
fn rfc5780_4_4_only_a_change_request_is_answered_from_elsewhere() {
    let now = epoch();
    let elsewhere: SocketAddr = "192.0.2.2:3479".parse().unwrap();
    let mut client = client(StunConfig::default());
    client.bind(now, server_address(), BindingRequest::default());
    let plain = transmits(&mut client).remove(0).payload;
    assert_eq!(
        client.handle_input(now, elsewhere, &told(&plain, mapped())),
        Received::Discarded(Discard::Unmatched)
    );
    client.bind(now, server_address(), change_both());
    let changed = transmits(&mut client).remove(0).payload;
    assert_eq!(client.handle_input(now, elsewhere, &told(&changed, mapped())), Received::Consumed);
    assert_eq!(events(&mut client).remove(0).outcome.unwrap().source, elsewhere);
}

#[test]
fn h28_a_wrong_fingerprint_is_as_if_nothing_had_come() {
    let now = epoch();
    let mut client = client(StunConfig::default());
    client.bind(now, server_address(), BindingRequest::default());
    let request = transmits(&mut client).remove(0).payload;
    let mut bytes = answer(&request, Class::SuccessResponse, |writer| {
        writer.put(&XorMappedAddress(mapped())).unwrap().fingerprint().unwrap();
    });
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(
        client.handle_input(now, server_address(), &bytes),
        Received::Discarded(Discard::Fingerprint)
    );
    assert_eq!(events(&mut client), []);
}

#[test]
fn rfc8489_6_3_4_errors_without_credentials_are_told_as_they_are() {
    let now = epoch();
    type Fill = fn(&mut MessageWriter<'_>);
    let cases: [(ErrorCode, Fill); 3] = [
        (ErrorCode::BAD_REQUEST, |_| {}),
        (ErrorCode::UNAUTHENTICATED, |_| {}),
        (ErrorCode::UNKNOWN_ATTRIBUTE, |writer| {
            writer.put(&UnknownAttributes::Kinds(&[AttributeType::CHANGE_REQUEST.0])).unwrap();
        }),
    ];
    for (code, fill) in cases {
        let mut client = client(StunConfig::default());
        client.bind(now, server_address(), change_both());
        let request = transmits(&mut client).remove(0).payload;
        assert_eq!(
            client.handle_input(now, server_address(), &error(&request, code, fill)),
            Received::Consumed
        );
        let Err(Failure::Refused(refusal)) = events(&mut client).remove(0).outcome else {
            panic!("{code}")
        };
        assert_eq!(refusal.code, code);
        assert_eq!(
            refusal.unknown.contains(&AttributeType::CHANGE_REQUEST),
            code == ErrorCode::UNKNOWN_ATTRIBUTE
        );
    }
}

#[test]
fn rfc8489_6_3_3_an_answer_that_requires_the_unknown_fails() {
    let now = epoch();
    for fill in [
        |writer: &mut MessageWriter<'_>| {
            writer
                .put(&XorMappedAddress(mapped()))
                .unwrap()
                .put_raw(AttributeType(0x7FFF), b"")
                .unwrap();
        },
        |_: &mut MessageWriter<'_>| {},
    ] {
        let mut client = client(StunConfig::default());
        client.bind(now, server_address(), BindingRequest::default());
        let request = transmits(&mut client).remove(0).payload;
        assert_eq!(
            client.handle_input(
                now,
                server_address(),
                &answer(&request, Class::SuccessResponse, fill)
            ),
            Received::Consumed
        );
        assert_eq!(events(&mut client).remove(0).outcome, Err(Failure::Malformed));
    }
}

#[test]
fn h26_transaction_ids_come_from_the_generator_that_is_passed_in_and_never_twice() {
    let ids = |seed| {
        let mut client =
            StunClient::new(StunConfig::default(), rand::rngs::StdRng::seed_from_u64(seed));
        let now = epoch();
        let ask = |_| {
            client.bind(now, server_address(), BindingRequest::default());
            let request = transmits(&mut client).remove(0).payload;
            let _: Received<'_> =
                client.handle_input(now, server_address(), &told(&request, mapped()));
            Message::decode(&request).unwrap().transaction_id()
        };
        (0..1000).map(ask).collect::<Vec<_>>()
    };
    assert_eq!(ids(1), ids(1), "nothing else is mixed in");
    let mut both = [ids(1), ids(2)].concat();
    both.sort_unstable();
    both.dedup();
    assert_eq!(both.len(), 2000);
}

#[test]
fn rfc8489_6_2_ten_requests_are_open_at_a_server_and_no_more() {
    let now = epoch();
    let mut client = client(StunConfig::default());
    for _ in 0..12 {
        client.bind(now, server_address(), BindingRequest::default());
    }
    client.bind(now, SocketAddr::new(server_address().ip(), 3479), BindingRequest::default());
    let begun = transmits(&mut client);
    let at_server = |transmit: &&Transmit| transmit.destination == server_address();
    assert_eq!(
        (begun.len(), begun.iter().filter(at_server).count()),
        (11, 10),
        "another server has its own ten"
    );
    assert_eq!(
        client.handle_input(now, server_address(), &told(&begun[3].payload, mapped())),
        Received::Consumed
    );
    assert_eq!(transmits(&mut client).len(), 1, "one has ended, one begins");
    let mut later = now;
    while let Some(at) = client.poll_timeout() {
        assert!(at >= later, "what waits has no deadline");
        later = at;
        client.handle_timeout(at);
        transmits(&mut client);
    }
    assert_eq!(events(&mut client).len(), 13);
}

#[test]
fn rfc8489_6_2_1_seven_requests_get_through_a_network_that_loses_half() {
    let start = epoch();
    let mut rng = rng();
    let mut client = client(StunConfig::default());
    let mapped_of = |port| SocketAddr::new(mapped().ip(), port);
    for _ in 0..200 {
        client.bind(start, server_address(), BindingRequest::default());
    }
    // Messages under way: the time of arrival and the bytes. Both directions lose a half, repeat a
    // tenth and take 1 to 900 ms.
    let mut network: Vec<(Duration, Vec<u8>)> = Vec::new();
    let (mut now, mut ended) = (start, Vec::new());
    loop {
        while let Some(transmit) = client.poll_transmit() {
            let copies = u32::from(rng.random_bool(0.25)) + u32::from(rng.random_bool(0.025));
            for _ in 0..copies {
                let delay = Duration::from_millis(rng.random_range(1..900));
                network.push((now + delay, told(&transmit.payload, mapped_of(rng.random()))));
            }
        }
        ended.extend(events(&mut client));
        let arrival = network
            .iter()
            .enumerate()
            .min_by_key(|(_, (at, _))| *at)
            .map(|(index, (at, _))| (index, *at));
        match (arrival, client.poll_timeout()) {
            (Some((index, at)), deadline) if deadline.is_none_or(|deadline| at <= deadline) => {
                let (at, bytes) = network.swap_remove(index);
                now = now.max(at);
                let _: Received<'_> = client.handle_input(now, server_address(), &bytes);
            }
            (_, Some(deadline)) => {
                now = now.max(deadline);
                client.handle_timeout(now);
            }
            _ => break,
        }
    }
    assert_eq!(ended.len(), 200, "each request ends with exactly one event");
    let mut ids: Vec<_> = ended.iter().map(|event| event.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 200);
    let lost = ended.iter().filter(|event| event.outcome == Err(Failure::TimedOut)).count();
    let answered = ended.iter().filter(|event| event.outcome.is_ok()).count();
    assert_eq!(lost + answered, 200);
    // One transmission gets through with probability 1/4: all seven fail for 13 % of the requests.
    assert!((10..50).contains(&lost), "{lost} of 200 lost");
    let repeated = |event: &BindingEvent| {
        event.outcome.as_ref().is_ok_and(|binding| binding.sent > 1 && binding.round_trip.is_some())
    };
    assert!(!ended.iter().any(repeated), "Karn: no round trip from a repeated request");
}

#[test]
fn rfc8489_6_2_1_the_measured_round_trip_is_the_next_rto() {
    let start = epoch();
    let mut client = client(StunConfig {
        timing: Timing { rto: Duration::from_millis(100), ..Timing::default() },
        ..StunConfig::default()
    });
    client.bind(start, server_address(), BindingRequest::default());
    let request = transmits(&mut client).remove(0).payload;
    let later = start + Duration::from_millis(80);
    assert_eq!(
        client.handle_input(later, server_address(), &told(&request, mapped())),
        Received::Consumed
    );
    client.bind(later, SocketAddr::new(server_address().ip(), 3479), BindingRequest::default());
    assert_eq!(
        client.poll_timeout(),
        Some(later + Duration::from_millis(80 + 4 * 40)),
        "the same address, another port"
    );
}

#[test]
fn rfc8489_6_2_2_a_failed_connection_ends_all_requests() {
    let now = epoch();
    let mut client = client(StunConfig { transport: Transport::Tcp, ..StunConfig::default() });
    client.bind(now, server_address(), BindingRequest::default());
    client.bind(now, server_address(), BindingRequest::default());
    client.handle_transport_error();
    let outcomes: Vec<_> = events(&mut client).into_iter().map(|event| event.outcome).collect();
    assert_eq!(outcomes, [Err(Failure::Transport), Err(Failure::Transport)]);
    assert_eq!(client.poll_timeout(), None);
}
