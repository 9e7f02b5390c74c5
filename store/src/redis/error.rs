use redis::{RedisError, ServerErrorKind};

use super::scripts::{FENCED, LOST};
use crate::error::{ErrorKind, StoreError};

/// No answer came in time.
pub(super) fn late() -> StoreError {
    StoreError::new(ErrorKind::Timeout, "no answer in time")
}

/// What a client library's error means to us.
pub(super) fn classify(error: &RedisError) -> StoreError {
    if let Some(errors) = error.clone().into_server_errors() {
        // Of a pipeline, the first.
        let Some((_, first)) = errors.first() else { return StoreError::new(ErrorKind::Other, "the pipeline failed") };
        return of_answer(first.code(), first.details().unwrap_or_default());
    }
    if error.is_timeout() {
        return late();
    }
    if let Some(code) = error.code() {
        return of_answer(code, error.detail().unwrap_or_default());
    }
    let kind = match error.kind() {
        redis::ErrorKind::AuthenticationFailed => ErrorKind::Auth,
        redis::ErrorKind::Server(ServerErrorKind::BusyLoading) => ErrorKind::Loading,
        _ if error.is_io_error() || error.is_connection_dropped() || error.is_connection_refusal() => ErrorKind::Unreachable,
        _ => ErrorKind::Other,
    };
    StoreError::new(kind, error.to_string())
}

fn of_answer(code: &str, detail: &str) -> StoreError {
    // Before version 7, an error within a script is one of the script, and says its own code further on.
    let within = |code: &str| detail.contains(&format!("-{code} "));
    let kind = match code {
        FENCED => ErrorKind::Fenced,
        LOST => ErrorKind::NeedsFull,
        "OOM" => ErrorKind::Full,
        "WRONGPASS" | "NOAUTH" | "NOPERM" => ErrorKind::Auth,
        "READONLY" | "MISCONF" => ErrorKind::ReadOnly,
        "LOADING" => ErrorKind::Loading,
        // Version 7 says in words alone that a script's user may not do what the script does.
        _ if detail.starts_with("The user executing the script") || within("NOPERM") => ErrorKind::Auth,
        _ if within("OOM") => ErrorKind::Full,
        _ if within("READONLY") || within("MISCONF") => ErrorKind::ReadOnly,
        _ => ErrorKind::Other,
    };
    StoreError::new(kind, format!("{code} {detail}"))
}
