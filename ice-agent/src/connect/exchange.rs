//! Numbered datagrams over the selected pair, each echoed by the peer.
//!
//! ```text
//!  0       1       2       4               12              16
//! +-------+-------+-------+---------------+---------------+---------
//! | 0xCB  | kind  |   0   | exchange token|    number     | zeros up to the size …
//! +-------+-------+-------+---------------+---------------+---------
//! ```
//! The first octet tells it from STUN, DTLS, ChannelData and RTP (RFC 7983 §7). The peer gets the
//! token through the rendezvous, so that datagrams from other hosts are neither echoed nor counted.

use std::time::{Duration, Instant};

use super::statistics::RoundTrips;

const FIRST_OCTET: u8 = 0xCB;
const KIND_PROBE: u8 = 0;
const KIND_ECHO: u8 = 1;
/// Length of the header, before the padding.
pub(super) const HEADER: usize = 16;
/// Maximum number of datagrams of one side, which limits the tables.
pub(super) const MAX_COUNT: u32 = 100_000;
/// How long to wait for echoes after the last datagram.
const ECHO_GRACE: Duration = Duration::from_secs(1);

/// The datagrams to send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub count: u32,
    /// Time between two datagrams.
    pub interval: Duration,
    /// Size of each datagram in bytes, at least [`HEADER`].
    pub size: usize,
}

/// One agent's side. Call [`Exchange::start`] once, [`Exchange::poll_probe`] when
/// [`Exchange::poll_timeout`] is due, and [`Exchange::handle_datagram`] with each datagram of the
/// peer. Echoes the peer's datagrams before, while and after it sends its own.
#[derive(Debug)]
pub(super) struct Exchange {
    plan: Plan,
    own_token: u64,
    peer_token: Option<u64>,
    started: Option<Instant>,
    last_sent: Option<Instant>,
    /// The time at which each datagram was sent, by number; `None` once its echo came.
    awaited: Vec<Option<Instant>>,
    round_trips: RoundTrips,
    /// Which of the peer's datagrams arrived, by number.
    seen: Vec<bool>,
    from_peer: u32,
}

impl Exchange {
    /// The peer's datagrams must contain `own_token`.
    #[must_use]
    pub(super) fn new(plan: Plan, own_token: u64) -> Self {
        Self {
            plan,
            own_token,
            peer_token: None,
            started: None,
            last_sent: None,
            awaited: Vec::new(),
            round_trips: RoundTrips::default(),
            seen: Vec::new(),
            from_peer: 0,
        }
    }

    /// Sets the token that our datagrams must contain.
    pub(super) fn set_peer_token(&mut self, token: u64) {
        self.peer_token = Some(token);
    }

    /// Whether the peer's token is known.
    #[must_use]
    pub(super) fn knows_peer(&self) -> bool {
        self.peer_token.is_some()
    }

    /// Starts sending now.
    pub(super) fn start(&mut self, now: Instant) {
        self.started.get_or_insert(now);
    }

    /// The next numbered datagram, if one is due.
    pub(super) fn poll_probe(&mut self, now: Instant) -> Option<Vec<u8>> {
        let token = self.peer_token?;
        if self.sent() >= self.plan.count || self.next_due()? > now {
            return None;
        }
        let number = self.sent();
        self.awaited.push(Some(now));
        self.last_sent = Some(now);
        Some(encode(KIND_PROBE, token, number, self.plan.size))
    }

    /// Processes a datagram that is not STUN, and returns the echo to send back, if it is a
    /// numbered one of the peer.
    pub(super) fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Option<Vec<u8>> {
        let (kind, token, number) = decode(datagram)?;
        if token != self.own_token {
            return None;
        }
        match kind {
            KIND_PROBE if number < MAX_COUNT => {
                let index = number as usize;
                if index >= self.seen.len() {
                    self.seen.resize(index + 1, false);
                }
                if !std::mem::replace(&mut self.seen[index], true) {
                    self.from_peer += 1;
                }
                Some(encode(KIND_ECHO, self.peer_token?, number, datagram.len()))
            }
            KIND_ECHO => {
                let sent = self.awaited.get_mut(number as usize)?.take()?;
                self.round_trips.push(now.saturating_duration_since(sent));
                None
            }
            _ => None,
        }
    }

    /// Stops sending, because the peer has left and does not echo any longer. Datagrams that it may
    /// not have received do not count as lost.
    pub(super) fn stop(&mut self) {
        let answered = self.awaited.iter().rposition(Option::is_none).map_or(0, |last| last + 1);
        self.awaited.truncate(answered);
        self.plan.count = self.sent();
    }

