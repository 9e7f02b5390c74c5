//! One name, two servers.

use causeway_tests::daemon::service::Service;

use crate::redis_server::RedisServer;
use crate::relay::{self, NODE, Relay};

#[test]
fn a_second_server_of_one_name_does_not_start_and_says_why() {
    let redis = RedisServer::start();
    let relay = Relay::start(&redis.url());
    let calls = relay.calls(2);
    let (address, second) = relay::config(&relay::store(&redis.url(), &relay.lock));
    let (status, said) = Service::refused("turnd", &second);
    assert!(!status.success() && status.code().is_some(), "{status}: {said}");
    let first = format!("process {}", relay.service.pid());
    for word in ["node_id", NODE, &first] {
        assert!(said.contains(word), "it does not say {word:?}: {said}");
    }
    // And the first has not noticed: its records are there, its calls go on.
    relay.until_kept(&redis, &calls.iter().collect::<Vec<_>>());
    crate::damage::lives(calls, &relay);
    relay.until_state("connected");
    relay.service.end();

    // The name is free again when its server has ended.
    let second = Service::start("turnd", address, &second);
    second.until_metric("turnd_store_state{state=\"connected\"}", 1);
    second.end();
}
