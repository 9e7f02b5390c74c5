//! A Redis that our own accounting stream has filled (H50).

use std::time::Duration;

use causeway_store::{ErrorKind, State};

use crate::server::Server;
use crate::world::{Running, World, account, found, record, redis};

/// Fills the stream with entries as `turnd` writes them, and then limits the server to nine tenths
/// of their memory. Returns the number of entries.
async fn fill(server: &Server) -> u64 {
    let client =
        redis::Client::open(format!("redis://{}", server.address())).expect("the URL is good");
    let mut connection =
        client.get_multiplexed_async_connection().await.expect("the server answers");
    let _: () = server.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    for _ in 0..40 {
        let mut batch = redis::Pipeline::new();
        for _ in 0..500 {
            batch
                .cmd("XADD")
                .arg("cw:accounting")
                .arg("*")
                .arg("node")
                .arg("relay-1")
                .arg("user")
                .arg("alice".repeat(30))
                .arg("reason")
                .arg("expired");
        }
        let _: () = batch.query_async::<()>(&mut connection).await.expect("there is room");
    }
    let info: String = server.ask(&["INFO", "memory"]).await;
    let used = info
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"))
        .expect("INFO has the memory");
    let used: u64 = used.trim().parse().expect("a number");
    let _: () = server.ask(&["CONFIG", "SET", "maxmemory", &(used - used / 10).to_string()]).await;
    server.ask(&["XLEN", "cw:accounting"]).await
}

fn small() -> Server {
    Server::start(&["--maxmemory-policy", "noeviction"])
}

#[tokio::test]
async fn h50_a_server_filled_by_accounting_takes_records_at_once() {
    let server = small();
    let before = fill(&server).await;
    let running = Running::start(redis(&server), World::default());
    (0..200).for_each(|id| running.world.put(record(id, "a")));
    running.accounting.push(account("a"));
    let report = running
        .until("all is written", |report| {
            report.state == State::Connected
                && report.depth == 0
                && report.inspection.accounting_trimmed > 0
        })
        .await;
    let entries: u64 = server.ask(&["XLEN", "cw:accounting"]).await;
    let left = before - report.inspection.accounting_trimmed;
    assert!((1..=left + 1).contains(&entries), "it is trimmed, not emptied: {entries} of {before}");
    assert_eq!(report.inspection.accounting_entries.map(|seen| seen <= entries + 1), Some(true));
    let world = running.world.clone();
    running.end().await;
    assert_eq!(found(&server).await, world.live());
}

#[tokio::test]
async fn h50_accounts_alone_are_taken_too_and_a_heartbeat_comes_through() {
    let server = small();
    let running = Running::start(redis(&server), World::default());
    running.until("connected", |report| report.state == State::Connected).await;
    fill(&server).await;
    let _: () = server.ask(&["DEL", "cw:node:relay-1"]).await;
    fill(&server).await;
    (0..50).for_each(|_| running.accounting.push(account("a")));
    running.until("trimmed", |report| report.inspection.accounting_trimmed > 0).await;
    let start = std::time::Instant::now();
    while running.accounting.depth() > 0
        || server.ask::<u64>(&["EXISTS", "cw:node:relay-1"]).await == 0
    {
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{} accounts wait",
            running.accounting.depth()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(running.status.read().state, State::Connected);
    assert_eq!(running.end().await.comparisons, 1, "accounting entries cause no comparison");
}

#[tokio::test]
async fn h50_accounts_that_are_refused_delay_no_record() {
    let server = Server::start(&[]);
    // Another program's string has our key: every XADD is refused.
    let _: () = server.ask(&["SET", "cw:accounting", "text"]).await;
    let running = Running::start(redis(&server), World::default());
    running.accounting.push(account("a"));
    running.world.put(record(1, "a"));
    running.until("refused", |report| report.errors[ErrorKind::Other.index()] > 0).await;
    running.world.put(record(2, "a"));
    let report = running.until("written", |report| report.written >= 2 && report.depth == 0).await;
    assert_eq!(
        (report.state, report.comparisons, running.accounting.depth()),
        (State::Connected, 1, 1)
    );
    let _: () = server.ask(&["DEL", "cw:accounting"]).await;
    let start = std::time::Instant::now();
    while running.accounting.depth() > 0 {
        assert!(start.elapsed() < Duration::from_secs(5), "it is tried again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    running.end().await;
}

#[tokio::test]
async fn h50_without_the_right_to_trim_all_else_works() {
    let server = small();
    let rights = "~cw:* -@all +auth +hello +ping +select +multi +exec +evalsha +script|load \
                  +get +set +incr +del +exists +sadd +srem +smembers +pexpire +mget +hset +hdel \
                  +hmget +hgetall +xadd";
    let acl: Vec<&str> = ["ACL", "SETUSER", "turnd", "on", ">right"]
        .into_iter()
        .chain(rights.split_whitespace())
        .collect();
    let _: () = server.ask(&acl).await;
    let mut settings = server.settings();
    (settings.username, settings.password) =
        (Some("turnd".to_owned()), Some("right".to_owned().into()));
    let turnd = causeway_store::Redis::new(&settings, crate::world::sealer()).expect("a good URL");
    let running = Running::start(turnd, World::default());
    running.world.put(record(1, "a"));
    running.accounting.push(account("a"));
    running
        .until("written", |report| {
            report.state == State::Connected && report.written == 1 && report.depth == 0
        })
        .await;
    fill(&server).await;
    running.world.put(record(2, "a"));
    let report = running
        .until("it is full", |report| {
            report.state == State::Refused && report.errors[ErrorKind::Full.index()] > 3
        })
        .await;
    assert!(report.depth <= 2, "each try counts the same two changes: {report:?}");
    let _: () = server.ask(&["XTRIM", "cw:accounting", "MAXLEN", "0"]).await;
    let report = running
        .until("written", |report| report.state == State::Connected && report.depth == 0)
        .await;
    assert_eq!((report.inspection.accounting_entries, report.inspection.may_evict), (None, None));
    running.end().await;
}
