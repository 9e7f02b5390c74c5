//! When to report that a certificate expires soon, or is not valid.

use crate::{Standing, Validity};

/// How often a certificate that clients refuse, or soon will, is reported, in seconds.
const AGAIN: i64 = 86_400;

/// The last report about a certificate's validity: it is reported when it changes, and once a day
/// while it is bad.
#[derive(Clone, Debug, Default)]
pub struct Expiry {
    told: Option<(Standing, i64)>,
}

impl Expiry {
    /// The state to report at `now`, in Unix seconds, if a report is due. A clock that was set back
    /// does not suppress it.
    pub fn due(&mut self, validity: Validity, now: i64) -> Option<Standing> {
        let standing = validity.at(now);
        let silent = self
            .told
            .is_some_and(|(told, at)| told == standing && now.abs_diff(at) < AGAIN.unsigned_abs());
        if standing == Standing::Valid {
            self.told = None;
            return None;
        }
        if silent {
            return None;
        }
        self.told = Some((standing, now));
        Some(standing)
    }

    /// Forgets the last report: the certificate is a new one.
    pub fn forget(&mut self) {
        self.told = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    /// The reports about a certificate of 90 days whose files are checked every five seconds: the
    /// days and the states.
    fn told(days: std::ops::Range<i64>) -> Vec<(i64, Standing)> {
        let validity = Validity { not_before: 0, not_after: 90 * DAY };
        let mut expiry = Expiry::default();
        let looks = (days.start * DAY..days.end * DAY).step_by(5);
        looks.filter_map(|now| Some((now.div_euclid(DAY), expiry.due(validity, now)?))).collect()
    }

    #[test]
    fn h56_a_certificate_that_ends_soon_is_told_of_at_once_and_once_a_day() {
        assert_eq!(told(0..76), []);
        assert_eq!(
            told(80..83),
            [(80, Standing::EndsSoon), (81, Standing::EndsSoon), (82, Standing::EndsSoon)]
        );
    }

    #[test]
    fn h56_the_end_and_the_beginning_are_told_when_they_come() {
        use Standing::{EndsSoon, Expired};
        // The last second is still valid.
        assert_eq!(
            told(88..92),
            [(88, EndsSoon), (89, EndsSoon), (90, EndsSoon), (90, Expired), (91, Expired)]
        );
        assert_eq!(told(-2..3), [(-2, Standing::NotYet), (-1, Standing::NotYet)]);
    }

    #[test]
    fn h56_a_renewed_certificate_and_a_clock_set_back_are_told_of_at_once() {
        let validity = Validity { not_before: 0, not_after: 90 * DAY };
        let mut expiry = Expiry::default();
        assert_eq!(expiry.due(validity, 100 * DAY), Some(Standing::Expired));
        assert_eq!(expiry.due(validity, 100 * DAY + 5), None);
        expiry.forget();
        assert_eq!(expiry.due(validity, 100 * DAY + 10), Some(Standing::Expired));
        assert_eq!(expiry.due(validity, 95 * DAY), Some(Standing::Expired));
    }
}
