//! H53: half requests do not keep probes out of the admin listener of the real programs.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use causeway_tests::daemon::service::{Service, stund_with_one_address, turnd};

/// Number of half requests at a time; each is sent again when its connection is closed.
const HALF_REQUESTS: usize = 64;
const PROBES: usize = 5;

/// Holds a connection with half a request, and reconnects whenever it is closed.
fn hold(admin: SocketAddr, end: &AtomicBool, made: &AtomicUsize) {
    while !end.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect(admin) else { continue };
        made.fetch_add(1, Ordering::Relaxed);
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        if stream.write_all(b"GET /healthz HTTP/1.1\r\nHost:").is_err() {
            continue;
        }
        while !end.load(Ordering::Relaxed) {
            match stream.read(&mut [0; 64]) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                _ => break,
            }
        }
    }
}

fn half_requests_fail_no_probe(service: &Service) {
    let (end, made) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..HALF_REQUESTS {
            scope.spawn(|| hold(service.admin, &end, &made));
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        while made.load(Ordering::Relaxed) < HALF_REQUESTS && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        let probes: Vec<_> = (0..PROBES)
            .flat_map(|_| ["/healthz", "/readyz", "/metrics"])
            .map(|path| service.probe(path))
            .collect();
        end.store(true, Ordering::Relaxed);
        for probe in probes {
            assert_eq!(probe.expect("an answer in two seconds").0, 200);
        }
    });
    assert!(service.descriptors() < 100, "closed connections are closed");
}

#[test]
fn h53_half_requests_fail_no_probe_of_turnd() {
    let turnd = turnd("", "");
    half_requests_fail_no_probe(&turnd);
    turnd.end();
}

#[test]
fn h53_half_requests_fail_no_probe_of_stund() {
    let stund = stund_with_one_address();
    half_requests_fail_no_probe(&stund);
    stund.end();
}
