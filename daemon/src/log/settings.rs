//! `[log]`: the keys.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use tracing_subscriber::EnvFilter;

use super::redact::RedactKind;

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text for people.
    #[default]
    Human,
    /// One JSON object a line, the event's fields at its top.
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

/// What is logged: a level, or levels by module: `info`, `info,turnd=debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(String);

impl Filter {
    /// The filter's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Filter {
    fn default() -> Self {
        Filter("info".into())
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
        // A word that is no level would be read as the name of a module, and everything else be
        // silent.
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

/// `[log]`: how to log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// How a line looks.
    pub format: Format,
    /// What is logged.
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
