//! Users and secrets in Redis: they log in, a change takes effect within two seconds, and Redis may
//! become unreachable.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use causeway_auth::{Key, RestSecret};
use causeway_client::Failure;
use causeway_tests::daemon::service::{PASSWORD, REALM, USER};

use crate::call::{Call, Way};
use crate::redis_server::RedisServer;
use crate::relay::Relay;

/// How long a change may take. The servers poll once a second; the rest is for a busy machine.
const SOON: Duration = Duration::from_secs(4);
/// A name that would be dangerous if it became part of a command or a key unescaped (H40).
const ODD: (&str, &str) = ("dave *{1}%s", "cw:user:interop.example:dave%20%2A%7B1%7D%25s");

#[test]
fn a_user_of_redis_logs_in_and_a_change_counts_at_once() {
    let (redis, relay) = start("clear");
    let key = "cw:user:interop.example:carol";
    put(&redis, &["HSET", key, "md5", &md5("carol", "sea")]);
    put(&redis, &["HSET", ODD.1, "md5", &md5(ODD.0, "pass")]);
    let mut call = open(&relay, "carol", "sea").expect("it is a user");
    open(&relay, ODD.0, "pass").expect("dave is a user").close();
    open(&relay, USER, PASSWORD).expect("a user of the configuration").close();
    for (user, password) in [("carol", "guess"), ("erin", "x"), ("carol*", "sea"), (USER, "guess")]
    {
        assert!(is_refusal(&open(&relay, user, password)), "{user}");
    }
    bind(&mut call).expect("carol still is a user");

    put(&redis, &["HSET", key, "md5", &md5("carol", "changed")]);
    until_refused(|| bind(&mut call));
    let mut changed = open(&relay, "carol", "changed").expect("this is the new password");
    bind(&mut changed).expect("it is a user");

    put(&redis, &["DEL", key]);
    until_refused(|| bind(&mut changed));
    assert!(is_refusal(&open(&relay, "carol", "changed")));

    put(&redis, &["HSET", key, "md5", &md5("carol", "back")]);
    let start = Instant::now();
    while open(&relay, "carol", "back").is_err() {
        assert!(
            start.elapsed() < SOON,
            "carol is refused although the user exists again:\n{}",
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
    let mut call = open(&relay, "gina", "sea").expect("gina has the key that our client prefers");
    bind(&mut call).expect("it is a user");
    open(&relay, "hugo", "sea").expect("hugo has both keys").close();
    open(&relay, USER, PASSWORD).expect("a user of the configuration has both keys, too").close();
    for (user, password) in [("gina", "guess"), ("ivan", "sea"), ("mallory", "sea")] {
        assert!(is_refusal(&open(&relay, user, password)), "{user}");
    }
    relay.service.end();
}

#[test]
fn a_rest_secret_of_redis_counts_until_it_is_deleted() {
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
fn h45_without_redis_known_users_go_on_and_others_get_no_answer() {
    let (mut redis, relay) = start("clear");
    put(&redis, &["HSET", "cw:user:interop.example:carol", "md5", &md5("carol", "sea")]);
    put(&redis, &["HSET", "cw:user:interop.example:dora", "md5", &md5("dora", "sea")]);
    let mut call = open(&relay, "carol", "sea").expect("it is a user");
    redis.halt();
    bind(&mut call).expect("carol was known");
    redis.resume();
    redis.kill();
    let start = Instant::now();
    for _ in 0..8 {
        open(&relay, "carol", "sea").expect("carol was known").close();
        open(&relay, USER, PASSWORD).expect("Redis is not asked for this user").close();
    }
    bind(&mut call).expect("carol was known");
    assert!(start.elapsed() < SOON, "{:?} for what does not need Redis", start.elapsed());
    let unanswered = open(&relay, "dora", "sea").err();
    assert!(matches!(unanswered, Some(Failure::TimedOut)), "{unanswered:?}");
    assert!(relay.service.metric("turnd_store_user_lookups_total{from=\"unavailable\"}") > 0);
    relay.service.end();
}

#[test]
fn a_user_in_clear_is_refused_where_users_must_be_sealed() {
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

/// Changes a user as an operator's tool does: the change, then an increment of the version.
fn put(redis: &RedisServer, command: &[&str]) {
    let mut connection = redis.connection();
    let mut change = redis::cmd(command[0]);
    change.arg(&command[1..]);
    let _: i64 = change.query(&mut connection).expect("Redis accepts it");
    let _: i64 =
        redis::cmd("INCR").arg("cw:users:version").query(&mut connection).expect("Redis counts");
}

fn open(relay: &Relay, user: &str, password: &str) -> Result<Call, Failure> {
    Call::open(relay.service.address, user, password, Way::Permission)
}

fn is_refusal(outcome: &Result<Call, Failure>) -> bool {
    outcome.as_ref().is_err_and(|failure| failure.to_string().contains("401"))
}

/// A new request on the call's allocation: a channel to another port each time.
fn bind(call: &mut Call) -> Result<(), Failure> {
    static PORT: AtomicU16 = AtomicU16::new(1);
    call.bind((call.peer().ip(), PORT.fetch_add(1, Ordering::Relaxed)).into())
}

/// Repeats a request until the answer is 401, which must be soon.
fn until_refused(mut ask: impl FnMut() -> Result<(), Failure>) {
    let start = Instant::now();
    loop {
        match ask() {
            Ok(()) => assert!(start.elapsed() < SOON, "the change has no effect"),
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
