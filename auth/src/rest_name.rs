//! The usernames of REST credentials: an expiry with or without a name.

use std::ops::Range;

/// Minimum number that counts as a time where either half of a name may be one: a time of 2001.
/// User numbers are usually smaller.
const LEAST_TIME: u64 = 1_000_000_000;

/// The form of the username of a REST credential: an expiry (Unix seconds) and, before or after a
/// colon, a name. An expiry alone is valid in each form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestName {
    /// `expiry:name`, as nearly every service mints it.
    #[default]
    TimeName,
    /// `name:expiry`, the reverse order.
    NameTime,
    /// Both forms. If both halves can be a time, the earlier one is the expiry: a name of digits
    /// must not extend a credential.
    Either,
}

/// The parts of a REST credential's username.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Minted {
    /// The expiry in Unix seconds.
    pub(crate) expires: u64,
    /// The range of the name; empty if there is none.
    pub(crate) name: Range<usize>,
}

impl RestName {
    /// Whether `username` has this form.
    pub(crate) fn reads(self, username: &str) -> bool {
        self.read(username).is_some()
    }

    pub(crate) fn read(self, username: &str) -> Option<Minted> {
        match self {
            Self::TimeName => time_name(username),
            Self::NameTime => name_time(username),
            Self::Either => match (time_name(username), name_time(username)) {
                (Some(first), Some(last)) => Some(earlier(first, last)),
                (first, last) => first.or(last),
            },
        }
    }
}

fn earlier(first: Minted, last: Minted) -> Minted {
    let is_first = match (first.expires >= LEAST_TIME, last.expires >= LEAST_TIME) {
        (true, false) => true,
        (false, true) => false,
        _ => first.expires <= last.expires,
    };
    if is_first { first } else { last }
}

fn time_name(username: &str) -> Option<Minted> {
    let time = username.split_once(':').map_or(username, |(time, _)| time);
    Some(Minted {
        expires: number(time)?,
        name: (time.len() + 1).min(username.len())..username.len(),
    })
}

fn name_time(username: &str) -> Option<Minted> {
    let (name, time) = username.rsplit_once(':').unwrap_or(("", username));
    Some(Minted { expires: number(time)?, name: 0..name.len() })
}

/// Parses digits without a sign or a space, so that each time has one spelling.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(form: RestName, username: &str) -> Option<(u64, &str)> {
        form.read(username).map(|minted| (minted.expires, &username[minted.name]))
    }

    #[test]
    fn each_form_is_read_as_it_is_written() {
        use RestName::{Either, NameTime, TimeName};
        for (username, time_name, name_time, either) in [
            (
                "1800000000:alice",
                Some((1_800_000_000, "alice")),
                None,
                Some((1_800_000_000, "alice")),
            ),
            (
                "alice:1800000000",
                None,
                Some((1_800_000_000, "alice")),
                Some((1_800_000_000, "alice")),
            ),
            (
                "1800000000",
                Some((1_800_000_000, "")),
                Some((1_800_000_000, "")),
                Some((1_800_000_000, "")),
            ),
            ("1800000000:", Some((1_800_000_000, "")), None, Some((1_800_000_000, ""))),
            (":1800000000", None, Some((1_800_000_000, "")), Some((1_800_000_000, ""))),
            ("1800000000:a:b", Some((1_800_000_000, "a:b")), None, Some((1_800_000_000, "a:b"))),
            ("a:b:1800000000", None, Some((1_800_000_000, "a:b")), Some((1_800_000_000, "a:b"))),
            ("alice", None, None, None),
            ("alice:+1800000000", None, None, None),
            ("", None, None, None),
        ] {
            let found = [TimeName, NameTime, Either].map(|form| read(form, username));
            assert_eq!(found, [time_name, name_time, either], "{username:?}");
        }
    }

    #[test]
    fn of_two_times_the_earlier_one_is_the_expiry() {
        for (username, expires, name) in [
            ("1001:1800000000", 1_800_000_000, "1001"),
            ("1800000000:1001", 1_800_000_000, "1001"),
            ("15551234567:1800000000", 1_800_000_000, "15551234567"),
            ("1800000000:15551234567", 1_800_000_000, "15551234567"),
            ("1001:1800000000000", 1_800_000_000_000, "1001"),
            ("7:8", 7, "8"),
        ] {
            assert_eq!(read(RestName::Either, username), Some((expires, name)), "{username}");
        }
    }
}
