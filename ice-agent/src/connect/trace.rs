//! A trace of the connectivity checks that pass our sockets.
//!
//! The ICE engine reports only state changes and nominations. The rest of the report (which pair
//! was checked, how often, with which answers) comes from the STUN Binding messages between a local
//! and a remote address. A pair that was never checked does not appear.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use is::stun::{Class, Method, StunMessage, TransId};
use serde::Serialize;

/// Maximum number of pairs in the trace; later ones are ignored (the engine itself has at most
/// 100).
const MAX_PAIRS: usize = 256;
/// Maximum number of unanswered requests in the trace, of all pairs.
const MAX_OUTSTANDING: usize = 1024;

/// A local base and a remote address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PairAddresses {
    /// The base: a host candidate's or a relayed transport address.
    pub local: SocketAddr,
    /// The peer's address as we see it.
    pub remote: SocketAddr,
}

/// The state of a pair (RFC 8445 §6.1.2.6), as far as messages show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// The peer's checks arrived, but ours was not sent yet.
    Waiting,
    /// Our check was sent and is not answered yet.
    InProgress,
    /// Our check was answered.
    Succeeded,
    /// Our check was answered with an error, or not at all.
    Failed,
}

/// The checks of one pair.
#[derive(Debug, Clone)]
pub(super) struct Check {
    pub pair: PairAddresses,
    /// The state of the pair.
    pub state: CheckState,
    /// Our requests, including retransmissions.
    pub requests_sent: u32,
    /// Success responses to them.
    pub responses_received: u32,
    pub requests_received: u32,
    /// Our success responses to them.
    pub responses_sent: u32,
    /// The error codes of the peer's responses, the last few.
    pub errors: Vec<u16>,
    /// Whether a request with USE-CANDIDATE was sent or received (RFC 8445 §7.1.2).
    pub nominated: bool,
    /// The first round trip.
    pub round_trip: Option<Duration>,
    /// Our address as the peer sees it: the base, or a server-reflexive or peer-reflexive
    /// candidate.
    pub mapped: Option<SocketAddr>,
}

/// The pairs of one call, in the order in which they appeared.
#[derive(Debug, Default)]
pub(super) struct Trace {
    checks: Vec<Check>,
    index: HashMap<PairAddresses, usize>,
    outstanding: HashMap<TransId, (usize, Instant)>,
}

impl Trace {
    /// Records a Binding message that we send.
    pub(super) fn sent(&mut self, now: Instant, pair: PairAddresses, message: &StunMessage<'_>) {
        if message.method() != Method::Binding {
            return;
        }
        let Some(index) = self.index_of(pair) else { return };
        let check = &mut self.checks[index];
        match message.class() {
            Class::Request => {
                check.requests_sent += 1;
                check.nominated |= message.use_candidate();
                if check.state == CheckState::Waiting {
                    check.state = CheckState::InProgress;
                }
                if self.outstanding.len() < MAX_OUTSTANDING {
                    self.outstanding.insert(message.trans_id(), (index, now));
                }
            }
            Class::Success => check.responses_sent += 1,
            _ => {}
        }
    }

    /// Records a Binding message that arrived and that the engine accepted as authentic.
    pub(super) fn received(
        &mut self,
        now: Instant,
        pair: PairAddresses,
        message: &StunMessage<'_>,
    ) {
        if message.method() != Method::Binding {
            return;
        }
        match message.class() {
            Class::Request => {
                let Some(index) = self.index_of(pair) else { return };
                self.checks[index].requests_received += 1;
                self.checks[index].nominated |= message.use_candidate();
            }
            Class::Success => {
                let Some((index, sent)) = self.outstanding.remove(&message.trans_id()) else {
                    return;
                };
                let check = &mut self.checks[index];
                check.state = CheckState::Succeeded;
                check.responses_received += 1;
                check.round_trip.get_or_insert(now.saturating_duration_since(sent));
                check.mapped = message.mapped_address();
            }
            Class::Failure => {
                let Some((index, _)) = self.outstanding.remove(&message.trans_id()) else { return };
                let check = &mut self.checks[index];
                if check.state != CheckState::Succeeded {
                    check.state = CheckState::Failed;
                }
                if let Some((code, _)) = message.error_code()
                    && check.errors.len() < 8
                {
                    check.errors.push(code);
                }
            }
            _ => {}
        }
    }

