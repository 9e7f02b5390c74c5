//! A Redis that evicts, or whose operator deletes keys: records are lost one by one.

use crate::damage::lives;
use crate::redis_server::RedisServer;
use crate::relay::{Relay, record_key};

#[test]
fn h47_records_that_are_lost_singly_are_written_again_and_a_policy_that_evicts_is_warned_of() {
    let redis = RedisServer::start();
    redis.set("maxmemory-policy", "volatile-lru");
    let mut relay = Relay::start(&redis.url());
    relay.service.until_log("set maxmemory-policy to noeviction");
    relay.service.until_metric("turnd_store_may_evict", 1);
    let calls = relay.calls(6);
    let all = calls.iter().collect::<Vec<_>>();
    let kept = relay.until_kept(&redis, &all);
    for record in &kept[..4] {
        let () = redis::cmd("DEL")
            .arg(record_key(record.id))
            .query(&mut redis.connection())
            .expect("Redis answers");
    }
    // At most two heartbeats.
    relay.until_kept(&redis, &all);
    assert!((1..=4).contains(&relay.service.metric("turnd_store_records_missing_total")));
    relay.crash();
    relay.until_restored(6);
    lives(calls, &relay);
    relay.service.end();
}
