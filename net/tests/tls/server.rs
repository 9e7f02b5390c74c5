//! The server of these tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use causeway_net::secure::{HandshakeLimits, Handshaker, Offer};
use causeway_net::{Listener, StreamListenerOptions};

use crate::authority::Authority;
use crate::support::{Behavior, Worker};

pub(crate) const ALPN: &[&[u8]] = &[b"stun.turn", b"stun.nat-discovery"];

pub(crate) fn offer(authorities: &[&Authority]) -> Offer {
    Offer {
        identities: authorities.iter().map(|authority| Arc::new(authority.identity())).collect(),
        alpn: ALPN,
    }
}

/// A loop with one listener for TLS, and its handshaker.
pub(crate) struct Server {
    pub(crate) worker: Worker,
    pub(crate) address: SocketAddr,
    pub(crate) handshaker: Handshaker,
}

impl Server {
    pub(crate) fn start(
        behavior: Behavior,
        plain: bool,
        offer: Offer,
        limits: HandshakeLimits,
    ) -> Self {
        let handshaker = Handshaker::start(offer, limits).unwrap();
        let (worker, address) = Worker::start_with(Some(&handshaker), |io| {
            let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let key = io
                .listen_tcp(
                    listener,
                    StreamListenerOptions { plain, tls: true, ..StreamListenerOptions::plain(4) },
                )
                .unwrap();
            (behavior, io.listener_addr(key).unwrap())
        });
        Self { worker, address, handshaker }
    }

    pub(crate) fn echoing(authority: &Authority) -> Self {
        Self::start(Behavior::EchoesQuietly, true, offer(&[authority]), HandshakeLimits::default())
    }

    pub(crate) fn reading(&self, family: &str, cause: Option<&str>) -> u64 {
        let found =
            self.handshaker.readings().find(|one| (one.family, one.cause) == (family, cause));
        found.expect("such a counter").value
    }

    /// Waits until a gauge or counter is `value`.
    pub(crate) fn await_reading(&self, family: &str, cause: Option<&str>, value: u64) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.reading(family, cause) != value {
            assert!(
                Instant::now() < deadline,
                "{family} {cause:?} is {}, not {value}",
                self.reading(family, cause)
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn await_no_stream(&self) {
        self.await_no_stream_but(0);
    }

    pub(crate) fn await_no_stream_but(&self, kept: u64) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.worker.stats.streams_open.value() > kept {
            assert!(
                Instant::now() < deadline,
                "{} streams are open",
                self.worker.stats.streams_open.value()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
