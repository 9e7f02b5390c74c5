//! H53: a process whose clients use up the descriptors still answers on the admin listener, loads a
//! new certificate and refuses cleanly.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use causeway_kit::port;
use causeway_tests::daemon::caller::Caller;
use causeway_tests::daemon::certificates::{Certificates, KeyKind};
use causeway_tests::daemon::service::{self, PASSWORD, Service, USER};

/// A limit that is too low for 65 allocations, or for 80 connections.
const OPEN_FILES: u32 = 80;
const LIMITS: &str =
    "[limits]\nallocations_per_user = 1000\nallocations_per_prefix = 1000\n[net]\nworkers = 2\n";
/// How many times the probes ask.
const PROBES: usize = 5;
const PATIENCE: Duration = Duration::from_secs(20);

fn turnd(more: &str, open_files: u32) -> Service {
    let address = loopback();
    Service::start_limited(
        "turnd",
        address,
        &service::turnd_config(address, "", &format!("{LIMITS}{more}")),
        open_files,
    )
}

fn stund() -> Service {
    let address = loopback();
    Service::start_limited(
        "stund",
        address,
        &format!("{}[net]\nworkers = 2\n", service::stund_config(address)),
        OPEN_FILES,
    )
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port::free()))
}

/// Checks that health and metrics are answered in time, whatever else is refused; the answer of
/// readiness.
fn answers(service: &Service) -> (u16, String) {
    let probe = |path| {
        service.probe(path).unwrap_or_else(|error| panic!("{path}: {error}\n{}", service.log()))
    };
    for _ in 0..PROBES {
        assert_eq!(probe("/healthz").0, 200);
        let (status, metrics) = probe("/metrics");
        // The last family of metrics.
        assert!(status == 200 && metrics.contains("_workers{"), "{metrics}");
        probe("/readyz");
    }
    probe("/readyz")
}

fn until_ready(service: &Service, status: u16) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (found, text) = answers(service);
        if found == status {
            return text;
        }
        assert!(Instant::now() < deadline, "/readyz says {text}");
    }
}

/// Connections of clients that send nothing, with those that are refused.
fn idle(server: SocketAddr) -> Vec<TcpStream> {
    (0..80).map(|_| TcpStream::connect(server).unwrap()).collect()
}

fn is_reset(mut stream: TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    stream.read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
}

fn allocations_take_no_last_descriptor(backend: &str) {
    let turnd = turnd(&format!("backend = \"{backend}\"\n"), OPEN_FILES);
    assert_eq!(answers(&turnd).0, 200);
    let allocate = || Caller::allocate(turnd.address, USER, PASSWORD);
    let (mut callers, refused): (Vec<_>, Vec<_>) =
        (0..70).map(|_| allocate()).partition(Result::is_ok);
    assert!(callers.len() > 10 && refused.len() > 10, "{} of 70", callers.len());
    for failure in refused.into_iter().filter_map(Result::err) {
        assert!(failure.to_string().contains("508"), "{failure}");
    }
    let reason = until_ready(&turnd, 503);
    assert!(
        reason.contains("no allocation can be made") && reason.contains("descriptors are free"),
        "{reason}"
    );
    assert_eq!(
        turnd.metric("turnd_client_descriptors{cause=\"relayed_socket\"}"),
        callers.len() as u64
    );
    assert_eq!(turnd.metric("turnd_client_descriptors_maximum"), callers.len() as u64);
    assert_eq!(
        turnd.metric("turnd_allocations_refused_total{cause=\"descriptor\"}"),
        70 - callers.len() as u64
    );
    // Clients with an allocation are served, and an allocation that ends makes room.
    for caller in callers.drain(..6) {
        caller.unwrap().close();
    }
    until_ready(&turnd, 200);
    let again: Vec<_> = (0..8).map(|_| allocate()).collect();
    assert_eq!(again.iter().filter(|one| one.is_ok()).count(), 6);
    for caller in callers.into_iter().chain(again).flatten() {
        caller.close();
    }
    turnd.until_metric("turnd_client_descriptors{cause=\"relayed_socket\"}", 0);
    turnd.end();
}

