//! Users and secrets that are kept in Redis: they log in, a change counts within two seconds, and
//! Redis may go away.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use causeway_auth::{Key, RestSecret};
use causeway_client::Failure;
use causeway_tests::daemon::service::{PASSWORD, REALM, USER};

use crate::call::{Call, Way};
use crate::redis_server::RedisServer;
use crate::relay::Relay;

/// What is promised is a poll a second and what a worker needs; the rest is a busy machine's.
const SOON: Duration = Duration::from_secs(4);
/// A name that would be dangerous if it became part of a command or a key as it is (H40).
const ODD: (&str, &str) = ("dave *{1}%s", "cw:user:interop.example:dave%20%2A%7B1%7D%25s");

#[test]
fn a_user_of_redis_logs_in_and_a_change_counts_at_once() {
    let (redis, relay) = start("clear");
    let key = "cw:user:interop.example:carol";
    put(&redis, &["HSET", key, "md5", &md5("carol", "sea")]);
    put(&redis, &["HSET", ODD.1, "md5", &md5(ODD.0, "pass")]);
    let mut call = open(&relay, "carol", "sea").expect("she is a user");
    open(&relay, ODD.0, "pass").expect("he is a user").close();
    open(&relay, USER, PASSWORD).expect("a user of the configuration").close();
    for (user, password) in [("carol", "guess"), ("erin", "x"), ("carol*", "sea"), (USER, "guess")]
    {
        assert!(is_refusal(&open(&relay, user, password)), "{user}");
    }
    bind(&mut call).expect("she still is");

    put(&redis, &["HSET", key, "md5", &md5("carol", "changed")]);
    until_refused(|| bind(&mut call));
    let mut changed = open(&relay, "carol", "changed").expect("her new password");
    bind(&mut changed).expect("she is a user");

    put(&redis, &["DEL", key]);
    until_refused(|| bind(&mut changed));
    assert!(is_refusal(&open(&relay, "carol", "changed")));

    put(&redis, &["HSET", key, "md5", &md5("carol", "back")]);
    let start = Instant::now();
    while open(&relay, "carol", "back").is_err() {
        assert!(
            start.elapsed() < SOON,
            "she is refused although she is back:\n{}",
            relay.service.log()
        );
    }
    assert!(relay.service.metric("turnd_store_user_changes_total") >= 3);
    relay.service.end();
}

#[test]
fn a_user_of_redis_with_a_sha256_key_logs_in_where_all_have_one() {
    let redis = RedisServer::start();
    let auth = "[auth]\nfrom_store = \"clear\"\nstore_has_sha256 = true\n";
    let relay = Relay::start_as(&redis.url(), |config| config.replace("[auth]\n", auth));
    put(&redis, &["HSET", "cw:user:interop.example:gina", "sha256", &sha256("gina", "sea")]);
    put(
        &redis,
        &[
            "HSET",
            "cw:user:interop.example:hugo",
            "md5",
            &md5("hugo", "sea"),
            "sha256",
            &sha256("hugo", "sea"),
        ],
    );
    put(&redis, &["HSET", "cw:user:interop.example:ivan", "md5", &md5("ivan", "sea")]);
    let mut call = open(&relay, "gina", "sea").expect("she has the key that our client prefers");
    bind(&mut call).expect("she is a user");
    open(&relay, "hugo", "sea").expect("he has both").close();
    open(&relay, USER, PASSWORD).expect("a user of the configuration has both, too").close();
    for (user, password) in [("gina", "guess"), ("ivan", "sea"), ("nobody", "sea")] {
        assert!(is_refusal(&open(&relay, user, password)), "{user}");
    }
    relay.service.end();
}

