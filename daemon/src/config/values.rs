//! The value types of a configuration: durations, sizes, port ranges, lists.
//!
//! The functions are for fields of the final type: `#[serde(deserialize_with =
//! "values::duration")]`.
//!
//! Their grammar is narrower than that of `humantime` and `bytesize`: one unit twice (`5m5m`), a
//! last number without a unit (`1h30`) and sizes in another case (`4 mib`, `4M`) are mistakes
//! (H56), and each error says what to write.

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, IntoDeserializer, SeqAccess, Visitor};

/// A duration: `"300s"`, `"10m"`, `"1h 30m"`, `"250ms"`, `"50us"`, or a whole number of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval(pub Duration);

impl Interval {
    /// An interval in whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Interval(Duration::from_secs(seconds))
    }
}

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("expected a duration such as \"300s\", \"10m\" or \"1h 30m\", found {text:?}")
        };
        let mut rest = text.trim();
        let mut total = Duration::ZERO;
        if rest.is_empty() {
            return Err(wrong());
        }
        // Each part has a smaller unit than the one before it, and none is left out: 1h30 may mean
        // minutes or seconds.
        let mut before = usize::MAX;
        while !rest.is_empty() {
            let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
            let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
            rest = rest[digits..].trim_start();
            let letters = rest.find(|letter: char| !letter.is_alphabetic()).unwrap_or(rest.len());
            let (unit, part) = match &rest[..letters] {
                "us" | "µs" => (0, Some(Duration::from_micros(number))),
                "ms" => (1, Some(Duration::from_millis(number))),
                "s" => (2, Some(Duration::from_secs(number))),
                "" if before == usize::MAX => (0, Some(Duration::from_secs(number))),
                "m" | "min" => (3, number.checked_mul(60).map(Duration::from_secs)),
                "h" => (4, number.checked_mul(3_600).map(Duration::from_secs)),
                "d" => (5, number.checked_mul(86_400).map(Duration::from_secs)),
                _ => (usize::MAX, None),
            };
            if unit >= before {
                return Err(wrong());
            }
            before = unit;
            total = part.and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
            rest = rest[letters..].trim_start();
        }
        Ok(Interval(total))
    }
}

/// The first and last port of a range, both included: `"49152-65535"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRange(pub RangeInclusive<u16>);

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected a range of ports such as \"49152-65535\", found {text:?}");
        let (first, last) = text.split_once('-').ok_or_else(wrong)?;
        let port = |text: &str| text.trim().parse::<u16>().map_err(|_| wrong());
        let (first, last) = (port(first)?, port(last)?);
        if first > last {
            return Err(format!("the range {text:?} ends before it starts"));
        }
        Ok(PortRange(first..=last))
    }
}

/// An amount of memory in bytes: `"4 MiB"`, `"256 KiB"`, `"1500 B"`, or a whole number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected a size such as \"4 MiB\" or \"256 KiB\", found {text:?}");
        let text = text.trim();
        let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
        let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
        let unit: u64 = match text[digits..].trim() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "kB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            _ => return Err(wrong()),
        };
        number.checked_mul(unit).map(ByteSize).ok_or_else(wrong)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0.start(), self.0.end())
    }
}

/// Reads text by `FromStr` and whole numbers by `from_number`.
struct TextOrNumber<T> {
    expecting: &'static str,
    from_number: Option<fn(u64) -> T>,
}

impl<'de, T: FromStr<Err = String>> Visitor<'de> for TextOrNumber<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        match (self.from_number, u64::try_from(number)) {
            (Some(from_number), Ok(number)) => Ok(from_number(number)),
            (Some(_), Err(_)) => {
                Err(E::custom(format!("expected {}, found {number}", self.expecting)))
            }
            (None, _) => Err(E::invalid_type(serde::de::Unexpected::Signed(number), &self)),
        }
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expecting = "a duration such as \"300s\", or a number of seconds";
        deserializer
            .deserialize_any(TextOrNumber { expecting, from_number: Some(Interval::seconds) })
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expecting = "a size such as \"4 MiB\", or a number of bytes";
        deserializer.deserialize_any(TextOrNumber { expecting, from_number: Some(ByteSize) })
    }
}

