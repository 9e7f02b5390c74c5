//! What goes wrong in the world, against the real binaries: the right error, and nothing lost for a
//! good client meanwhile.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use causeway_client::Failure;
use causeway_wire::attribute::{ErrorCodeAttribute, UnknownAttributes};
use causeway_wire::stream::MAX_FRAME_LEN;
use causeway_wire::{Class, ErrorCode, Message, Method};

use crate::junk;
use causeway_kit::port;
use causeway_tests::daemon::caller::Caller;
use causeway_tests::daemon::echo::Echo;
use causeway_tests::daemon::service::{self, PASSWORD, Service, USER};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Maximum growth of a service's memory at the end: pages that the allocator keeps.
const KEPT_KIB: u64 = 4 * 1024;

#[test]
fn an_unknown_key_is_named_with_the_one_that_was_meant() {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
    let config = service::turnd_config(address, "", "[limits]\nallocations_per_usr = 3\n");
    let (status, said) = Service::refused("turnd", &config);
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(
        said.contains("allocations_per_usr") && said.contains("allocations_per_user"),
        "{said}"
    );

    let config =
        format!("[[listen]]\naddress = \"{address}\"\n[nat_discovry]\nalternate_port = 3479\n");
    let (status, said) = Service::refused("stund", &config);
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("nat_discovry") && said.contains("nat_discovery"), "{said}");
}

#[test]
fn a_port_in_use_is_named() {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
    let taken = UdpSocket::bind(address).expect("it is free");
    refused_by_name("turnd", address, &service::turnd_config(address, "", ""));
    refused_by_name("stund", address, &service::stund_config(address));

    drop(taken);

    let _taken = TcpListener::bind(address).expect("it is free again");
    refused_by_name("turnd", address, &service::turnd_config(address, "", ""));
    refused_by_name("stund", address, &service::stund_config(address));
}

fn refused_by_name(name: &'static str, address: SocketAddr, config: &str) {
    let (status, said) = Service::refused(name, config);
    assert!(!status.success() && status.code().is_some(), "{status}: {said}");
    assert!(said.contains(&address.to_string()), "{name} does not name {address}:\n{said}");
}

#[test]
fn a_wrong_password_is_401_and_a_user_who_is_unknown_too() {
    let turnd = service::turnd("", "");
    for (user, password) in [(USER, "not it"), ("stranger", PASSWORD)] {
        let refused = Caller::allocate(turnd.address, user, password).err();
        assert_eq!(code(refused), Some(ErrorCode::UNAUTHENTICATED), "{user}: {}", turnd.log());
    }
    assert!(
        !turnd.log().contains("not it") && !turnd.log().contains(PASSWORD),
        "a password is in the log:\n{}",
        turnd.log()
    );
    turnd.end();
}

#[test]
fn h2_a_peer_on_loopback_is_403_unless_a_rule_allows_it() {
    let turnd = service::turnd("", "");
    let mut caller =
        Caller::allocate(turnd.address, USER, PASSWORD).expect("the password is right");
    let elsewhere = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));
    assert_eq!(code(caller.permit(elsewhere).err()), Some(ErrorCode::FORBIDDEN), "{}", turnd.log());
    assert_eq!(
        code(caller.bind((elsewhere, 9).into()).err()),
        Some(ErrorCode::FORBIDDEN),
        "{}",
        turnd.log()
    );
    assert_eq!(
        code(caller.bind((LOCALHOST, 9).into()).err()),
        Some(ErrorCode::FORBIDDEN),
        "{}",
        turnd.log()
    );
    caller.close();
    turnd.end();
}

