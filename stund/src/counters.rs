//! The counters of a worker, and their metrics.

use std::sync::Arc;

use causeway_daemon::metrics::{Family, Samples, Source};
use causeway_net::{Count, Stats};
use causeway_wire::binding::Silence;
use causeway_wire::{ErrorCode, Transport};

/// The error codes that answers can carry.
const CODES: [ErrorCode; 7] = [
    ErrorCode::BAD_REQUEST,
    ErrorCode::UNKNOWN_ATTRIBUTE,
    ErrorCode::STALE_CREDENTIALS,
    ErrorCode::MISSING_USERNAME,
    ErrorCode::USE_TLS,
    ErrorCode::SERVER_ERROR,
    ErrorCode::GLOBAL_FAILURE,
];

/// The cause for which a message is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Discard {
    NotStun,
    NotBindingRequest,
    Fingerprint,
    NoSpace,
    /// A stream that carries no STUN and was closed.
    BadFrame,
    /// The answer is withheld: the limiter allows its prefix no more (H11).
    Limited,
}

impl Discard {
    const ALL: [(Discard, &'static str); 6] = [
        (Discard::NotStun, "not_stun"),
        (Discard::NotBindingRequest, "not_binding_request"),
        (Discard::Fingerprint, "fingerprint"),
        (Discard::NoSpace, "no_space"),
        (Discard::BadFrame, "bad_frame"),
        (Discard::Limited, "limited"),
    ];
}

impl From<Silence> for Discard {
    fn from(silence: Silence) -> Self {
        match silence {
            Silence::NotBindingRequest => Discard::NotBindingRequest,
            Silence::Fingerprint => Discard::Fingerprint,
            Silence::NoSpace => Discard::NoSpace,
        }
    }
}

/// The counters of one worker: it alone writes them, and a scrape reads them.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counters {
    success: [Count; Transport::ALL.len()],
    errors: [Count; CODES.len()],
    rfc3489: Count,
    discards: [Count; Discard::ALL.len()],
    /// Number of connections and associations closed because they were idle.
    pub(crate) idle_closed: Count,
}

const ANSWERS: Family =
    Family::counter("binding_success", "Binding requests answered with success, by transport");
const ERRORS: Family =
    Family::counter("binding_errors", "Binding requests answered with an error, by its code");
const RFC3489: Family =
    Family::counter("binding_rfc3489", "Answers to clients of RFC 3489, errors among them");
const DISCARDED: Family = Family::counter("discarded", "Messages that are not answered, by cause");
const IDLE: Family = Family::counter(
    "idle_closed",
    "TCP and TLS connections and DTLS associations closed: no whole message for too long",
);

impl Counters {
    /// Counts an answer: a success, or an error of one of the known codes.
    pub(crate) fn answered(&self, over: Transport, rfc3489: bool, error: Option<ErrorCode>) {
        let count = match error {
            None => self.success.get(over as usize),
            Some(code) => {
                CODES.iter().position(|one| *one == code).map(|index| &self.errors[index])
            }
        };
        if let Some(count) = count {
            count.add(1);
        }
        self.rfc3489.add(rfc3489.into());
    }

    pub(crate) fn discarded(&self, cause: Discard) {
        self.discards[cause as usize].add(1);
    }

    fn sample(&self, samples: &mut Samples) {
        for (name, count) in Transport::NAMES.into_iter().zip(&self.success) {
            samples.add(&ANSWERS, &[("transport", name.into())], count.value());
        }
        for (code, count) in CODES.iter().zip(&self.errors) {
            samples.add(&ERRORS, &[("code", code.number().into())], count.value());
        }
        samples.add(&RFC3489, &[], self.rfc3489.value());
        for (cause, name) in Discard::ALL {
            let count = self.discards[cause as usize].value();
            samples.add(&DISCARDED, &[("cause", name.into())], count);
        }
        samples.add(&IDLE, &[], self.idle_closed.value());
    }
}

/// The metrics source of one worker: its own counters and those of its event loop.
pub(crate) fn source(counters: Arc<Counters>, stats: Arc<Stats>) -> Source {
    Box::new(move |samples: &mut Samples| {
        counters.sample(samples);
        samples.add_loop(&stats);
    })
}
