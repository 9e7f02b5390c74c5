//! A point in time with its offset from UTC, as TOML and RFC 3339 write it.

use std::str::FromStr;

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A point in time in Unix seconds: `2027-01-01T00:00:00Z`, `2027-01-01 01:00:00+01:00`. The offset
/// is required, since a local time names no one point. Fractions of a second are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Timestamp(pub(crate) u64);

impl TryFrom<String> for Timestamp {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Timestamp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let time = OffsetDateTime::parse(text, &Rfc3339).ok();
        time.and_then(|time| u64::try_from(time.unix_timestamp()).ok()).map(Timestamp).ok_or_else(
            || {
                format!(
                    "expected a time with its offset from UTC, such as 2027-01-01T00:00:00Z, \
                     found {text:?}"
                )
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_the_unix_time_that_date_computes() {
        // Computed with `date -u -d … +%s`.
        for (text, unix) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2027-01-01T00:00:00Z", 1_798_761_600),
            ("2027-01-01 01:00:00+01:00", 1_798_761_600),
            ("2026-12-31T19:30:00-04:30", 1_798_761_600),
            ("2028-02-29T23:59:59.999Z", 1_835_481_599),
            ("2100-03-01T00:00:00z", 4_107_542_400),
        ] {
            assert_eq!(text.parse(), Ok(Timestamp(unix)), "{text}");
        }
    }

    #[test]
    fn text_that_names_no_point_in_time_is_refused() {
        for text in [
            "",
            "2027-01-01",
            "2027-01-01T00:00:00",
            "00:00:00Z",
            "2027-02-29T00:00:00Z",
            "2027-13-01T00:00:00Z",
            "2027-00-01T00:00:00Z",
            "2027-01-01T24:00:00Z",
            "2027-01-01T00:60:00Z",
            "2027-01-01T00:00:00+24:00",
            "2027-01-01T00:00:00.Z",
            "2027-1-1T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2027-01-01T00:00:00Zé",
            "ééééééééééé",
            "+027-01-01T00:00:00Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }
}