#[test]
fn h8_two_clients_of_one_relay_reach_each_other() {
    // A relay on loopback makes no peer of it (H2): the rule does.
    let turnd = service::turnd(r#""allow 127.0.0.1""#, "");
    let mut caller =
        Caller::allocate(turnd.address, USER, PASSWORD).expect("the password is right");
    let mut callee =
        Caller::allocate(turnd.address, USER, PASSWORD).expect("the password is right");
    caller.permit(LOCALHOST).expect("the relay's own address is allowed");
    callee.permit(LOCALHOST).expect("the relay's own address is allowed");
    assert!(caller.reaches(&mut callee, b"hello"), "{}", turnd.log());
    caller.close();
    callee.close();
    turnd.end();
}

#[test]
fn h5_the_servers_own_listener_is_no_peer_whatever_the_rules_allow() {
    let turnd = service::turnd(r#""allow 127.0.0.1""#, "");
    let mut caller =
        Caller::allocate(turnd.address, USER, PASSWORD).expect("the password is right");
    assert_eq!(
        code(caller.bind(turnd.address).err()),
        Some(ErrorCode::FORBIDDEN),
        "{}",
        turnd.log()
    );
    caller.close();
    turnd.end();
}

#[test]
fn half_a_frame_is_dropped_with_its_connection_and_harms_nobody() {
    let turnd =
        service::turnd(r#""allow 127.0.0.1""#, "[limits]\ntcp_unauthenticated_timeout = \"2s\"\n");
    unharmed(&turnd, || {
        // A header that announces 64 KiB, and not a byte of them; and half a header.
        let frame = junk::request(Method::BINDING.number(), 0x8fff, MAX_FRAME_LEN);
        let mut streams: Vec<TcpStream> =
            (0..50).map(|_| TcpStream::connect(turnd.address).expect("it listens")).collect();
        for (number, stream) in streams.iter_mut().enumerate() {
            let part = if number % 2 == 0 { &frame[..20] } else { &frame[..7] };
            stream.write_all(part).expect("it reads");
        }
        for stream in &mut streams {
            assert!(
                ends_within(stream, Duration::from_secs(10)),
                "half a frame is kept:\n{}",
                turnd.log()
            );
        }
    });
    turnd.end();
}

#[test]
fn h15_64_kib_of_junk_are_answered_and_harm_nobody() {
    let turnd = service::turnd(r#""allow 127.0.0.1""#, "");
    let (stund, _) = service::stund();
    unharmed(&turnd, || {
        for server in [turnd.address, stund.address] {
            for _ in 0..50 {
                junk_over_udp(server);
                junk_over_tcp(server);
            }
        }
    });
    turnd.end();
    stund.end();
}

/// The largest datagram that loopback carries: unknown attributes that must be understood, and
/// unknown ones that need not be.
fn junk_over_udp(server: SocketAddr) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("some port is free");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout can be set");
    let mut answer = [0; 2_048];
    for (attribute, expected) in [(0x7fff, Class::ErrorResponse), (0xffff, Class::SuccessResponse)]
    {
        socket
            .send_to(&junk::request(Method::BINDING.number(), attribute, 65_500), server)
            .expect("loopback takes it");
        match socket.recv(&mut answer) {
            Ok(length) => assert_answer(&answer[..length], expected),
            // Silence is right too: no client needs a request of this length.
            Err(error) => assert!(
                matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
                "{error}"
            ),
        }
    }
}

fn junk_over_tcp(server: SocketAddr) {
    let mut stream = TcpStream::connect(server).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout can be set");
    for (attribute, expected) in [(0x7fff, Class::ErrorResponse), (0xffff, Class::SuccessResponse)]
    {
        stream
            .write_all(&junk::request(Method::BINDING.number(), attribute, MAX_FRAME_LEN))
            .expect("it reads");
        let mut answer = vec![0; 20];
        stream.read_exact(&mut answer).expect("a frame is answered, or the connection closed");
        let body = usize::from(u16::from_be_bytes([answer[2], answer[3]]));
        answer.resize(20 + body, 0);
        stream.read_exact(&mut answer[20..]).expect("the answer is whole");
        assert_answer(&answer, expected);
    }
    // What cannot be a frame is not waited for.
    stream.write_all(&[0, 1, 0xff, 0xff]).expect("it reads");
    assert!(
        ends_within(&mut stream, Duration::from_secs(5)),
        "a length that is no multiple of four is waited for"
    );
}

fn assert_answer(bytes: &[u8], expected: Class) {
    let answer = Message::decode(bytes).expect("the answer is STUN");
    assert_eq!(answer.class(), expected);
    if expected == Class::ErrorResponse {
        let error = answer
            .attribute::<ErrorCodeAttribute<'_>>()
            .expect("well-formed")
            .expect("an error has a code");
        assert_eq!(error.code, ErrorCode::UNKNOWN_ATTRIBUTE);
        assert!(answer.attribute::<UnknownAttributes<'_>>().expect("well-formed").is_some());
        assert!(bytes.len() < 600, "{} bytes of answer", bytes.len());
    }
}

/// Does the harm while a good client calls, and looks at the server before and after.
fn unharmed(turnd: &Service, harm: impl FnOnce()) {
    let echo = Echo::start();
    let mut caller =
        Caller::allocate(turnd.address, USER, PASSWORD).expect("the password is right");
    caller.permit(LOCALHOST).expect("a rule allows it");
    caller.bind(echo.address).expect("a rule allows it");
    assert!(caller.round_trip(echo.address, b"warm", Duration::from_secs(5)));
    let (resident, descriptors) = (turnd.resident(), turnd.descriptors());
    let over = AtomicBool::new(false);
    let lost = thread::scope(|scope| {
        let calling = scope.spawn(|| call_until(&over, &mut caller, echo.address));
        // Also when the harm panics, or the scope would wait for ever.
        let _end = EndCall(&over);
        harm();
        over.store(true, Ordering::Relaxed);
        calling.join().expect("the good client calls to the end")
    });
    assert_eq!(lost, Vec::<u32>::new(), "round trips lost while it happened:\n{}", turnd.log());
    caller.close();
    let deadline = Instant::now() + Duration::from_secs(10);
    while turnd.resident() > resident + KEPT_KIB || turnd.descriptors() > descriptors {
        let now = (turnd.resident(), turnd.descriptors());
        assert!(
            Instant::now() < deadline,
            "KiB and descriptors: {now:?}, before: {:?}",
            (resident, descriptors)
        );
        thread::sleep(Duration::from_millis(100));
    }
}

struct EndCall<'a>(&'a AtomicBool);

impl Drop for EndCall<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A packet each 20 ms, as a call has them; the numbers of those that did not come back within a
/// second.
fn call_until(over: &AtomicBool, caller: &mut Caller, peer: SocketAddr) -> Vec<u32> {
    let mut lost = Vec::new();
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        let mut packet = [0x5a; 160];
        packet[..4].copy_from_slice(&u32::to_be_bytes(number));
        if !caller.round_trip(peer, &packet, Duration::from_secs(1)) {
            lost.push(number);
        }
        number += 1;
        thread::sleep(Duration::from_millis(20));
    }
    lost
}

fn ends_within(stream: &mut TcpStream, limit: Duration) -> bool {
    stream.set_read_timeout(Some(limit)).expect("a timeout can be set");
    match stream.read(&mut [0; 64]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

pub(crate) fn code(failure: Option<Failure>) -> Option<ErrorCode> {
    match failure? {
        Failure::Refused(refusal) => Some(refusal.code),
        other => panic!("{other}"),
    }
}
