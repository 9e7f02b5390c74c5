//! What a worker counts, and how a scrape shows it.

use causeway_daemon::metrics::{Family, Samples};
use causeway_net::Count;
use causeway_wire::ErrorCode;
use causeway_wire::binding::Silence;

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    Udp,
    Tcp,
}

/// Why nothing was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silent {
    NotStun,
    NotBindingRequest,
    Rfc3489,
    Fingerprint,
    NoSpace,
    /// A stream that is no STUN and was closed.
    BadFrame,
}

impl Silent {
    const ALL: [(Silent, &'static str); 6] = [
        (Silent::NotStun, "not_stun"),
        (Silent::NotBindingRequest, "not_binding_request"),
        (Silent::Rfc3489, "rfc3489"),
        (Silent::Fingerprint, "fingerprint"),
        (Silent::NoSpace, "no_space"),
        (Silent::BadFrame, "bad_frame"),
    ];
}

impl From<Silence> for Silent {
    fn from(silence: Silence) -> Self {
        match silence {
            Silence::NotBindingRequest => Silent::NotBindingRequest,
            Silence::Rfc3489 => Silent::Rfc3489,
            Silence::Fingerprint => Silent::Fingerprint,
            Silence::NoSpace => Silent::NoSpace,
        }
    }
}

/// One worker's shard.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counts {
    success: [Count; 2],
    bad_request: Count,
    unknown_attribute: Count,
    silent: [Count; Silent::ALL.len()],
    /// TCP connections closed for asking nothing.
    pub(crate) idle_closed: Count,
}

const ANSWERS: Family = Family::counter("binding_success", "Binding requests answered with success, by transport");
const ERRORS: Family = Family::counter("binding_errors", "Binding requests answered with an error, by its code");
const SILENT: Family = Family::counter("discarded", "Messages that are not answered, by reason");
const IDLE: Family = Family::counter("tcp_idle_closed", "TCP connections closed: no whole message for too long");

impl Counts {
    pub(crate) fn answered(&self, via: Via, error: Option<ErrorCode>) {
        match error {
            None => self.success[via as usize].add(1),
            Some(ErrorCode::UNKNOWN_ATTRIBUTE) => self.unknown_attribute.add(1),
            Some(_) => self.bad_request.add(1),
        }
    }

    pub(crate) fn silent(&self, reason: Silent) {
        self.silent[reason as usize].add(1);
    }

    /// Adds the shard to a scrape.
    pub(crate) fn sample(&self, samples: &mut Samples) {
        for (via, name) in [(Via::Udp, "udp"), (Via::Tcp, "tcp")] {
            samples.add(&ANSWERS, &[("transport", name.into())], self.success[via as usize].value());
        }
        for (code, count) in [(ErrorCode::BAD_REQUEST, &self.bad_request), (ErrorCode::UNKNOWN_ATTRIBUTE, &self.unknown_attribute)] {
            samples.add(&ERRORS, &[("code", code.number().into())], count.value());
        }
        for (reason, name) in Silent::ALL {
            samples.add(&SILENT, &[("reason", name.into())], self.silent[reason as usize].value());
        }
        samples.add(&IDLE, &[], self.idle_closed.value());
    }
}
