//! REST credentials and the store: a restart after the secret was replaced.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use causeway_auth::RestSecret;
use causeway_client::Failure;
use causeway_kit::Scratch;

use crate::call::{Call, Way};
use crate::redis_server::RedisServer;
use crate::relay::Relay;

#[test]
fn h49_after_a_restart_a_replaced_rest_secret_is_refused() {
    let (redis, secrets) = (RedisServer::start(), Scratch::new());
    let file = secrets.write("rest-secret", "north");
    let mut relay = start(&redis, &file);
    let mut call = open(&relay, &format!("{}:alice", unix() + 3600)).expect("north issued it");
    relay.until_kept(&redis, &[&call]);
    relay.crash();
    relay.until_restored(1);
    another(&mut call, 1).expect("north is still the secret");
    relay.until_kept(&redis, &[&call]);
    relay.service.kill();
    secrets.write("rest-secret", "south");
    relay.service.start_again();
    relay.until_restored(1);
    let refused = another(&mut call, 2).expect_err("north is no longer the secret");
    assert!(refused.to_string().contains("401"), "{refused}");
    relay.service.end();
}

#[test]
fn h49_an_expiry_in_milliseconds_is_refused_with_its_reason() {
    let (redis, secrets) = (RedisServer::start(), Scratch::new());
    let relay = start(&redis, &secrets.write("rest-secret", "north"));
    open(&relay, &format!("{}:alice", unix() + 3600)).expect("in seconds");
    for (expiry, reason) in [
        (format!("{}", (unix() + 3600) * 1000), "expiry-not-in-seconds"),
        (format!("+{}", unix() + 3600), "no-rest-name"),
    ] {
        let refused =
            open(&relay, &format!("{expiry}:alice")).err().map(|failure| failure.to_string());
        assert!(
            refused.as_ref().is_some_and(|failure| failure.contains("401")),
            "{expiry}: {refused:?}"
        );
        relay.service.until_log(reason);
        assert!(
            relay.service.metric(&format!("turnd_auth_failures_total{{reason=\"{reason}\"}}")) > 0
        );
    }
    relay.service.end();
}

fn start(redis: &RedisServer, secret: &Path) -> Relay {
    Relay::start_as(&redis.url(), |config| {
        config.replace("[auth]\n", &format!("[auth]\nrest_secret_file = {secret:?}\n"))
    })
}

/// A call under a username whose password was derived from `north`.
fn open(relay: &Relay, user: &str) -> Result<Call, Failure> {
    Call::open(
        relay.service.address,
        user,
        &RestSecret::new(b"north").password_sha1(user),
        Way::Permission,
    )
}

/// Binds a channel to a port of the peer's.
fn another(call: &mut Call, port: u16) -> Result<(), Failure> {
    call.bind(SocketAddr::new(call.peer().ip(), port))
}

fn unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_secs()
}
