//! Maps errors of the Redis client library to kinds of store errors.

use redis::{RedisError, ServerErrorKind};

use super::scripts::{FENCED, LOST};
use crate::error::{ErrorKind, StoreError};

/// The error of a call without an answer in time.
pub(super) fn late() -> StoreError {
    StoreError::new(ErrorKind::Timeout, "no answer within the timeout")
}

/// Classifies an error of the client library.
pub(super) fn classify(error: &RedisError) -> StoreError {
    if let Some(errors) = error.clone().into_server_errors() {
        // The first error of a pipeline.
        let Some((_, first)) = errors.first() else {
            return StoreError::new(ErrorKind::Other, "the pipeline failed");
        };
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
        redis::ErrorKind::MasterNameNotFoundBySentinel
        | redis::ErrorKind::NoValidReplicasFoundBySentinel => ErrorKind::NoPrimary,
        redis::ErrorKind::ClusterConnectionNotFound => ErrorKind::Cluster,
        _ if error.is_io_error()
            || error.is_connection_dropped()
            || error.is_connection_refusal() =>
        {
            ErrorKind::Unreachable
        }
        _ => ErrorKind::Other,
    };
    StoreError::new(kind, error.to_string())
}

/// The codes of error replies, and their kinds.
const CODES: [(&str, ErrorKind); 18] = [
    (FENCED, ErrorKind::Fenced),
    (LOST, ErrorKind::NeedsFull),
    ("OOM", ErrorKind::Full),
    ("WRONGPASS", ErrorKind::Auth),
    ("NOAUTH", ErrorKind::Auth),
    ("NOPERM", ErrorKind::Auth),
    ("READONLY", ErrorKind::ReadOnly),
    ("MISCONF", ErrorKind::ReadOnly),
    ("LOADING", ErrorKind::Loading),
    ("BUSY", ErrorKind::Busy),
    ("NOREPLICAS", ErrorKind::NoReplicas),
    ("MASTERDOWN", ErrorKind::NoPrimary),
    ("UNBLOCKED", ErrorKind::NoPrimary),
    ("TRYAGAIN", ErrorKind::Cluster),
    ("CLUSTERDOWN", ErrorKind::Cluster),
    ("MOVED", ErrorKind::Cluster),
    ("ASK", ErrorKind::Cluster),
    ("CROSSSLOT", ErrorKind::Cluster),
];

/// Error replies without a code of their own, by the words of each version.
const WORDS: [(&str, ErrorKind); 4] = [
    // 7.0, and 6.2 behind "Error running script".
    ("The user executing the script can't", ErrorKind::Auth),
    // 7.2 and later, Valkey.
    ("ACL failure in script", ErrorKind::Auth),
    ("attempted to access a non local key", ErrorKind::Cluster),
    ("attempted to access keys that do not hash to the same slot", ErrorKind::Cluster),
];

fn of_answer(code: &str, detail: &str) -> StoreError {
    let by_code = || CODES.iter().find(|(one, _)| *one == code);
    let by_words = || WORDS.iter().find(|(words, _)| detail.contains(words));
    // Before version 7, an error within a script is an error of the script, which has the code of
    // the former in its text.
    let within = || CODES.iter().find(|(one, _)| detail.contains(&format!("-{one} ")));
    let known = by_code().or_else(by_words).or_else(within);
    StoreError::new(known.map_or(ErrorKind::Other, |(_, kind)| *kind), format!("{code} {detail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_each_version_are_known_for_what_they_are() {
        // As they came from 6.2.14, 7.0.15, 7.4.1, 8.2.3, Valkey 8.1.8 and 9.1.2.
        let answers = [
            ("NOPERM", "this user has no permissions to run the 'get' command", ErrorKind::Auth),
            (
                "ERR",
                "The user executing the script can't run this command or subcommand script: 5, on @user_script:1.",
                ErrorKind::Auth,
            ),
            (
                "ERR",
                "Error running script (call to f_5): @user_script:1: The user executing the script can't run this command or subcommand",
                ErrorKind::Auth,
            ),
            (
                "ERR",
                "ACL failure in script: User turnd has no permissions to run the 'set' command script: 5",
                ErrorKind::Auth,
            ),
            (
                "ERR",
                "Error running script (call to f_5): @user_script:12: -OOM command not allowed when used memory",
                ErrorKind::Full,
            ),
            (
                "ERR",
                "Error running script (call to f_5): @user_script:9: -READONLY You can't write against",
                ErrorKind::ReadOnly,
            ),
            ("READONLY", "You can't write against a read only replica.", ErrorKind::ReadOnly),
            (
                "BUSY",
                "Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
                ErrorKind::Busy,
            ),
            ("NOREPLICAS", "Not enough good replicas to write.", ErrorKind::NoReplicas),
            (
                "ERR",
                "Error running script (call to f_5): @user_script:9: -NOREPLICAS Not enough good replicas",
                ErrorKind::NoReplicas,
            ),
            (
                "MASTERDOWN",
                "Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
                ErrorKind::NoPrimary,
            ),
            ("LOADING", "Redis is loading the dataset in memory", ErrorKind::Loading),
            ("TRYAGAIN", "Multiple keys request during rehashing of slot", ErrorKind::Cluster),
            ("CLUSTERDOWN", "Hash slot not served", ErrorKind::Cluster),
            (
                "ERR",
                "Script attempted to access a non local key in a cluster node script: 5, on @user_script:1.",
                ErrorKind::Cluster,
            ),
            ("CWFENCED", "by 5.1", ErrorKind::Fenced),
            ("CWLOST", "the directory is gone", ErrorKind::NeedsFull),
            ("ERR", "unknown command", ErrorKind::Other),
        ];
        for (code, detail, kind) in answers {
            assert_eq!(of_answer(code, detail).kind, kind, "{code} {detail}");
        }
    }

    #[test]
    fn h47_only_wrong_credentials_and_fencing_end_a_restore() {
        let is_final: Vec<_> = ErrorKind::ALL.into_iter().filter(|kind| kind.is_final()).collect();
        assert_eq!(is_final, [ErrorKind::Auth, ErrorKind::Fenced]);
    }
}
