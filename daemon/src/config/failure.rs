//! serde's errors in an operator's terms.

use std::fmt;

use serde::de::{Error, Expected, Unexpected};

use super::error::Problem;
use super::nearest::nearest;
use super::origin::Origin;

/// The error of a value that its type refuses.
#[derive(Debug)]
pub(super) struct Failure(pub(super) Problem);

impl Failure {
    /// Adds the key and the origin, unless an inner value did.
    pub(super) fn at(mut self, key: &str, origin: &Origin) -> Self {
        if self.0.origin.is_none() {
            self.0.key = match (key.is_empty(), self.0.key.is_empty()) {
                (true, _) => self.0.key,
                (false, true) => key.to_owned(),
                (false, false) => format!("{key}.{}", self.0.key),
            };
            self.0.origin = Some(origin.clone());
        }
        self
    }

    /// Quotes the refused text, unless the message does.
    pub(super) fn found(mut self, text: &str) -> Self {
        if self.0.origin.is_none() && !self.0.what.contains("found") {
            self.0.what = format!("{}, found {text:?}", self.0.what);
        }
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Failure {}

impl Error for Failure {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Failure(Problem::new("", message.to_string()))
    }

    /// Names the kind of the value, never the value itself, since it may be a secret.
    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Bool(_) => "true or false",
            Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a whole number",
            Unexpected::Float(_) => "a number with a fraction",
            Unexpected::Char(_) | Unexpected::Str(_) => "a string",
            Unexpected::Seq => "a list",
            Unexpected::Map => "a table",
            _ => "something else",
        };
        Failure(Problem::new("", format!("expected {}, found {found}", plain(expected))))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        match found {
            Unexpected::Unsigned(_) | Unexpected::Signed(_) => {
                let what = format!("expected {}, found {found}", plain(expected));
                Failure(Problem::new("", what.replace("integer ", "").replace('`', "")))
            }
            _ => Self::invalid_type(found, expected),
        }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let problem =
            Problem::new("", format!("expected one of {}, found {variant:?}", expected.join(", ")));
        Failure(match nearest(variant, expected.iter().copied()) {
            Some(name) => problem.hint(format!("did you mean {name:?}?")),
            None => problem,
        })
    }

    fn missing_field(field: &'static str) -> Self {
        Failure(Problem::new(field, "this key is required"))
    }
}

/// serde's name of a type in an operator's terms.
pub(super) fn plain(expected: &dyn Expected) -> String {
    match expected.to_string().as_str() {
        "u8" => "a whole number from 0 to 255".into(),
        "u16" => "a whole number from 0 to 65535".into(),
        "u32" | "u64" | "usize" => "a whole number, 0 or more".into(),
        "a nonzero usize" | "a nonzero u32" => "a whole number, 1 or more".into(),
        "a sequence" => "a list".into(),
        "a map" => "a table".into(),
        "a boolean" => "true or false".into(),
        other if other.starts_with("struct ") => "a table".into(),
        other => other.to_owned(),
    }
}
