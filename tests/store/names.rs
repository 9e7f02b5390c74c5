//! H40: the name of any user or realm is stored unchanged, and becomes no part of a command or a
//! key.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use causeway_auth::RestSecret;
use causeway_tests::daemon::service::PASSWORD;

use crate::call::{Call, Way};
use crate::damage::lives;
use crate::redis_server::RedisServer;
use crate::relay::{NODE, Relay, record_key, records};

const SECRET: &str = "a secret for short-lived credentials";

/// The special characters that a configuration's text can hold, without quotes, backslashes and
/// control characters.
const REALM: &str = "a realm *? %s%n {} $(x) `y` ; DEL ключ";

/// Names that a configuration accepts.
const USERS: &[&str] = &[
    "with some spaces",
    "*",
    "%s%n%x",
    "{}{0}{relay-2}",
    "cw:{relay-1}:index",
    "'; FLUSHALL",
    "Zoë 🦊",
    "\\\"quoted\\\"",
];

/// Names with control characters. Only short-lived credentials have them: the service that issues
/// these chooses the name.
const MINTED: &[&str] = &["a\r\nFLUSHALL\r\n", "*3\r\n$3\r\nSET\r\n", "\u{0}nul\u{7f}", "%s {} *"];

#[test]
fn h40_names_of_users_and_realm_are_kept_exactly() {
    let redis = RedisServer::start();
    let mut relay = Relay::start_as(&redis.url(), configure);
    let address = relay.service.address;
    let expiry = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() + 3600;
    let fixed = USERS.iter().map(|user| (user.replace("\\\"", "\""), PASSWORD.to_owned()));
    let minted = MINTED.iter().map(|name| {
        let user = format!("{expiry}:{name}");
        let password = RestSecret::new(SECRET.as_bytes()).password_sha1(&user);
        (user, password.to_string())
    });
    let users: Vec<(String, String)> = fixed.chain(minted).collect();
    let open = |(user, password): &(String, String)| {
        Call::open(address, user, password, Way::Channel)
            .unwrap_or_else(|failure| panic!("{user:?}: {failure}:\n{}", relay.service.log()))
    };
    let calls: Vec<Call> = users.iter().map(open).collect();

    let kept = relay.until_kept(&redis, &calls.iter().collect::<Vec<_>>());
    let mut names: Vec<&str> = kept.iter().map(|record| &*record.credential.username).collect();
    let mut expected: Vec<&str> = users.iter().map(|(user, _)| &**user).collect();
    names.sort_unstable();
    expected.sort_unstable();
    assert_eq!(names, expected, "what is stored");
    only_our_keys(&redis);

    relay.crash();
    assert_eq!(
        relay.service.metric("turnd_store_records_restored_total"),
        calls.len() as u64,
        "{}",
        relay.service.log()
    );
    for mut call in lives(calls, &relay) {
        // The key is made from the exact user and realm: any other spelling gives a 401.
        assert_eq!(
            call.renew().expect("the server knows it"),
            Duration::from_secs(600),
            "{}",
            relay.service.log()
        );
    }
    for code in ["401", "438", "441"] {
        assert_eq!(
            relay.service.metric(&format!("turnd_stun_errors_total{{code=\"{code}\"}}")),
            0,
            "{code}"
        );
    }
    only_our_keys(&redis);
    relay.service.end();
}

fn configure(config: &str) -> String {
    let users: Vec<String> =
        USERS.iter().map(|user| format!("\"{user}\" = {{ password = \"{PASSWORD}\" }}")).collect();
    let auth = format!("[auth]\nrest_secret = \"{SECRET}\"\nusers = {{ {} }}\n", users.join(", "));
    let (before, after) = config.split_once("[auth]\n").expect("there are users");
    let (_, after) = after.split_once('\n').expect("and more");
    format!("{before}{auth}{after}").replace("interop.example", REALM)
}

/// The store has only the keys of the layout, and no key's name has a part of a user or a realm.
fn only_our_keys(redis: &RedisServer) {
    let records: Vec<String> = records(redis).iter().map(|record| record_key(record.id)).collect();
    let prefix = format!("cw:{{{NODE}}}:");
    for key in redis.keys() {
        let known = records.contains(&key)
            || ["index", "incarnation"].iter().any(|name| key == format!("{prefix}{name}"))
            || [format!("cw:node:{NODE}"), "cw:accounting".to_owned()].contains(&key);
        assert!(known, "unknown key {key:?}");
    }
}
