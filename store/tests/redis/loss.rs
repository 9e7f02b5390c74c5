//! Records that are lost one by one, which no write detects.

use std::time::Duration;

use causeway_store::{RecordId, State};

use crate::server::Server;
use crate::world::{Running, World, found, record, redis};

fn key(id: u64) -> String {
    format!("cw:{{relay-1}}:alloc:{}", RecordId(id))
}

#[tokio::test]
async fn h47_records_that_another_program_deletes_are_written_again() {
    let server = Server::start(&[]);
    let running = Running::start(redis(&server), World::default());
    (0..30).for_each(|id| running.world.put(record(id, "a")));
    running.until("written", |report| report.state == State::Connected && report.depth == 0).await;
    let _: () = server.ask(&["DEL", &key(3), &key(17)]).await;
    let report = running
        .until("compared again", |report| report.comparisons == 2 && report.depth == 0)
        .await;
    assert_eq!(report.missing, 2);
    // A record of an ended allocation is not missed.
    running.world.delete(5);
    let beats = report.written;
    running.until("deleted", |report| report.written > beats).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let world = running.world.clone();
    let report = running.end().await;
    assert_eq!((report.missing, report.comparisons), (2, 2));
    assert_eq!(found(&server).await, world.live());
}

#[tokio::test]
async fn a_policy_that_evicts_is_seen_while_it_lasts() {
    let server = Server::start(&["--maxmemory-policy", "volatile-lru"]);
    let running = Running::start(redis(&server), World::default());
    running.until("it is seen", |report| report.inspection.may_evict == Some(true)).await;
    let _: () = server.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    running.until("it is seen", |report| report.inspection.may_evict == Some(false)).await;
    running.end().await;
}
