use std::str::FromStr;

use serde::Deserialize;

/// A moment with its offset from UTC, as TOML and RFC 3339 write it: `2027-01-01T00:00:00Z`,
/// `2027-01-01 01:00:00+01:00`; in Unix seconds. Without an offset nobody could tell which moment
/// is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Moment(pub(crate) u64);

impl TryFrom<String> for Moment {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        read(text).ok_or_else(|| format!("expected a moment with its offset from UTC, such as 2027-01-01T00:00:00Z, found {text:?}"))
    }
}

fn read(text: &str) -> Option<Moment> {
    let (date, time) = text.split_at_checked(10)?;
    let time = time.strip_prefix(['T', 't', ' '])?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let (time, offset) = match time.strip_suffix(['Z', 'z']) {
        Some(time) => (time, 0),
        None => {
            let (time, offset) = time.split_at_checked(time.rfind(['+', '-'])?)?;
            let [hours, minutes] = numbers(&offset[1..], ':', [2, 2])?;
            let seconds = (hours <= 23 && minutes <= 59).then_some(hours * 3600 + minutes * 60)?;
            (time, if offset.starts_with('-') { -seconds } else { seconds })
        }
    };
    // Fractions of a second are cut.
    let time = match time.split_once('.') {
        Some((time, fraction))
            if fraction.bytes().all(|byte| byte.is_ascii_digit()) && !fraction.is_empty() =>
        {
            time
        }
        Some(_) => return None,
        None => time,
    };
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    if !(1..=12).contains(&month)
        || !(1..=days_of(year, month)).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let unix = days_before(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    u64::try_from(unix).ok().map(Moment)
}

/// Decimal numbers of so many digits each.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next().filter(|part| {
            part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit())
        })?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to that day, in the Gregorian calendar.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let before = year - 1;
    let of_years = before * 365 + before / 4 - before / 100 + before / 400;
    let of_months: i64 = (1..month).map(|month| days_of(year, month)).sum();
    of_years + of_months + day - 1 - 719_162
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_what_date_makes_of_it() {
        // Computed with `date -u -d … +%s`.
        for (text, unix) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2027-01-01T00:00:00Z", 1_798_761_600),
            ("2027-01-01 01:00:00+01:00", 1_798_761_600),
            ("2026-12-31T19:30:00-04:30", 1_798_761_600),
            ("2028-02-29T23:59:59.999Z", 1_835_481_599),
            ("2100-03-01T00:00:00z", 4_107_542_400),
        ] {
            assert_eq!(text.parse(), Ok(Moment(unix)), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_or_nobody_knows_where_is_refused() {
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
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }
}