impl<'de> Deserialize<'de> for PortRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expecting = "a range of ports such as \"49152-65535\"";
        deserializer.deserialize_any(TextOrNumber::<PortRange> { expecting, from_number: None })
    }
}

/// One value, or a list of them: `"203.0.113.8"`, `"203.0.113.8, 2001:db8::8"` or `["203.0.113.8",
/// "2001:db8::8"]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        List(Vec::new())
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany<T>(PhantomData<T>);
        impl<'de, T: DeserializeOwned> Visitor<'de> for OneOrMany<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<List<T>, E> {
                text.split(',')
                    .map(|item| T::deserialize(item.trim().into_deserializer()))
                    .collect::<Result<_, E>>()
                    .map(List)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<List<T>, A::Error> {
                let mut all = Vec::new();
                while let Some(item) = items.next_element()? {
                    all.push(item);
                }
                Ok(List(all))
            }
        }
        deserializer.deserialize_any(OneOrMany(PhantomData))
    }
}

/// A number that is at least 1.
///
/// # Errors
/// The value is 0, or not a whole number that `T` can hold.
pub fn count<'de, D: Deserializer<'de>, T: TryFrom<usize>>(deserializer: D) -> Result<T, D::Error> {
    let number = NonZeroUsize::deserialize(deserializer)?.get();
    T::try_from(number).map_err(|_| D::Error::custom(format!("{number} is too large")))
}

/// A duration, as [`Interval`] reads it.
///
/// # Errors
/// The value is not a duration.
pub fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    Interval::deserialize(deserializer).map(|interval| interval.0)
}

/// A duration, or `"off"`.
///
/// # Errors
/// The value is neither.
pub fn duration_or_off<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Switch {
        Off,
    }
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a duration such as \"5m\" or \"100us\", or \"off\"")]
    enum DurationOrOff {
        Off(Switch),
        Duration(Interval),
    }
    Ok(match DurationOrOff::deserialize(deserializer)? {
        DurationOrOff::Off(Switch::Off) => None,
        DurationOrOff::Duration(interval) => Some(interval.0),
    })
}

/// A size in bytes, as [`ByteSize`] reads it.
///
/// # Errors
/// The value is not a size.
pub fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let size = ByteSize::deserialize(deserializer)?.0;
    Ok(usize::try_from(size).unwrap_or(usize::MAX))
}

/// A text, or nothing where it is empty.
///
/// # Errors
/// The value is not a text.
pub fn text_or_none<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(|text| Some(text).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        let parse = |text: &str| text.parse::<Interval>().map(|interval| interval.0.as_millis());
        assert_eq!(parse("300s"), Ok(300_000));
        assert_eq!(parse("300"), Ok(300_000));
        assert_eq!(parse("1h 30m"), Ok(5_400_000));
        assert_eq!(parse("250ms"), Ok(250));
        assert_eq!(parse("1s 2000us"), Ok(1_002));
        assert_eq!("50µs".parse(), Ok(Interval(Duration::from_micros(50))));
        for text in [
            "",
            "s",
            "-1s",
            "1 fortnight",
            "1.5s",
            "99999999999999999999s",
            "18446744073709551615d",
            "1h30",
            "5m5m",
            "1s 1h",
            "10 20",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn port_ranges() {
        assert_eq!("49152-65535".parse::<PortRange>().unwrap().0, 49152..=65535);
        for text in ["", "5", "5-", "70000-80000", "10-5", "a-b", "1-2-3"] {
            assert!(text.parse::<PortRange>().is_err(), "{text}");
        }
    }

    #[test]
    fn byte_sizes() {
        assert_eq!("4 MiB".parse::<ByteSize>().unwrap().0, 4 << 20);
        assert_eq!("1500".parse::<ByteSize>().unwrap().0, 1_500);
        for text in ["", "MiB", "4 mib", "-1", "18446744073709551615 GiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
}
