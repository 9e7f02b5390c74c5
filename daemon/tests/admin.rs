//! The admin listener over real connections on loopback.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use causeway_daemon::admin::{Admin, AdminSchema, AdminSettings, Health, heartbeat_problem};
use causeway_daemon::config::Secret;
use causeway_daemon::metrics::{Family, Format, Registry, Samples};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ALLOCATIONS: Family = Family::gauge("allocations", "Allocations that live");

/// A service with one worker that can be stopped.
#[derive(Default)]
struct Worker {
    stuck: AtomicBool,
    draining: AtomicBool,
}

impl Health for Worker {
    fn health(&self) -> Result<(), String> {
        let age = if self.stuck.load(Ordering::Relaxed) {
            Duration::from_secs(5)
        } else {
            Duration::from_secs(1)
        };
        heartbeat_problem([Duration::ZERO, age])
    }

    fn readiness(&self) -> Result<(), String> {
        if self.draining.load(Ordering::Relaxed) { Err("draining".into()) } else { Ok(()) }
    }
}

/// A served admin listener; it ends with the test's runtime.
struct Served {
    address: std::net::SocketAddr,
    worker: Arc<Worker>,
}

impl Served {
    async fn start(token: Option<&str>) -> Self {
        let listen = Some("127.0.0.1:0".parse().unwrap());
        let admin = Admin::bind(&AdminSettings { listen, token: token.map(Secret::new) }, false)
            .unwrap()
            .unwrap();
        let address = admin.local_addr().unwrap();
        let worker = Arc::new(Worker::default());
        let metrics = Registry::new(
            "turnd",
            "0.1.0",
            vec![Box::new(|samples: &mut Samples| samples.add(&ALLOCATIONS, &[], 7))],
        );
        tokio::spawn(admin.serve(worker.clone(), metrics));
        Served { address, worker }
    }

    /// Sends `request` as it stands and returns all that comes back until the server closes.
    async fn exchange(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The server may answer and close before it has read all of a request that is too long.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    async fn call(&self, method: &str, path: &str, headers: &str) -> String {
        self.exchange(
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").as_bytes(),
        )
        .await
    }

    async fn status(&self, method: &str, path: &str, headers: &str) -> u16 {
        let answer = self.call(method, path, headers).await;
        answer
            .split(' ')
            .nth(1)
            .unwrap_or_else(|| panic!("no status in {answer:?}"))
            .parse()
            .unwrap()
    }
}

#[tokio::test]
async fn metrics_are_classic_text_or_open_metrics_by_accept() {
    let served = Served::start(None).await;
    let prometheus = "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2\r\n";
    for (headers, format) in [
        ("", Format::Classic),
        ("Accept: */*\r\n", Format::Classic),
        (prometheus, Format::OpenMetrics),
    ] {
        let answer = served.call("GET", "/metrics", headers).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(
            answer.to_lowercase().contains(&format!("content-type: {}\r\n", format.content_type())),
            "{answer}"
        );
        assert!(answer.contains("\nturnd_allocations 7\n"), "{answer}");
        assert_eq!(answer.ends_with("# EOF\n"), format == Format::OpenMetrics, "{answer}");
    }
}

#[tokio::test]
async fn health_fails_when_a_heartbeat_is_five_seconds_old() {
    let served = Served::start(None).await;
    assert_eq!(served.status("GET", "/healthz", "").await, 200);
    served.worker.stuck.store(true, Ordering::Relaxed);
    let answer = served.call("GET", "/healthz", "").await;
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("worker 1 has not moved for 5 s"),
        "{answer}"
    );
    assert_eq!(served.status("GET", "/readyz", "").await, 200, "readiness is another question");
}

#[tokio::test]
async fn readiness_is_told_with_its_reason() {
    let served = Served::start(None).await;
    served.worker.draining.store(true, Ordering::Relaxed);
    let answer = served.call("GET", "/readyz", "").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.ends_with("draining\n"), "{answer}");
    assert_eq!(served.status("GET", "/healthz", "").await, 200);
}

