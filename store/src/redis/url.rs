//! Checks a Redis URL. Each error has the remedy, and shows nothing of the URL, which may contain a
//! password.

const EXAMPLE: &str = "write it as redis://127.0.0.1:6379";
/// The schemes that the client library knows.
const SCHEMES: [&str; 6] = ["redis", "valkey", "unix", "redis+unix", "valkey+unix", "rediss"];

/// Returns the first reason why `url` is not usable as it is written.
pub(super) fn reason(url: &str) -> Result<(), String> {
    if url.is_empty() {
        return Err(format!("it is empty; {EXAMPLE}"));
    }
    if url.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
        return Err(
            "it contains white space; remove it, or write %20 for a space in the password".into()
        );
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(format!("it has no scheme; {EXAMPLE}"));
    };
    let scheme = scheme.to_ascii_lowercase();
    if scheme == "rediss" || scheme == "valkeys" {
        return Err("TLS to Redis is not supported yet; use redis:// on a trusted network".into());
    }
    if !SCHEMES.contains(&&*scheme) {
        return Err(format!("its scheme is unknown; {EXAMPLE}"));
    }
    if rest.contains('#') {
        return Err(
            "it contains a #, which ends a URL; write %23 for a # in the password, or set \
                    store.password_file"
                .into(),
        );
    }
    if !percent_codes(rest) {
        return Err("it contains a % without two hexadecimal digits; write %25 for a % in the \
                    password, or set store.password_file"
            .into());
    }
    if scheme.ends_with("unix") {
        return Ok(());
    }
    let (authority, database, query) = parts(rest);
    if !query.is_empty() && !query.starts_with("protocol=") || query.contains(['&', '@']) {
        return Err(
            "only protocol=resp2 or protocol=resp3 may follow a ?; write %3F for a ? in the \
                    password, or set store.password_file"
                .into(),
        );
    }
    if database.contains('@') || authority.matches('@').count() > 1 {
        return Err(
            "its password contains a / or @; write %2F or %40 instead, or set store.password_file"
                .into(),
        );
    }
    if !database.trim_end_matches('/').bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(
            "the database after the last / is not a number; write it as redis://127.0.0.1:6379/0"
                .into(),
        );
    }
    let host = authority.rsplit('@').next().unwrap_or_default();
    if host.is_empty() || host.starts_with(':') {
        return Err(format!("it has no host; {EXAMPLE}"));
    }
    Ok(())
}

/// Whether `url` contains a user name, and whether it contains a password.
pub(super) fn credentials(url: &str) -> (bool, bool) {
    let (authority, ..) = url.split_once("://").map_or(("", "", ""), |(_, rest)| parts(rest));
    let Some((user, _)) = authority.rsplit_once('@') else { return (false, false) };
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    (!name.is_empty(), !password.is_empty())
}

/// Splits the text after the scheme into the authority, the database and the query.
fn parts(rest: &str) -> (&str, &str, &str) {
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    (authority, database, query)
}

/// Whether two hexadecimal digits follow each `%`.
fn percent_codes(text: &str) -> bool {
    text.split('%')
        .skip(1)
        .all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use crate::RedisSettings;

    fn refused(url: &str) -> String {
        RedisSettings::new(url).check().unwrap_err().text
    }

    #[test]
    fn h56_each_reason_has_its_cure_and_shows_no_password() {
        for (url, told) in [
            ("", "it is empty"),
            ("127.0.0.1:6379", "no scheme; write it as redis://127.0.0.1:6379"),
            (":hunter2@127.0.0.1", "no scheme"),
            ("http://:hunter2@127.0.0.1", "scheme is unknown"),
            ("rediss://:hunter2@127.0.0.1", "TLS to Redis is not supported yet"),
            ("redis://:hunter2#x@127.0.0.1", "write %23"),
            ("redis://127.0.0.1:6379/0#hunter2", "write %23"),
            ("redis://:hunter2/x@127.0.0.1", "write %2F or %40"),
            ("redis://:hunter2@x@127.0.0.1", "write %2F or %40"),
            ("redis://:hunter2?x@127.0.0.1", "write %3F"),
            ("redis://127.0.0.1?pass=hunter2", "may follow a ?"),
            ("redis://:hunter%2@127.0.0.1", "write %25"),
            ("redis://:100%@127.0.0.1", "write %25"),
            ("redis://127.0.0.1/hunter2", "is not a number"),
            ("redis://:hunter2@", "has no host"),
            ("redis://", "has no host"),
            (" redis://:hunter2@127.0.0.1", "contains white space"),
            ("redis://:hunter2@127.0.0.1\n", "contains white space"),
            ("redis://:hunter2@127.0.0.1:port", "the Redis URL is not usable"),
        ] {
            let text = refused(url);
            assert!(
                text.contains(told) && !text.contains("hunter") && !text.contains("100%"),
                "{url}: {text}"
            );
        }
    }

    #[test]
    fn good_urls_stay_good() {
        for url in [
            "redis://127.0.0.1",
            "redis://127.0.0.1:6379/",
            "redis://turnd:p%40ss%23word@redis.example.org:6379/3",
            "redis://[::1]:6379/0?protocol=resp3",
            "unix:///run/redis.sock?db=1&user=a&pass=b",
            "redis+unix:///run/redis.sock",
        ] {
            assert!(RedisSettings::new(url).check().is_ok(), "{url}: {}", refused(url));
        }
    }
}
