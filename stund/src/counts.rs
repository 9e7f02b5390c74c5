//! What a worker counts, and how a scrape shows it.

use causeway_daemon::metrics::{Family, Samples};
use causeway_net::Count;
use causeway_wire::binding::Silence;
use causeway_wire::{ErrorCode, Transport};

/// The codes of errors that are answered.
const CODES: [ErrorCode; 7] = [
    ErrorCode::BAD_REQUEST,
    ErrorCode::UNKNOWN_ATTRIBUTE,
    ErrorCode::STALE_CREDENTIALS,
    ErrorCode::MISSING_USERNAME,
    ErrorCode::USE_TLS,
    ErrorCode::SERVER_ERROR,
    ErrorCode::GLOBAL_FAILURE,
];

/// Why nothing was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silent {
    NotStun,
    NotBindingRequest,
    Fingerprint,
    NoSpace,
    /// A stream that is no STUN and was closed.
    BadFrame,
    /// An answer to a datagram of a prefix that has been sent enough (H11).
    Limited,
}

impl Silent {
    const ALL: [(Silent, &'static str); 6] = [
        (Silent::NotStun, "not_stun"),
        (Silent::NotBindingRequest, "not_binding_request"),
        (Silent::Fingerprint, "fingerprint"),
        (Silent::NoSpace, "no_space"),
        (Silent::BadFrame, "bad_frame"),
        (Silent::Limited, "limited"),
    ];
}

impl From<Silence> for Silent {
    fn from(silence: Silence) -> Self {
        match silence {
            Silence::NotBindingRequest => Silent::NotBindingRequest,
            Silence::Fingerprint => Silent::Fingerprint,
            Silence::NoSpace => Silent::NoSpace,
        }
    }
}

/// One worker's shard.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counts {
    success: [Count; Transport::ALL.len()],
    errors: [Count; CODES.len()],
    rfc3489: Count,
    silent: [Count; Silent::ALL.len()],
    /// Connections and associations closed for asking nothing.
    pub(crate) idle_closed: Count,
}

const ANSWERS: Family =
    Family::counter("binding_success", "Binding requests answered with success, by transport");
const ERRORS: Family =
    Family::counter("binding_errors", "Binding requests answered with an error, by its code");
const RFC3489: Family =
    Family::counter("binding_rfc3489", "Answers to clients of RFC 3489, errors among them");
const SILENT: Family = Family::counter("discarded", "Messages that are not answered, by reason");
const IDLE: Family = Family::counter(
    "idle_closed",
    "TCP and TLS connections and DTLS associations closed: no whole message for too long",
);

impl Counts {
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

    pub(crate) fn silent(&self, reason: Silent) {
        self.silent[reason as usize].add(1);
    }

    /// Adds the shard to a scrape.
    pub(crate) fn sample(&self, samples: &mut Samples) {
        for (name, count) in Transport::NAMES.into_iter().zip(&self.success) {
            samples.add(&ANSWERS, &[("transport", name.into())], count.value());
        }
        for (code, count) in CODES.iter().zip(&self.errors) {
            samples.add(&ERRORS, &[("code", code.number().into())], count.value());
        }
        samples.add(&RFC3489, &[], self.rfc3489.value());
        for (reason, name) in Silent::ALL {
            samples.add(&SILENT, &[("reason", name.into())], self.silent[reason as usize].value());
        }
        samples.add(&IDLE, &[], self.idle_closed.value());
    }
}
