//! The command line: its parsing, and its errors without secrets.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Write};
use std::marker::PhantomData;
use std::process::ExitCode;
use std::str::FromStr;

use clap::builder::TypedValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Error, Parser};

use crate::output::{EXIT_USAGE, Unwritten};

/// Reads the command line.
///
/// # Errors
/// The exit status: after `--help` and `--version`, which are printed, and after an error, which is
/// reported.
pub fn parse<P: Parser>() -> Result<P, ExitCode> {
    parse_or(|error| end(error, P::command().get_name()))
}

/// Reads the command line, and has `bad` report an error.
///
/// # Errors
/// The exit status that `bad` returns.
pub fn parse_or<P: Parser>(bad: impl FnOnce(&Error) -> ExitCode) -> Result<P, ExitCode> {
    #[cfg(feature = "manual")]
    if let Some(written) = crate::manual::write_if_asked(P::command(), std::env::args_os()) {
        return Err(written);
    }
    parse_from(std::env::args_os()).map_err(|error| bad(&error))
}

/// Reads `arguments`; the first is the program's name.
///
/// # Errors
/// The message that [`parse`] would print.
pub fn parse_from<P: Parser>(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<P, Error> {
    P::try_parse_from(arguments).map_err(without_words)
}

/// Prints the error of [`parse_from`] for the program of this name; returns the exit status.
pub fn end(error: &Error, program: &str) -> ExitCode {
    if error.use_stderr() {
        // There is no other place to report that this failed.
        let _ = error.print();
        return EXIT_USAGE.into();
    }
    let printed = error.print().and_then(|()| io::stdout().flush()).map_err(Unwritten::from);
    match printed {
        Ok(()) | Err(Unwritten::ReaderLeft) => ExitCode::SUCCESS,
        Err(unwritten) => unwritten.end(program),
    }
}

const HIDDEN: &str = "(not shown: it may be a secret)";

/// Hides unexpected words: one may be a secret that lost its flag.
fn without_words(mut error: Error) -> Error {
    match error.kind() {
        ErrorKind::UnknownArgument => {}
        ErrorKind::TooManyValues => {
            error.insert(ContextKind::InvalidValue, ContextValue::String(HIDDEN.into()));
            return error;
        }
        // A URI with a user, and perhaps a password.
        ErrorKind::ValueValidation | ErrorKind::InvalidValue if value_has_user(&error) => {
            error.insert(ContextKind::InvalidValue, ContextValue::String(HIDDEN.into()));
            return error;
        }
        _ => return error,
    }
    let shown = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(word)) => flag_of(word),
        _ => None,
    };
    let shown = shown.unwrap_or_else(|| HIDDEN.into());
    error.insert(ContextKind::InvalidArg, ContextValue::String(shown));
    error
}

fn value_has_user(error: &Error) -> bool {
    matches!(error.get(ContextKind::InvalidValue), Some(ContextValue::String(value)) if value.contains('@'))
}

/// The flag in `word`, without a value.
fn flag_of(word: &str) -> Option<String> {
    let name = word.split('=').next().unwrap_or_default();
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    (name.starts_with('-') && name.chars().all(is_name)).then(|| name.to_owned())
}

/// The parser of a value that may be a secret: an error says what is wrong with it without showing
/// it.
pub struct Unshown<T>(PhantomData<fn() -> T>);

impl<T> Unshown<T> {
    /// Creates it, for `#[arg(value_parser = Unshown::<T>::new())]`.
    pub fn new() -> Self {
        Unshown(PhantomData)
    }
}

impl<T> Default for Unshown<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Unshown<T> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<T> TypedValueParser for Unshown<T>
where
    T: FromStr<Err: fmt::Display> + Clone + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<T, Error> {
        let wrong = |reason: &dyn fmt::Display| {
            let flag = argument.map_or_else(|| "a value".into(), ToString::to_string);
            let message =
                format!("{flag}: {reason} (the value is not shown, since it may be a secret)\n");
            Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        };
        let text = value.to_str().ok_or_else(|| wrong(&"expected UTF-8 text"))?;
        text.parse().map_err(|error| wrong(&error))
    }
}
