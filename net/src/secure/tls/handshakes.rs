//! The TLS handshakes under way, on the handshaker's thread.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{Error, HandshakeKind, PeerIncompatible, ServerConnection};

use super::{Outcome, Reply, Request};
use crate::keys::StreamKey;
use crate::secure::protocol::{Protocol, Replies};
use crate::secure::shared::Shared;
use crate::secure::{Failure, Reply as AnyReply};

/// Maximum number of bytes that a client may send until its handshake is done.
const MAX_RECEIVED: usize = 64 << 10;
/// How much longer than a worker this thread waits: a worker cancels what it gives up, unless the
/// mailbox is full.
const SLACK: Duration = Duration::from_secs(1);

/// The fatal alert for a record that belongs to no handshake, where rustls sends none.
const UNEXPECTED_MESSAGE: [u8; 7] = [21, 3, 3, 0, 2, 2, 10];

/// A stream of a worker.
type Leg = (usize, StreamKey);

/// The TLS handshakes under way.
#[derive(Default)]
pub(crate) struct Handshakes {
    legs: HashMap<Leg, Handshake>,
    /// All handshakes are given the same time: the oldest is in front. Those that ended are still
    /// listed.
    deadlines: VecDeque<(Instant, Leg)>,
}

struct Handshake {
    connection: Box<ServerConnection>,
    received: usize,
    deadline: Instant,
}

impl Protocol for Handshakes {
    type Request = Request;

    fn request(&mut self, now: Instant, worker: usize, request: Request, out: &mut Replies<'_>) {
        match request {
            Request::Bytes(stream, bytes) => {
                let (bytes, outcome) = self.advance(now, (worker, stream), &bytes, out.shared);
                out.send(worker, AnyReply::Tls(Reply { stream, bytes, outcome }));
            }
            Request::Cancel(stream) => _ = self.legs.remove(&(worker, stream)),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.front().map(|(at, _)| *at)
    }

    fn timeout(&mut self, now: Instant, _: &mut Replies<'_>) {
        while let Some((at, leg)) = self.deadlines.front().copied().filter(|(at, _)| *at <= now) {
            self.deadlines.pop_front();
            // The stream's key may have come back with a newer handshake.
            if self.legs.get(&leg).is_some_and(|handshake| handshake.deadline == at) {
                self.legs.remove(&leg);
            }
        }
    }
}

impl Handshakes {
    /// Takes what the client sent. Returns the bytes for it, and how the handshake goes on.
    fn advance(
        &mut self,
        now: Instant,
        leg: Leg,
        bytes: &[u8],
        shared: &Shared,
    ) -> (Vec<u8>, Outcome) {
        let begun = self.legs.remove(&leg);
        let is_new = begun.is_none();
        let Some(mut handshake) =
            begun.or_else(|| Handshake::begin(now + shared.limits.time + SLACK, shared))
        else {
            return (Vec::new(), Outcome::Failed(Failure::Refused("internal error")));
        };
        let step = handshake.take(bytes);
        let flight = handshake.flight();
        match step {
            Ok(true) => {
                let resumed = handshake.connection.handshake_kind() == Some(HandshakeKind::Resumed);
                shared.readings.completed(resumed);
                (flight, Outcome::Done(handshake.connection))
            }
            Ok(false) => {
                if is_new {
                    self.deadlines.push_back((handshake.deadline, leg));
                }
                self.legs.insert(leg, handshake);
                (flight, Outcome::More)
            }
            Err(failure @ Failure::Refused(_)) if is_new && flight.is_empty() => {
                (UNEXPECTED_MESSAGE.to_vec(), Outcome::Failed(failure))
            }
            Err(failure) => (flight, Outcome::Failed(failure)),
        }
    }
}

impl Handshake {
    /// Begins with the present offer.
    fn begin(deadline: Instant, shared: &Shared) -> Option<Self> {
        let config = Arc::clone(&shared.offered().tls.config);
        // It fails only for settings that are not made here.
        let connection = ServerConnection::new(config).ok()?;
        Some(Self { connection: Box::new(connection), received: 0, deadline })
    }

    /// Takes what the client sent. Whether the handshake is done.
    fn take(&mut self, mut bytes: &[u8]) -> Result<bool, Failure> {
        self.received += bytes.len();
        if self.received > MAX_RECEIVED {
            return Err(Failure::Refused("more bytes than a handshake has"));
        }
        while !bytes.is_empty() {
            // The buffer refuses bytes only when it is full of data that came before the handshake
            // was done.
            self.connection
                .read_tls(&mut bytes)
                .map_err(|_| Failure::Refused("data before the handshake is done"))?;
            self.connection.process_new_packets().map_err(|error| blame(&error))?;
        }
        Ok(!self.connection.is_handshaking())
    }