#[test]
fn a_rest_secret_of_redis_mints_until_it_is_taken_away() {
    let (redis, relay) = start("clear");
    let username = "4000000000:frank";
    let password = RestSecret::new(b"south").password_sha1(username);
    put(&redis, &["HSET", "cw:secret:interop.example", "two", &hex(b"south")]);
    let start = Instant::now();
    let mut call = loop {
        match open(&relay, username, &password) {
            Ok(call) => break call,
            Err(failure) => assert!(start.elapsed() < SOON, "{failure}:\n{}", relay.service.log()),
        }
    };
    bind(&mut call).expect("the secret is in use");
    put(&redis, &["HDEL", "cw:secret:interop.example", "two"]);
    until_refused(|| bind(&mut call));
    relay.service.end();
}

#[test]
fn h45_while_redis_is_away_who_was_known_goes_on_and_others_hear_nothing() {
    let (mut redis, relay) = start("clear");
    put(&redis, &["HSET", "cw:user:interop.example:carol", "md5", &md5("carol", "sea")]);
    put(&redis, &["HSET", "cw:user:interop.example:dora", "md5", &md5("dora", "sea")]);
    let mut call = open(&relay, "carol", "sea").expect("she is a user");
    redis.halt();
    bind(&mut call).expect("she was known");
    redis.resume();
    redis.kill();
    let start = Instant::now();
    for _ in 0..8 {
        open(&relay, "carol", "sea").expect("she was known").close();
        open(&relay, USER, PASSWORD).expect("Redis is not asked for him").close();
    }
    bind(&mut call).expect("she was known");
    assert!(start.elapsed() < SOON, "{:?} for what does not need Redis", start.elapsed());
    let unanswered = open(&relay, "dora", "sea").err();
    assert!(matches!(unanswered, Some(Failure::TimedOut)), "{unanswered:?}");
    assert!(relay.service.metric("turnd_store_user_lookups_total{from=\"unavailable\"}") > 0);
    relay.service.end();
}

#[test]
fn where_sealed_ones_are_asked_for_a_user_in_clear_is_nobody() {
    let (redis, relay) = start("sealed");
    put(&redis, &["HSET", "cw:user:interop.example:carol", "md5", &md5("carol", "sea")]);
    assert!(is_refusal(&open(&relay, "carol", "sea")));
    assert!(relay.service.metric("turnd_store_users_malformed_total") > 0);
    relay.service.end();
}

fn start(protection: &str) -> (RedisServer, Relay) {
    let redis = RedisServer::start();
    let change = |config: &str| {
        config.replace("[auth]\n", &format!("[auth]\nfrom_store = \"{protection}\"\n"))
    };
    let relay = Relay::start_as(&redis.url(), change);
    (redis, relay)
}

/// What an operator's tool does: a change, and the version counted up.
fn put(redis: &RedisServer, command: &[&str]) {
    let mut connection = redis.connection();
    let mut change = redis::cmd(command[0]);
    change.arg(&command[1..]);
    let _: i64 = change.query(&mut connection).expect("it takes it");
    let _: i64 =
        redis::cmd("INCR").arg("cw:users:version").query(&mut connection).expect("it counts");
}

fn open(relay: &Relay, user: &str, password: &str) -> Result<Call, Failure> {
    Call::open(relay.service.address, user, password, Way::Permission)
}

fn is_refusal(outcome: &Result<Call, Failure>) -> bool {
    outcome.as_ref().is_err_and(|failure| failure.to_string().contains("401"))
}

/// A request on the call's allocation, another one each time.
fn bind(call: &mut Call) -> Result<(), Failure> {
    static PORT: AtomicU16 = AtomicU16::new(1);
    call.bind((call.peer().ip(), PORT.fetch_add(1, Ordering::Relaxed)).into())
}

/// Asks until the answer is 401, which must be soon.
fn until_refused(mut ask: impl FnMut() -> Result<(), Failure>) {
    let start = Instant::now();
    loop {
        match ask() {
            Ok(()) => assert!(start.elapsed() < SOON, "the change does not count"),
            Err(failure) => return assert!(failure.to_string().contains("401"), "{failure}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn md5(user: &str, password: &str) -> String {
    hex(Key::long_term_md5(user, REALM, password).as_bytes())
}

fn sha256(user: &str, password: &str) -> String {
    hex(Key::long_term_sha256(user, REALM, password).as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes any text");
        text
    })
}
