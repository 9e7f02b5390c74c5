//! A TURN server that answers as it is told, and the clock of virtual time.

use std::net::SocketAddr;
use std::time::Duration;

use causeway_auth::Key;
use causeway_client::{Credentials, Event, Received, Transmit, Transport, TurnClient, TurnConfig};
use causeway_wire::attribute::{
    ErrorCodeAttribute, Lifetime, Nonce, Realm, Username, XorMappedAddress, XorRelayedAddress,
};
use causeway_wire::{Class, ErrorCode, IntegrityKey, Message, MessageWriter, Method};
use rand::SeedableRng;
use rand::rngs::StdRng;

pub(crate) const REALM: &str = "example.org";
pub(crate) const PASSWORD: &str = "s3cret";

pub(crate) fn server_address() -> SocketAddr {
    "192.0.2.1:3478".parse().unwrap()
}

pub(crate) fn relayed() -> SocketAddr {
    "198.51.100.1:50000".parse().unwrap()
}

pub(crate) fn mapped() -> SocketAddr {
    "203.0.113.9:4242".parse().unwrap()
}

pub(crate) fn peer() -> SocketAddr {
    "203.0.113.7:7000".parse().unwrap()
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The beginning of virtual time.
pub(crate) fn epoch() -> Duration {
    Duration::from_secs(1_000)
}

pub(crate) fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

pub(crate) fn key() -> IntegrityKey {
    Key::long_term_md5("anna", REALM, PASSWORD).integrity_key()
}

pub(crate) fn turn_client(transport: Transport) -> TurnClient {
    let credentials = Credentials::new("anna", PASSWORD);
    TurnClient::new(TurnConfig::new(server_address(), transport, Some(credentials)), rng())
}

/// An answer to `request`, with what `fill` puts into it.
pub(crate) fn answer(
    request: &[u8],
    class: Class,
    fill: impl FnOnce(&mut MessageWriter<'_>),
) -> Vec<u8> {
    let request = Message::decode(request).unwrap();
    let mut bytes = vec![0; 2048];
    let mut writer = MessageWriter::answer(&mut bytes, request.header(), class).unwrap();
    fill(&mut writer);
    let len = writer.finish();
    bytes.truncate(len);
    bytes
}

pub(crate) fn error(
    request: &[u8],
    code: ErrorCode,
    fill: impl FnOnce(&mut MessageWriter<'_>),
) -> Vec<u8> {
    answer(request, Class::ErrorResponse, |writer| {
        writer.put(&ErrorCodeAttribute::new(code)).unwrap();
        fill(writer);
    })
}

/// 401 or 438 with a nonce.
pub(crate) fn challenge(request: &[u8], code: ErrorCode, nonce: &str) -> Vec<u8> {
    error(request, code, |writer| {
        writer.put(&Realm(REALM)).unwrap().put(&Nonce(nonce)).unwrap();
    })
}

/// The success response of a server.
pub(crate) fn success(request: &[u8]) -> Vec<u8> {
    success_signed(request, |writer| {
        writer.integrity(&key()).unwrap();
    })
}

/// The same with an integrity of the caller's.
pub(crate) fn success_signed(request: &[u8], sign: impl FnOnce(&mut MessageWriter<'_>)) -> Vec<u8> {
    let decoded = Message::decode(request).unwrap();
    answer(request, Class::SuccessResponse, |writer| {
        let lifetime = match decoded.attribute::<Lifetime>().unwrap() {
            Some(Lifetime(0)) => Lifetime(0),
            _ => Lifetime(600),
        };
        match decoded.method() {
            Method::ALLOCATE => {
                writer
                    .put(&XorRelayedAddress(relayed()))
                    .unwrap()
                    .put(&XorMappedAddress(mapped()))
                    .unwrap()
                    .put(&lifetime)
                    .unwrap();
            }
            Method::REFRESH => {
                writer.put(&lifetime).unwrap();
            }
            _ => {}
        }
        sign(writer);
    })
}

/// A server with one nonce that checks credentials and grants everything else.
pub(crate) fn honest(request: &[u8]) -> Vec<u8> {
    let decoded = Message::decode(request).unwrap();
    assert_eq!(decoded.class(), Class::Request);
    if !decoded.has_integrity() {
        return challenge(request, ErrorCode::UNAUTHENTICATED, "nonce-1");
    }
    assert_eq!(decoded.attribute::<Username<'_>>().unwrap().unwrap().0, "anna");
    assert_eq!(decoded.attribute::<Realm<'_>>().unwrap().unwrap().0, REALM);
    assert!(decoded.verify_integrity(&key()));
    success(request)
}

/// All messages that the client sends now.
pub(crate) fn sent(client: &mut TurnClient) -> Vec<Transmit> {
    std::iter::from_fn(|| client.poll_transmit()).collect()
}

pub(crate) fn events(client: &mut TurnClient) -> Vec<Event> {
    std::iter::from_fn(|| client.poll_event()).collect()
}

/// Lets the client and `serve` talk at `now` until both are silent; how many requests there were of
/// each method.
pub(crate) fn talk(
    client: &mut TurnClient,
    now: Duration,
    mut serve: impl FnMut(&[u8]) -> Vec<u8>,
) -> Vec<Method> {
    let mut methods = Vec::new();
    while let Some(transmit) = client.poll_transmit() {
        assert_eq!(transmit.destination, server_address());
        methods.push(Message::decode(&transmit.payload).unwrap().method());
        let bytes = serve(&transmit.payload);
        if !bytes.is_empty() {
            let _: Received<'_> = client.handle_input(now, server_address(), &bytes);
        }
        assert!(methods.len() < 100, "an endless conversation");
    }
    methods
}

/// Runs virtual time until `end` against `serve`; the requests with their times in seconds.
pub(crate) fn run(
    client: &mut TurnClient,
    start: Duration,
    end: Duration,
    mut serve: impl FnMut(&[u8]) -> Vec<u8>,
) -> Vec<(u64, Method)> {
    let mut log = Vec::new();
    while let Some(now) = client.poll_timeout().filter(|at| *at <= end) {
        client.handle_timeout(now);
        log.extend(
            talk(client, now, &mut serve)
                .into_iter()
                .map(|method| ((now - start).as_secs(), method)),
        );
        assert!(log.len() < 1000, "an endless conversation");
    }
    client.handle_timeout(end);
    log
}

/// A client with an allocation.
pub(crate) fn allocated(transport: Transport, now: Duration) -> TurnClient {
    let mut client = turn_client(transport);
    client.allocate(now).unwrap();
    talk(&mut client, now, honest);
    assert!(matches!(events(&mut client)[..], [Event::Allocated(_)]));
    client
}
