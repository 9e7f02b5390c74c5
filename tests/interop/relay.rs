//! The running daemon's own business: families, workers, limits that span them, peers that fail,
//! metrics.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use causeway_wire::ErrorCode;
use causeway_wire::attribute::AddressFamily;

use crate::bad_input::code;
use causeway_kit::port;
use causeway_tests::daemon::caller::Caller;
use causeway_tests::daemon::echo::Echo;
use causeway_tests::daemon::service::{self, PASSWORD, Service, USER};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ALLOW: &str = r#""allow 127.0.0.1", "allow ::1""#;
const PATIENCE: Duration = Duration::from_secs(5);

fn allocate(turnd: &Service) -> Caller {
    Caller::allocate(turnd.address, USER, PASSWORD).expect("the password is right")
}

#[test]
fn ipv4_and_ipv6_clients_have_relayed_addresses_of_either_family() {
    let more = format!("[[listen]]\naddress = \"[::1]:{}\"\n", port::free());
    let six: SocketAddr =
        more.split('"').nth(1).expect("it stands in quotes").parse().expect("an address");
    let turnd = service::turnd_with_relays(r#""127.0.0.1", "::1""#, ALLOW, &more);
    for server in [turnd.address, six] {
        for (family, ip) in
            [(AddressFamily::Ipv4, LOCALHOST), (AddressFamily::Ipv6, Ipv6Addr::LOCALHOST.into())]
        {
            let echo = Echo::start_on(ip);
            let mut caller = Caller::allocate_of(Some(family), server, USER, PASSWORD)
                .expect("both families are there");
            assert_eq!(caller.relayed().ip(), ip);
            caller.permit(ip).expect("a rule allows it");
            assert!(
                caller.round_trip(echo.address, b"by indication", PATIENCE),
                "{server} to {ip}:\n{}",
                turnd.log()
            );
            caller.bind(echo.address).expect("a rule allows it");
            assert!(
                caller.round_trip(echo.address, b"by channel", PATIENCE),
                "{server} to {ip}:\n{}",
                turnd.log()
            );
            caller.close();
        }
    }
    turnd.end();
}

#[test]
fn every_worker_serves_its_clients_and_each_reaches_the_others() {
    let turnd = service::turnd(ALLOW, "[net]\nworkers = 4\n[limits]\nallocations_per_user = 40\n");
    let mut callers: Vec<Caller> = (0..16).map(|_| allocate(&turnd)).collect();
    for caller in &mut callers {
        caller.permit(LOCALHOST).expect("a rule allows it");
    }
    // A ring: with sixteen clients on four workers, most neighbours are not of one worker.
    for at in 0..callers.len() {
        let (before, after) = callers.split_at_mut(at.max(1));
        let (caller, callee) = if at == 0 {
            (&mut before[0], &mut after[0])
        } else {
            (&mut after[0], &mut before[at - 1])
        };
        assert!(caller.reaches(callee, b"across"), "{at}:\n{}", turnd.log());
    }
    callers.into_iter().for_each(Caller::close);
    turnd.end();
}

#[test]
fn h30_a_users_quota_spans_the_workers_and_comes_back() {
    let turnd = service::turnd(ALLOW, "[net]\nworkers = 4\n[limits]\nallocations_per_user = 5\n");
    for _ in 0..2 {
        let callers: Vec<Caller> = (0..5).map(|_| allocate(&turnd)).collect();
        for _ in 0..4 {
            let refused = Caller::allocate(turnd.address, USER, PASSWORD).err();
            assert_eq!(code(refused), Some(ErrorCode::ALLOCATION_QUOTA_REACHED), "{}", turnd.log());
        }
        callers.into_iter().for_each(Caller::close);
    }
    turnd.end();
}

#[test]
fn h33_a_source_prefix_has_its_cap() {
    let turnd = service::turnd(ALLOW, "[net]\nworkers = 1\n[limits]\nallocations_per_prefix = 3\n");
    let callers: Vec<Caller> = (0..3).map(|_| allocate(&turnd)).collect();
    let refused = Caller::allocate(turnd.address, USER, PASSWORD).err();
    assert_eq!(code(refused), Some(ErrorCode::ALLOCATION_QUOTA_REACHED), "{}", turnd.log());
    callers.into_iter().for_each(Caller::close);
    allocate(&turnd).close();
    turnd.end();
}

#[test]
fn all_ports_lent_is_508_and_they_come_back() {
    let turnd = service::turnd_with_ports("40000-40003", ALLOW, "[net]\nworkers = 2\n");
    for _ in 0..2 {
        let callers: Vec<Caller> = (0..4).map(|_| allocate(&turnd)).collect();
        let refused = Caller::allocate(turnd.address, USER, PASSWORD).err();
        assert_eq!(code(refused), Some(ErrorCode::INSUFFICIENT_CAPACITY), "{}", turnd.log());
        callers.into_iter().for_each(Caller::close);
    }
    turnd.end();
}

#[test]
fn h38_a_peer_that_is_not_there_harms_no_other() {
    let turnd = service::turnd(ALLOW, "");
    let echo = Echo::start();
    let closed = UdpSocket::bind((LOCALHOST, 0))
        .and_then(|socket| socket.local_addr())
        .expect("some port is free");
    let mut caller = allocate(&turnd);
    caller.permit(LOCALHOST).expect("a rule allows it");
    for round in 0..20u8 {
        // Each is answered by ICMP, which the kernel reports to whatever the socket does next.
        caller.tell(closed, b"hello?");
        assert!(
            caller.round_trip(echo.address, &[round; 100], PATIENCE),
            "round {round}:\n{}",
            turnd.log()
        );
    }
    caller.close();
    turnd.end();
}

#[test]
fn h39_what_is_deleted_relays_no_more() {
    let turnd = service::turnd(ALLOW, "");
    let mut caller = allocate(&turnd);
    caller.permit(LOCALHOST).expect("a rule allows it");
    let relayed = caller.relayed();
    caller.close();
    // The relayed socket closes with the batch that the answer leaves in.
    let deadline = Instant::now() + Duration::from_millis(500);
    while let Err(error) = UdpSocket::bind(relayed) {
        assert!(Instant::now() < deadline, "{relayed} is still relayed from: {error}");
        thread::sleep(Duration::from_millis(1));
    }
    turnd.end();
}

#[test]
fn a_connection_that_ends_takes_its_allocation_with_it() {
    let turnd = service::turnd(ALLOW, "[limits]\ntcp_unauthenticated_timeout = \"2s\"\n");
    let idle = TcpStream::connect(turnd.address).expect("it listens");
    thread::sleep(Duration::from_millis(100));
    assert_eq!(turnd.metric("turnd_streams_open"), 1);
    drop(idle);
    turnd.until_metric("turnd_streams_open", 0);
    // H14: and one that never logs in is closed.
    let mut silent = TcpStream::connect(turnd.address).expect("it listens");
    silent.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
    assert_eq!(silent.read(&mut [0; 16]).expect("an orderly end"), 0);
    turnd.end();
}

#[test]
fn h14_connections_are_capped_in_all_and_by_prefix() {
    for limit in ["tcp_connections = 3", "tcp_connections_per_prefix = 3"] {
        let turnd = service::turnd(ALLOW, &format!("[limits]\n{limit}\n"));
        // The kit's own connection, which checked that the server listens, has to be closed first:
        // it counts, too.
        turnd.until_metric("turnd_streams_closed_total", 1);
        let mut streams: Vec<TcpStream> =
            (0..3).map(|_| TcpStream::connect(turnd.address).expect("it listens")).collect();
        turnd.until_metric("turnd_streams_open", 3);
        let mut fourth = TcpStream::connect(turnd.address).expect("the kernel accepts it");
        fourth.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        assert!(
            fourth.read(&mut [0; 16]).map_or(true, |length| length == 0),
            "the fourth stays under {limit}"
        );
        streams.pop();
        turnd.until_metric("turnd_streams_open", 2);
        TcpStream::connect(turnd.address)
            .and_then(|mut stream| stream.write_all(&[0]))
            .expect("there is room again");
        turnd.end();
    }
}

#[test]
fn metrics_tell_what_was_relayed_and_why_something_was_not() {
    let turnd = service::turnd(ALLOW, "");
    let echo = Echo::start();
    let mut caller = allocate(&turnd);
    let free = turnd.metric("turnd_relay_ports_free{family=\"ipv4\"}");
    caller.permit(LOCALHOST).expect("a rule allows it");
    caller.bind(echo.address).expect("a rule allows it");
    assert!(caller.round_trip(echo.address, &[7; 100], PATIENCE));
    for (name, value) in [
        ("turnd_allocations{transport=\"udp\",family=\"ipv4\"}", 1),
        ("turnd_permissions", 1),
        ("turnd_channels", 1),
        ("turnd_users", 1),
        ("turnd_relayed_packets_total{direction=\"to_peer\",transport=\"udp\"}", 1),
        ("turnd_relayed_bytes_total{direction=\"to_peer\",transport=\"udp\"}", 100),
        ("turnd_relayed_bytes_total{direction=\"to_client\",transport=\"udp\"}", 100),
        ("turnd_stun_errors_total{code=\"401\"}", 1),
        ("turnd_discarded_total{cause=\"not_stun\"}", 0),
    ] {
        assert_eq!(turnd.metric(name), value, "{name}");
    }
    let stranger = UdpSocket::bind((LOCALHOST, 0)).expect("some port is free");
    stranger.send_to(&[0xFF; 40], turnd.address).expect("loopback takes it");
    turnd.until_metric("turnd_discarded_total{cause=\"not_stun\"}", 1);
    caller.close();
    turnd.until_metric("turnd_allocations_ended_total{reason=\"released\"}", 1);
    assert_eq!(turnd.metric("turnd_relay_ports_free{family=\"ipv4\"}"), free + 1);
    turnd.end();
}