    /// The bytes to be sent: the next flight, tickets, or an alert.
    fn flight(&mut self) -> Vec<u8> {
        let mut flight = Vec::new();
        while self.connection.wants_write() && self.connection.write_tls(&mut flight).is_ok() {}
        flight
    }
}

/// The failure for an error of rustls, in words of ours or of the protocol: none of them are the
/// client's.
fn blame(error: &Error) -> Failure {
    use PeerIncompatible as Peer;
    Failure::Refused(match error {
        Error::AlertReceived(alert) => return Failure::Alert(alert.as_str().unwrap_or("unknown")),
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => "not TLS",
        Error::NoApplicationProtocol => "no ALPN protocol in common",
        Error::PeerIncompatible(Peer::NoCipherSuitesInCommon) => "no cipher suite in common",
        Error::PeerIncompatible(Peer::NoKxGroupsInCommon | Peer::NoEcPointFormatsInCommon) => {
            "no key exchange group in common"
        }
        Error::PeerIncompatible(
            Peer::NoSignatureSchemesInCommon | Peer::SignatureAlgorithmsExtensionRequired,
        ) => "no signature scheme in common",
        Error::PeerIncompatible(
            Peer::Tls12NotOffered
            | Peer::Tls12NotOfferedOrEnabled
            | Peer::ServerDoesNotSupportTls12Or13
            | Peer::ServerTlsVersionIsDisabledByOurConfig
            | Peer::SupportedVersionsExtensionRequired,
        ) => "no version in common",
        Error::PeerIncompatible(_) => "an extension is missing or not understood",
        Error::PeerMisbehaved(_) => "a message that the protocol forbids",
        Error::DecryptError => "a record that cannot be decrypted",
        _ => "handshake failed",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secure::{HandshakeLimits, Handshaker};

    fn key(number: u64) -> StreamKey {
        StreamKey::from_bits(number)
    }

    #[test]
    fn h14_handshakes_that_no_client_goes_on_with_are_forgotten() {
        let limits = HandshakeLimits { time: Duration::from_secs(5), ..HandshakeLimits::default() };
        let (handshaker, _mailbox) = Handshaker::idle(limits, 1);
        let shared = handshaker.shared();
        let mut handshakes = Handshakes::default();
        let begun = Instant::now();
        for number in 0..1_000 {
            for part in [&[0x16, 3, 1][..], &[2, 0, 1]] {
                let (answer, outcome) = handshakes.advance(begun, (1, key(number)), part, shared);
                assert!(answer.is_empty() && matches!(outcome, Outcome::More));
            }
        }
        handshakes.legs.retain(|(_, stream), _| stream.to_bits() % 2 == 0); // as by cancellations
        let mut workers = HashMap::new();
        let mut out = Replies { shared, workers: &mut workers };
        handshakes.request(begun, 1, Request::Cancel(key(0)), &mut out);
        assert_eq!((handshakes.legs.len(), handshakes.deadlines.len()), (499, 1_000));
        assert_eq!(handshakes.next_deadline(), Some(begun + limits.time + SLACK));
        handshakes.timeout(begun + limits.time, &mut out);
        assert_eq!(handshakes.legs.len(), 499);
        handshakes.timeout(begun + limits.time + SLACK, &mut out);
        assert_eq!(
            (handshakes.legs.len(), handshakes.deadlines.len(), handshakes.next_deadline()),
            (0, 0, None)
        );
    }

    #[test]
    fn h14_a_client_that_sends_much_and_says_nothing_is_refused() {
        let (handshaker, _mailbox) = Handshaker::idle(HandshakeLimits::default(), 1);
        let mut handshakes = Handshakes::default();
        // A message of 60 KB in records of 16 KB is awaited; more than that is not.
        let mut sent = 0;
        let record = [&[0x16, 3, 1, 0x3f, 0xfb][..], &[1, 0, 0xff, 0xff], &[0; 16_375]].concat();
        let refused = (0..10).find(|_| {
            sent += record.len();
            let (_, outcome) =
                handshakes.advance(Instant::now(), (1, key(1)), &record, handshaker.shared());
            matches!(outcome, Outcome::Failed(Failure::Refused(_)))
        });
        assert!(refused.is_some() && sent <= MAX_RECEIVED + record.len(), "{sent}");
        assert!(handshakes.legs.is_empty());
    }
}
