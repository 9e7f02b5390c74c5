//! Whether the NAT turns datagrams around that are meant for its own outside (RFC 4787 §6, RFC 5780 §3.4).

use std::net::SocketAddr;
use std::time::Duration;

use causeway_wire::{Class, MessageWriter, Method, TransactionId};

use super::probe::Probe;

/// So often each side sends.
const ROUNDS: u32 = 3;

/// One of two sockets behind the NAT, and its outside.
#[derive(Debug)]
pub(super) struct Inside<'a> {
    /// The socket.
    pub(super) probe: &'a Probe,
    /// Its address as a server saw it.
    pub(super) mapped: SocketAddr,
}

/// Both send to the other's outside, so that a filter that lets in only what was sent to does not hide the answer. `true` if anything comes.
pub(super) async fn turns_around(first: &Inside<'_>, second: &Inside<'_>, timeout: Duration) -> bool {
    let (to_second, to_first) = (request(), request());
    for _ in 0..ROUNDS {
        // A datagram that cannot be sent is one that does not come back.
        let _ = first.probe.send(second.mapped, &to_second).await;
        let _ = second.probe.send(first.mapped, &to_first).await;
        let came = async {
            tokio::select! {
                () = first.probe.receive(&to_first) => {}
                () = second.probe.receive(&to_second) => {}
            }
        };
        if tokio::time::timeout(timeout / (2 * ROUNDS), came).await.is_ok() {
            return true;
        }
    }
    false
}

/// A Binding request that nobody else sends.
fn request() -> Vec<u8> {
    let mut bytes = vec![0; 32];
    let writer = MessageWriter::new(&mut bytes, Class::Request, Method::BINDING, TransactionId(rand::random()));
    let length = writer.expect("a header is shorter").finish();
    bytes.truncate(length);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(600);

    async fn probe() -> Probe {
        Probe::open("127.0.0.1".parse().unwrap(), TIMEOUT).await.unwrap()
    }

    #[tokio::test]
    async fn rfc4787_6_what_comes_back_in_either_direction_was_turned_around() {
        let (first, second, nowhere) = (probe().await, probe().await, probe().await);
        // Without a NAT each socket is its own outside. One direction is enough: filters differ.
        for [first_mapped, second_mapped] in [[first.local(), nowhere.local()], [nowhere.local(), second.local()]] {
            let (first, second) = (Inside { probe: &first, mapped: first_mapped }, Inside { probe: &second, mapped: second_mapped });
            assert!(turns_around(&first, &second, TIMEOUT).await);
        }
    }

    #[tokio::test]
    async fn rfc4787_6_other_datagrams_are_not_what_was_sent() {
        let (first, second, nowhere) = (probe().await, probe().await, probe().await);
        let stranger = request();
        nowhere.send(first.local(), &stranger).await.unwrap();
        let (first, second) = (Inside { probe: &first, mapped: nowhere.local() }, Inside { probe: &second, mapped: nowhere.local() });
        assert!(!turns_around(&first, &second, TIMEOUT).await);
    }
}
