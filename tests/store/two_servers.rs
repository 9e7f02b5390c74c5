//! Two servers with the same name: the second is refused, or takes over.

use causeway_kit::Scratch;
use causeway_tests::daemon::service::Service;

use crate::call::Way;
use crate::redis_server::RedisServer;
use crate::relay::{self, NODE, Relay};

/// The second server has its own folder for locks, as on another host or in another container.
#[test]
fn h48_the_name_of_a_live_server_is_refused_can_be_taken_over_and_comes_back() {
    let redis = RedisServer::start();
    let mut first = Relay::start(&redis.url());
    let mut calls = first.calls(4);
    first.until_kept(&redis, &calls.iter().collect::<Vec<_>>());
    first.until_state("connected");

    let elsewhere = Scratch::new();
    let (address, config) = relay::config(&relay::store(&redis.url(), &elsewhere));
    let (status, said) = Service::refused("turnd", &config);
    assert!(!status.success() && status.code().is_some(), "{status}: {said}");
    // It may wait 20 seconds for the heartbeat to expire: the log says why.
    for word in [
        "node_id",
        NODE,
        "heartbeat",
        "--take-over",
        "waiting to see whether the server with this node's name is alive",
    ] {
        assert!(said.contains(word), "it does not say {word:?}: {said}");
    }
    first.until_kept(&redis, &calls.iter().collect::<Vec<_>>());
    assert_eq!((first.errors("fenced"), first.service.get("/readyz").0), (0, 200));

    let second = Service::start_with("turnd", address, &config, &["--take-over"]);
    assert_eq!(
        second.metric("turnd_store_records_not_restored_total{reason=\"taken\"}"),
        4,
        "{}",
        second.log()
    );
    first.until_state("fenced");
    let (status, said) = first.service.get("/readyz");
    assert!(status == 503 && said.contains("fenced"), "{status}: {said}");
    assert_eq!(first.service.get("/healthz").0, 200);
    // Its calls and new ones go on, and none of their records is deleted.
    calls.push(first.call(Way::Channel));
    second.until_metric("turnd_store_state{state=\"connected\"}", 1);
    assert_eq!(relay::records(&redis).len(), 4);

    second.end();
    first.until_state("connected");
    assert_eq!(first.service.get("/readyz").0, 200);
    first.until_kept(&redis, &calls.iter().collect::<Vec<_>>());
    first.crash();
    first.until_restored(5);
    crate::damage::lives(calls, &first);
    first.service.end();
}

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
    // The first is not affected: its records exist, its calls go on.
    relay.until_kept(&redis, &calls.iter().collect::<Vec<_>>());
    crate::damage::lives(calls, &relay);
    relay.until_state("connected");
    relay.service.end();

    // The name is free again when its server has ended.
    let second = Service::start("turnd", address, &second);
    second.until_metric("turnd_store_state{state=\"connected\"}", 1);
    second.end();
}
