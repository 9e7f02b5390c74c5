//! The keys of `[log]`.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use tracing_subscriber::EnvFilter;

use super::redact::RedactKind;

/// The format of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text for people.
    Human,
    /// One JSON object per line, with the event's fields at its top level.
    Json,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Human => "human",
            Format::Json => "json",
        })
    }
}

/// A log level, or levels by module: `info`, `info,turnd=debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(String);

impl Filter {
    /// The filter's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "expected a level (error, warn, info, debug, trace) or module=level, found {text:?}"
            )
        };
        let is_level =
            |level: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&level);
        // tracing reads a word that is not a level as the name of a module, and silences the rest.
        let bare_word =
            |part: &str| !part.contains(['=', '[']) && !is_level(&part.trim().to_lowercase());
        if text.split(',').any(bare_word) || EnvFilter::builder().parse(text).is_err() {
            return Err(wrong());
        }
        Ok(Filter(text.to_lowercase()))
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// The keys of `[log]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The format of a line.
    pub format: Format,
    /// The events that are logged.
    pub level: Filter,
    /// How addresses are shown.
    pub redact: RedactKind,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        for text in ["info", "WARN", "info,turnd=debug", "off", "causeway_net=trace"] {
            assert!(text.parse::<Filter>().is_ok(), "{text}");
        }
        for text in ["", "loud", "info,loud", "turnd=loud"] {
            assert!(text.parse::<Filter>().is_err(), "{text}");
        }
    }
}
