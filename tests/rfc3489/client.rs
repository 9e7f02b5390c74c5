//! A client of RFC 3489's time, which writes and reads each byte itself. It performs the tests I,
//! II and III of RFC 3489 §10.1.

use std::net::SocketAddr;
use std::time::Duration;

use crate::nat::Nat;

/// "Clients SHOULD retransmit the request starting with an interval of 100ms" (RFC 3489 §9.3). On
/// loopback fewer retransmissions are enough.
const TRIES: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(400)];

/// The results in figure 2 of RFC 3489 §10.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    Blocked,
    Open,
    SymmetricFirewall,
    FullCone,
    Symmetric,
    Restricted,
    PortRestricted,
}

/// MAPPED-ADDRESS and CHANGED-ADDRESS of an answer.
struct Response {
    mapped: SocketAddr,
    changed: SocketAddr,
}

/// Runs the discovery process.
pub(crate) fn discover(nat: &mut Nat, server: SocketAddr) -> Finding {
    let Some(first) = test(nat, server, 0) else { return Finding::Blocked };
    let second = test(nat, server, CHANGE_IP | CHANGE_PORT);
    if first.mapped == nat.inside() {
        return if second.is_some() { Finding::Open } else { Finding::SymmetricFirewall };
    }
    if second.is_some() {
        return Finding::FullCone;
    }
    match test(nat, first.changed, 0) {
        Some(again) if again.mapped != first.mapped => Finding::Symmetric,
        Some(_) if test(nat, server, CHANGE_PORT).is_some() => Finding::Restricted,
        Some(_) => Finding::PortRestricted,
        None => Finding::Blocked,
    }
}

const CHANGE_IP: u8 = 0x04;
const CHANGE_PORT: u8 = 0x02;

/// One test: a request, retransmitted, and its answer. Like many clients, it always sends
/// CHANGE-REQUEST.
fn test(nat: &mut Nat, to: SocketAddr, flags: u8) -> Option<Response> {
    let port = to.port().to_be_bytes();
    let id = [b"a 128-bit id", &[flags, port[0], port[1], 7][..]].concat();
    let request =
        [&[0x00, 0x01, 0x00, 0x08][..], &id, &[0x00, 0x03, 0x00, 0x04, 0, 0, 0, flags]].concat();
    for wait in TRIES {
        nat.send(&request, to);
        if let Some((answer, _)) = nat.receive(wait).filter(|(answer, _)| answer[4..20] == id) {
            return Some(read(&answer));
        }
    }
    None
}

fn read(answer: &[u8]) -> Response {
    assert_eq!(answer[..2], [0x01, 0x01], "a Binding Response");
    let address = |wanted: u8| {
        let mut at = 20;
        loop {
            let (kind, len) = (answer[at + 1], usize::from(answer[at + 3]));
            assert!(
                answer[at] == 0 && answer[at + 2] == 0 && kind <= 0x0B,
                "an attribute that it does not know"
            );
            if kind == wanted {
                let value: [u8; 8] = answer[at + 4..at + 4 + len].try_into().expect("IPv4");
                assert_eq!(value[1], 0x01, "IPv4");
                return SocketAddr::from((
                    [value[4], value[5], value[6], value[7]],
                    u16::from_be_bytes([value[2], value[3]]),
                ));
            }
            at += 4 + len;
        }
    };
    Response { mapped: address(0x01), changed: address(0x05) }
}
