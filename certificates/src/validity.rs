//! The time in which a certificate is valid.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use x509_parser::prelude::X509Certificate;
use x509_parser::time::ASN1Time;

const DAY: i64 = 86_400;

/// How long before its end a certificate counts as expiring soon, in seconds; a fifth of its whole
/// lifetime if that is shorter, as for certificates of a week.
const SOON: i64 = 14 * DAY;

/// The time in which a chain is valid, in Unix seconds: as long as each of its certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first valid second.
    pub not_before: i64,
    /// The last valid second.
    pub not_after: i64,
}

/// The state of a chain at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Clients accept it.
    Valid,
    /// Clients accept it, but it has to be renewed.
    EndsSoon,
    /// Clients do not accept it yet, or the clock of this host is wrong.
    NotYet,
    /// Clients refuse it: it has expired.
    Expired,
}

impl Validity {
    pub(crate) fn of(certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        Self {
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
        }
    }

    /// The time in which both are valid.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            not_before: self.not_before.max(other.not_before),
            not_after: self.not_after.min(other.not_after),
        }
    }

    /// The state at `now`, in Unix seconds.
    #[must_use]
    pub fn at(self, now: i64) -> Standing {
        let left = self.not_after.saturating_sub(now);
        if left < 0 {
            Standing::Expired
        } else if now < self.not_before {
            Standing::NotYet
        } else if left < SOON.min(self.not_after.saturating_sub(self.not_before) / 5) {
            Standing::EndsSoon
        } else {
            Standing::Valid
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Valid => "the certificate is valid",
            Self::EndsSoon => "the certificate ends soon: renew it",
            Self::NotYet => {
                "the certificate is not valid yet: clients refuse it; check this host's clock"
            }
            Self::Expired => "the certificate has expired: clients refuse it; renew it",
        })
    }
}

/// This host's time in Unix seconds; 0 if its clock is before 1970.
#[must_use]
pub fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed())
}

/// A time in Unix seconds as `2026-11-30T19:00:00Z`; the number itself if the calendar does not
/// reach it.
#[must_use]
pub fn utc(seconds: i64) -> String {
    let Ok(time) = ASN1Time::from_timestamp(seconds) else { return seconds.to_string() };
    let time = time.to_datetime();
    format!("{}T{:02}:{:02}:{:02}Z", time.date(), time.hour(), time.minute(), time.second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_of_90_days_ends_soon_14_days_before_and_one_of_6_days_a_day_before() {
        let begin = 1_800_000_000;
        for (days, soon) in [(90, 14 * DAY), (3_650, 14 * DAY), (5, DAY)] {
            let validity = Validity { not_before: begin, not_after: begin + days * DAY };
            let at = |before_end: i64| validity.at(validity.not_after - before_end);
            assert_eq!(validity.at(begin - 1), Standing::NotYet);
            assert_eq!(validity.at(begin), Standing::Valid);
            assert_eq!(
                (at(soon), at(soon - 1)),
                (Standing::Valid, Standing::EndsSoon),
                "{days} days"
            );
            assert_eq!(
                (at(0), at(-1)),
                (Standing::EndsSoon, Standing::Expired),
                "not_after is the last second (RFC 5280 §4.1.2.5)"
            );
        }
    }

    #[test]
    fn a_time_is_written_in_utc() {
        assert_eq!(utc(1_796_065_445), "2026-11-30T19:04:05Z");
        assert_eq!(utc(i64::MAX), i64::MAX.to_string());
    }
}