#[test]
fn h53_allocations_leave_descriptors_for_health_over_epoll() {
    allocations_take_no_last_descriptor("epoll");
}

#[test]
fn h53_allocations_leave_descriptors_for_health_over_io_uring() {
    allocations_take_no_last_descriptor("io_uring");
}

#[test]
fn h53_idle_connections_leave_descriptors_for_health_allocations_and_certificates() {
    let certificates = Certificates::make(KeyKind::Ecdsa);
    let table = certificates.table();
    let address = loopback();
    let config = service::turnd_config(address, "", &format!("{LIMITS}{table}"));
    let config = config.replace("[relay]\n", "transports = [\"udp\", \"tcp\", \"tls\"]\n[relay]\n");
    let turnd = Service::start_limited("turnd", address, &config, OPEN_FILES);
    let connections = idle(turnd.address);
    assert_eq!(answers(&turnd).0, 200, "{}", turnd.log());
    let open = turnd.metric("turnd_client_descriptors{cause=\"connection\"}");
    let refused = turnd.metric("turnd_client_descriptors_refused_total{cause=\"connection\"}");
    assert!(open > 10 && open + refused >= 80, "{open} are open, {refused} were refused");
    assert_eq!(turnd.metric("turnd_accept_exhausted_total"), 0);
    let caller = Caller::allocate(turnd.address, USER, PASSWORD)
        .expect("connections leave descriptors for allocations");
    certificates.replace_by(&Certificates::make(KeyKind::Ecdsa));
    turnd.signal("HUP");
    turnd.until_log("certificate replaced");
    caller.close();
    let refused =
        connections.into_iter().filter(|stream| is_reset(stream.try_clone().unwrap())).count();
    assert!(refused > 10, "only {refused} connections were reset");
    turnd.until_metric("turnd_client_descriptors{cause=\"connection\"}", 0);
    turnd.end();
}

#[test]
fn h53_idle_connections_to_stund_leave_descriptors_for_health() {
    let stund = stund();
    let connections = idle(stund.address);
    assert_eq!(answers(&stund).0, 200, "{}", stund.log());
    assert!(stund.metric("stund_client_descriptors_refused_total{cause=\"connection\"}") > 10);
    assert_eq!(stund.metric("stund_accept_exhausted_total"), 0);
    drop(connections);
    stund.until_metric("stund_client_descriptors{cause=\"connection\"}", 0);
    stund.end();
}

#[test]
fn h53_the_start_logs_the_limit_and_the_remedy() {
    let small = turnd("", 256);
    small.until_log(": ready workers=");
    let log = small.log();
    assert!(
        log.contains("open files")
            && log.contains("limit=256")
            && log.contains("room_for_clients="),
        "{log}"
    );
    assert!(
        log.contains("relay.ports and limits.tcp_connections allow more sockets")
            && log.contains("LimitNOFILE="),
        "{log}"
    );
    small.end();
    let address = loopback();
    let config = service::turnd_config(address, "", &format!("{LIMITS}[limits.x]\n"))
        .replace("[limits.x]\n", "");
    let fits = config
        .replace("[relay]\n", "[relay]\nports = \"50000-50063\"\n")
        .replace("[limits]\n", "[limits]\ntcp_connections = 32\n");
    let fitting = Service::start_limited("turnd", address, &fits, 256);
    fitting.until_log(": ready workers=");
    assert!(!fitting.log().contains("allow more sockets"), "{}", fitting.log());
    fitting.end();
    for (name, config) in [("turnd", config), ("stund", service::stund_config(address))] {
        let (status, log) = Service::refused_limited(name, &config, Some(24));
        assert!(!status.success() && log.contains("24"), "{log}");
        assert!(log.contains("LimitNOFILE="), "{name}: {log}");
    }
}