    /// The checks of all pairs. If the call is `over`, an unanswered check counts as failed.
    pub(super) fn checks(&self, over: bool) -> impl Iterator<Item = Check> + '_ {
        self.checks.iter().cloned().map(move |mut check| {
            if over && check.state == CheckState::InProgress {
                check.state = CheckState::Failed;
            }
            check
        })
    }

    /// The checks of one pair.
    #[must_use]
    pub(super) fn check(&self, pair: PairAddresses) -> Option<&Check> {
        self.index.get(&pair).map(|index| &self.checks[*index])
    }

    fn index_of(&mut self, pair: PairAddresses) -> Option<usize> {
        if let Some(index) = self.index.get(&pair) {
            return Some(*index);
        }
        if self.checks.len() >= MAX_PAIRS {
            return None;
        }
        let index = self.checks.len();
        self.checks.push(Check {
            pair,
            state: CheckState::Waiting,
            requests_sent: 0,
            responses_received: 0,
            requests_received: 0,
            responses_sent: 0,
            errors: Vec::new(),
            nominated: false,
            round_trip: None,
            mapped: None,
        });
        self.index.insert(pair, index);
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> PairAddresses {
        PairAddresses {
            local: "10.0.0.1:1000".parse().unwrap(),
            remote: "192.0.2.1:2000".parse().unwrap(),
        }
    }

    fn request(id: TransId, use_candidate: bool) -> StunMessage<'static> {
        StunMessage::binding_request("a:b", id, true, 1, 1, use_candidate)
    }

    #[test]
    fn an_answered_request_succeeds_with_its_round_trip_and_mapped_address() {
        let (mut trace, now, id) = (Trace::default(), Instant::now(), TransId::new());
        let mapped: SocketAddr = "203.0.113.9:4000".parse().unwrap();
        trace.sent(now, pair(), &request(id, false));
        assert_eq!(trace.check(pair()).unwrap().state, CheckState::InProgress);
        let later = now + Duration::from_millis(12);
        trace.received(later, pair(), &StunMessage::binding_reply(id, mapped));
        let check = trace.check(pair()).unwrap();
        assert_eq!(
            (check.state, check.round_trip),
            (CheckState::Succeeded, Some(Duration::from_millis(12)))
        );
        assert_eq!((check.mapped, check.nominated), (Some(mapped), false));
    }

    #[test]
    fn an_unanswered_check_is_in_progress_until_the_end() {
        let mut trace = Trace::default();
        trace.sent(Instant::now(), pair(), &request(TransId::new(), false));
        assert_eq!(trace.checks(false).next().unwrap().state, CheckState::InProgress);
        assert_eq!(trace.checks(true).next().unwrap().state, CheckState::Failed);
    }

    #[test]
    fn an_error_response_fails_the_check_and_is_shown() {
        let (mut trace, now, id) = (Trace::default(), Instant::now(), TransId::new());
        trace.sent(now, pair(), &request(id, false));
        trace.received(now, pair(), &StunMessage::binding_role_conflict_reply(id));
        let check = trace.check(pair()).unwrap();
        assert_eq!((check.state, check.errors.as_slice()), (CheckState::Failed, &[487][..]));
    }

    #[test]
    fn the_peers_requests_and_our_answers_are_counted_and_nominate() {
        let (mut trace, now, id) = (Trace::default(), Instant::now(), TransId::new());
        trace.received(now, pair(), &request(id, true));
        trace.sent(now, pair(), &StunMessage::binding_reply(id, pair().remote));
        let check = trace.check(pair()).unwrap();
        assert_eq!((check.state, check.nominated), (CheckState::Waiting, true));
        assert_eq!((check.requests_received, check.responses_sent, check.requests_sent), (1, 1, 0));
    }

    #[test]
    fn an_answer_to_nothing_changes_nothing_and_pairs_are_bounded() {
        let (mut trace, now) = (Trace::default(), Instant::now());
        trace.received(now, pair(), &StunMessage::binding_reply(TransId::new(), pair().local));
        assert!(trace.check(pair()).is_none());
        for port in 0..1000 {
            let remote = SocketAddr::new(pair().remote.ip(), port);
            trace.received(
                now,
                PairAddresses { remote, ..pair() },
                &request(TransId::new(), false),
            );
        }
        assert_eq!(trace.checks(true).count(), MAX_PAIRS);
    }
}