    /// The next deadline; `None` before the start and after the end.
    #[must_use]
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        if self.sent() < self.plan.count { self.next_due() } else { self.last_echo_by() }
    }

    /// Whether all datagrams were sent, and their echoes came or are overdue.
    #[must_use]
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.started.is_some()
            && self.sent() >= self.plan.count
            && (self.echoed() == self.sent() || self.last_echo_by().is_none_or(|by| now >= by))
    }

    /// The number of datagrams sent.
    #[must_use]
    pub(super) fn sent(&self) -> u32 {
        u32::try_from(self.awaited.len()).expect("at most MAX_COUNT are sent")
    }

    /// The number of datagrams whose echo came.
    #[must_use]
    pub(super) fn echoed(&self) -> u32 {
        u32::try_from(self.round_trips.count()).expect("at most one a datagram sent")
    }

    /// The number of different datagrams of the peer that arrived.
    #[must_use]
    pub(super) fn received_from_peer(&self) -> u32 {
        self.from_peer
    }

    /// The round-trip times of the echoes.
    #[must_use]
    pub(super) fn round_trips(&self) -> &RoundTrips {
        &self.round_trips
    }

    fn next_due(&self) -> Option<Instant> {
        Some(self.started? + self.plan.interval * self.sent())
    }

    fn last_echo_by(&self) -> Option<Instant> {
        Some(self.last_sent? + ECHO_GRACE)
    }
}

fn encode(kind: u8, token: u64, number: u32, size: usize) -> Vec<u8> {
    let mut datagram = vec![0; size.max(HEADER)];
    datagram[0] = FIRST_OCTET;
    datagram[1] = kind;
    datagram[4..12].copy_from_slice(&token.to_be_bytes());
    datagram[12..16].copy_from_slice(&number.to_be_bytes());
    datagram
}

fn decode(datagram: &[u8]) -> Option<(u8, u64, u32)> {
    let (header, _) = datagram.split_first_chunk::<HEADER>()?;
    if header[0] != FIRST_OCTET {
        return None;
    }
    let token = u64::from_be_bytes(header[4..12].try_into().expect("8 octets"));
    let number = u32::from_be_bytes(header[12..16].try_into().expect("4 octets"));
    Some((header[1], token, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan { count: 3, interval: Duration::from_millis(20), size: 160 };
    const ROUND_TRIP: Duration = Duration::from_millis(7);

    fn pair() -> (Exchange, Exchange, Instant) {
        let (mut a, mut b) = (Exchange::new(PLAN, 1), Exchange::new(PLAN, 2));
        a.set_peer_token(2);
        b.set_peer_token(1);
        (a, b, Instant::now())
    }

    #[test]
    fn every_datagram_is_echoed_and_timed() {
        let (mut a, mut b, start) = pair();
        a.start(start);
        let mut now = start;
        while let Some(due) = a.poll_timeout().filter(|_| !a.is_over(now)) {
            now = due;
            let probe = a.poll_probe(now).unwrap();
            assert_eq!(probe.len(), PLAN.size);
            let echo = b.handle_datagram(now, &probe).unwrap();
            assert_eq!(a.handle_datagram(now + ROUND_TRIP, &echo), None);
        }
        assert_eq!((a.sent(), a.echoed(), b.received_from_peer()), (3, 3, 3));
        assert_eq!(a.round_trips().figures().unwrap().p50, 7.0);
        assert_eq!(now, start + PLAN.interval * 2);
    }

    #[test]
    fn a_lost_datagram_is_waited_for_but_not_forever() {
        let (mut a, _, start) = pair();
        a.start(start);
        for number in 0..PLAN.count {
            a.poll_probe(start + PLAN.interval * number).unwrap();
        }
        let last = start + PLAN.interval * 2;
        assert!(!a.is_over(last));
        assert_eq!(a.poll_timeout(), Some(last + ECHO_GRACE));
        assert!(a.is_over(last + ECHO_GRACE));
        assert_eq!(a.echoed(), 0);
    }

    #[test]
    fn a_peer_that_leaves_early_is_not_charged_with_what_it_could_not_echo() {
        let (mut a, mut b, start) = pair();
        a.start(start);
        let first = a.poll_probe(start).unwrap();
        let echo = b.handle_datagram(start, &first).unwrap();
        a.handle_datagram(start, &echo);
        a.poll_probe(start + PLAN.interval).unwrap();
        a.stop();
        assert_eq!((a.sent(), a.echoed(), a.poll_probe(start + PLAN.interval * 2)), (1, 1, None));
        assert!(a.is_over(start + PLAN.interval));
    }

    #[test]
    fn duplicates_count_once() {
        let (mut a, mut b, now) = pair();
        a.start(now);
        let probe = a.poll_probe(now).unwrap();
        let echo = b.handle_datagram(now, &probe).unwrap();
        b.handle_datagram(now, &probe).unwrap();
        a.handle_datagram(now, &echo);
        a.handle_datagram(now, &echo);
        assert_eq!((b.received_from_peer(), a.echoed()), (1, 1));
    }

    #[test]
    fn what_the_peer_did_not_send_is_neither_echoed_nor_counted() {
        let (mut a, mut b, now) = pair();
        a.start(now);
        let probe = a.poll_probe(now).unwrap();
        let mut stranger = Exchange::new(PLAN, 3);
        stranger.set_peer_token(1);
        assert_eq!(stranger.handle_datagram(now, &probe), None, "another's token");
        let far = encode(KIND_PROBE, 2, MAX_COUNT, 16);
        for junk in [&b""[..], &[FIRST_OCTET; 15], &[0; 160], &[255; 1500], &far] {
            assert_eq!(b.handle_datagram(now, junk), None);
        }
        assert_eq!(b.received_from_peer(), 0);
    }
}
