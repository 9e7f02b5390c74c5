//! A host with one network, of both families.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use causeway_natlab::{LabName, Namespace};

/// A Binding request without attributes.
pub(crate) const BINDING: &[u8] =
    &[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

/// The environment variable that is set within the namespace.
const INSIDE: &str = "CAUSEWAY_INSIDE_NAMESPACE";

/// Its addresses, and routers that do not answer: no packet leaves it.
const NETWORK: &str = "
    link add d0 type veth peer name d1
    link set d1 up
    link set d0 up
    addr add 20.0.0.5/24 dev d0
    addr add 2600::5/64 dev d0 nodad
    route add default via 20.0.0.9
    -6 route add default via 2600::9
";

/// Runs `body` within a namespace. `test` is the path of the calling test: the test program is
/// started again with it.
pub(crate) fn within(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        ip(NETWORK);
        return body();
    }
    let namespace =
        Namespace::create(&LabName::unique(), "host").expect("this takes root, and iproute2");
    namespace.enable_ipv6().expect("the kernel has IPv6");
    let this = std::env::current_exe().expect("the kernel knows the path");
    let status = namespace
        .command(this)
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .expect("ip is installed");
    assert!(status.success(), "{test} failed within its namespace");
}

/// Runs commands of `ip` within the namespace, one a line.
pub(crate) fn ip(lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let output =
            Command::new("ip").args(line.split_whitespace()).output().expect("ip is installed");
        assert!(output.status.success(), "ip {line}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Whether `server` answers a client of this host at the address `from`, which sends `tries`
/// requests and waits `wait` for each answer.
pub(crate) fn answers(from: IpAddr, server: SocketAddr, tries: u32, wait: Duration) -> bool {
    let socket = UdpSocket::bind((from, 0)).unwrap();
    socket.set_read_timeout(Some(wait)).unwrap();
    (0..tries).any(|_| {
        socket.send_to(BINDING, server).unwrap();
        socket.recv(&mut [0; 512]).is_ok()
    })
}

/// Sets a kernel parameter of the namespace, by its path below `/proc/sys/net`.
pub(crate) fn sysctl(path: &str, value: &str) {
    std::fs::write(format!("/proc/sys/net/{path}"), value)
        .unwrap_or_else(|error| panic!("{path}: {error}"));
}