#[tokio::test]
async fn h41_every_call_asks_for_the_token() {
    let served = Served::start(Some("correct horse")).await;
    for path in ["/metrics", "/healthz", "/readyz", "/", "/nothing"] {
        let answer = served.call("GET", path, "").await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{path}: {answer}");
        assert!(answer.to_lowercase().contains("www-authenticate: bearer"), "{path}: {answer}");
        assert!(!answer.contains("allocations"), "{path}: {answer}");
    }
    for wrong in [
        "Bearer",
        "Bearer ",
        "Bearer correct hors",
        "Bearer correct horsf",
        "Bearer correct horse ",
        "Basic correct horse",
    ] {
        let status =
            served.status("GET", "/metrics", &format!("Authorization: {wrong}x\r\n")).await;
        assert_eq!(status, 401, "{wrong}");
    }
    for right in ["Bearer correct horse", "bearer correct horse"] {
        assert_eq!(
            served.status("GET", "/metrics", &format!("Authorization: {right}\r\n")).await,
            200,
            "{right}"
        );
    }
    assert_eq!(
        served.status("GET", "/metrics?token=correct+horse", "").await,
        401,
        "no token from the query"
    );
}

#[test]
fn h41_other_addresses_than_loopback_need_a_token() {
    let resolve = |toml: &str| toml::from_str::<AdminSchema>(toml).unwrap().resolve();
    let loopback = resolve("listen = \"127.0.0.1:9641\"").unwrap();
    assert_eq!(loopback.listen, Some("127.0.0.1:9641".parse().unwrap()));
    assert!(loopback.token.is_none());
    for address in ["0.0.0.0:1", "10.0.0.1:1", "[::]:1", "[::ffff:10.0.0.1]:1"] {
        let problems = resolve(&format!("listen = \"{address}\"")).unwrap_err();
        assert_eq!(problems[0].key, "admin.listen", "{address}");
        assert!(
            resolve(&format!("listen = \"{address}\"\ntoken = \"t\"")).unwrap().token.is_some()
        );
        resolve(&format!("listen = \"{address}\"\ntoken = \"\""))
            .expect_err("an empty token is none");
    }
    assert_eq!(resolve("listen = \"off\"").unwrap().listen, None);
}

#[tokio::test]
async fn h41_no_call_takes_a_path_or_changes_anything() {
    let served = Served::start(None).await;
    for path in [
        "/",
        "/metrics/",
        "/metrics/../../etc/passwd",
        "/%2e%2e/etc/passwd",
        "/healthz/x",
        "/drain",
        "//metrics",
    ] {
        assert_eq!(served.status("GET", path, "").await, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        for path in ["/metrics", "/healthz", "/readyz"] {
            let answer = served.call(method, path, "Content-Length: 0\r\n").await;
            assert!(answer.starts_with("HTTP/1.1 405"), "{method} {path}: {answer}");
            assert!(answer.to_lowercase().contains("allow: get,head"), "{method} {path}: {answer}");
        }
    }
    let head = served.call("HEAD", "/metrics", "").await;
    assert!(head.starts_with("HTTP/1.1 200") && !head.contains("allocations"), "{head}");
}

#[tokio::test]
async fn requests_that_are_no_requests_or_too_long_are_refused() {
    let served = Served::start(None).await;
    for junk in
        [&b"\x00\x01\x00\x00\x21\x12\xa4\x42"[..], b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"]
    {
        let request = [junk, b"\r\n\r\n"].concat();
        let answer = served.exchange(&request).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{junk:?}: {answer}");
    }
    let long = format!("X: {}\r\n", "x".repeat(64 << 10));
    let answer = served.call("GET", "/healthz", &long).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    let many = "X: y\r\n".repeat(2_000);
    assert_eq!(served.status("GET", "/healthz", &many).await, 431);
    assert_eq!(served.status("GET", "/healthz", "").await, 200, "and the listener lives");
}

#[tokio::test]
async fn a_connection_carries_one_request() {
    let request = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2);
    let answer = Served::start(None).await.exchange(request.as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
}

#[tokio::test]
async fn silent_connections_do_not_keep_the_others_out_for_long() {
    let served = Served::start(None).await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(served.address).await.unwrap());
    }
    // All places are taken by connections that say nothing: they are closed after the time for
    // headers.
    let patience = Duration::from_secs(9);
    let status = tokio::time::timeout(patience, served.status("GET", "/healthz", ""))
        .await
        .expect("an answer in time");
    assert_eq!(status, 200);
}

#[test]
fn a_port_in_use_is_an_error_with_the_address() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error =
        Admin::bind(&AdminSettings { listen: Some(address), token: None }, false).unwrap_err();
    assert!(error.to_string().starts_with(&format!("admin.listen {address}: ")), "{error}");
    assert!(Admin::bind(&AdminSettings { listen: None, token: None }, false).unwrap().is_none());
}
