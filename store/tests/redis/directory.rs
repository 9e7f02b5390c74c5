//! Records in Redis: written, restored, compared, and never deleted for another process.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use causeway_store::{Change, Directory as _, ErrorKind, Outcome, Record, RecordId, State};

use crate::server::Server;
use crate::world::{self, NASTY, Running, World, account, found, put, record, redis, successor};

const PATIENCE: Duration = Duration::from_secs(3);

fn by_id(records: impl IntoIterator<Item = Record>) -> BTreeMap<RecordId, Record> {
    records.into_iter().map(|record| (record.id, record)).collect()
}

#[tokio::test]
async fn h40_the_next_process_finds_exactly_the_written_records() {
    let server = Server::start(&[]);
    let mut first = redis(&server);
    assert_eq!(first.restore(PATIENCE).await.outcome, Outcome::Complete);
    let records: Vec<Record> = (0..).zip(NASTY).map(|(id, name)| record(id, name)).collect();
    first.begin_full().await.unwrap();
    first.write(&records.iter().map(put).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(first.end_full().await, Ok(0));
    drop(first);

    assert_eq!(found(&server).await, by_id(records));
    let mut keys: Vec<String> = server.ask(&["KEYS", "*"]).await;
    keys.retain(|key| !key.starts_with("cw:{relay-1}:"));
    assert_eq!(keys, ["cw:node:relay-1"]);
    let lives: u64 = server.ask(&["PTTL", &format!("cw:{{relay-1}}:alloc:{}", RecordId(1))]).await;
    assert!((600_000..=660_000).contains(&lives), "slightly over the lifetime: {lives}");
}

#[tokio::test]
async fn a_batch_puts_and_deletes_and_a_record_written_twice_is_its_latest_state() {
    let server = Server::start(&[]);
    let mut redis = redis(&server);
    redis.begin_full().await.unwrap();
    redis.write(&[put(&record(1, "a")), put(&record(2, "b"))]).await.unwrap();
    let latest = record(2, "later");
    redis
        .write(&[Change::Delete(RecordId(1)), put(&latest), Change::Delete(RecordId(9))])
        .await
        .unwrap();
    assert_eq!(found(&server).await, by_id([latest]));
}

#[tokio::test]
async fn the_comparison_deletes_records_that_are_not_offered() {
    let server = Server::start(&[]);
    let mut first = redis(&server);
    first.begin_full().await.unwrap();
    let all: Vec<Change> = (0..600).map(|id| put(&record(id, "a"))).collect();
    for changes in all.chunks(200) {
        first.write(changes).await.unwrap();
    }
    first.end_full().await.unwrap();

    let mut second = successor(&server);
    assert_eq!(second.restore(PATIENCE).await.records.len(), 600);
    second.answer_for((0..600).map(RecordId));
    second.begin_full().await.unwrap();
    second.write(&[put(&record(5, "a"))]).await.unwrap();
    assert_eq!(second.end_full().await, Ok(599));
    assert_eq!(found(&server).await.keys().copied().collect::<Vec<_>>(), [RecordId(5)]);
    let keys: u64 = server.ask(&["DBSIZE"]).await;
    assert_eq!(keys, 4, "the record, the index, the incarnation, the registry's entry");
}

#[tokio::test]
async fn an_older_incarnation_cannot_write_and_says_so() {
    let server = Server::start(&[]);
    let world = World::default();
    world.put(record(1, "old"));
    let old = Running::start(redis(&server), world);
    old.until("connected", |report| report.state == State::Connected).await;

    let mut new = successor(&server);
    assert_eq!(new.restore(PATIENCE).await.records.len(), 1);
    let kept = record(2, "new");
    new.begin_full().await.unwrap();
    new.write(&[put(&kept)]).await.unwrap();
    new.end_full().await.unwrap();

    old.world.put(record(3, "old"));
    let report = old.until("fenced", |report| report.state == State::Fenced).await;
    let last = report.last_error.unwrap();
    assert!(
        last.kind == ErrorKind::Fenced && last.text.contains(&new.incarnation().to_string()),
        "{last}"
    );
    old.end().await;
    new.write(&[]).await.unwrap();
    let there = found(&server).await;
    // The records of the old process stay: they are not known to have ended.
    assert_eq!(there.keys().copied().collect::<Vec<_>>(), [RecordId(1), RecordId(2)]);
    assert_eq!(there[&RecordId(2)], kept);
}

#[tokio::test]
async fn writes_of_a_closed_connection_are_refused() {
    let server = Server::start(&[]);
    let mut redis = redis(&server);
    redis.begin_full().await.unwrap();
    let key = "cw:{relay-1}:incarnation";
    let before: String = server.ask(&["GET", key]).await;
    // A comparison takes the next generation, as a new connection does.
    redis.begin_full().await.unwrap();
    let after: String = server.ask(&["GET", key]).await;
    assert_eq!(
        (before.as_str(), after.as_str()),
        (&*format!("{}.1", redis.incarnation()), &*format!("{}.2", redis.incarnation()))
    );
    let _: () = server.ask(&["SET", key, &before]).await;
    let refused = redis.write(&[put(&record(1, "a"))]).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::NeedsFull, "{refused}");
    redis.begin_full().await.unwrap();
    redis.write(&[put(&record(1, "a"))]).await.unwrap();
}

#[tokio::test]
async fn damaged_records_and_those_of_another_version_are_counted_and_the_others_restored() {
    let server = Server::start(&[]);
    let mut first = redis(&server);
    first.begin_full().await.unwrap();
    let records: Vec<Record> = (0..6).map(|id| record(id, "a")).collect();
    first.write(&records.iter().map(put).collect::<Vec<_>>()).await.unwrap();
    let key = |id: u64| format!("cw:{{relay-1}}:alloc:{}", RecordId(id));
    let _: () = server.ask(&["SETRANGE", &key(0), "0", "\u{9}"]).await;
    let _: () = server.ask(&["SETRANGE", &key(1), "60", "damage"]).await;
    let _: () = server.ask(&["SET", &key(2), "\u{1}"]).await;
    // A valid record under another's name.
    let _: () = server.ask(&["COPY", &key(4), &key(3), "REPLACE"]).await;
    let _: () = server.ask(&["DEL", &key(4)]).await;
    let _: () = server.ask(&["SADD", "cw:{relay-1}:index", "nonsense"]).await;

    let restored = successor(&server).restore(PATIENCE).await;
    assert_eq!(by_id(restored.records), by_id(records[5..].iter().cloned()));
    assert_eq!(
        restored.not_restored,
        BTreeMap::from([("version", 1), ("seal", 2), ("truncated", 1), ("expired", 1)])
    );
    assert_eq!(restored.outcome, Outcome::Complete);
}

#[tokio::test]
async fn restoring_waits_three_seconds_for_an_absent_server_and_takes_one_that_comes_late() {
    let mut server = Server::absent();
    let start = Instant::now();
    let restored = redis(&server).restore(PATIENCE).await;
    assert!((2900..3300).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    let Outcome::Incomplete(error) = restored.outcome else { panic!("restored without a server") };
    assert_eq!((error.kind, restored.records.len()), (ErrorKind::Unreachable, 0));

    let mut waiting = redis(&server);
    let waiting = tokio::spawn(async move { waiting.restore(PATIENCE).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.run();
    assert_eq!(waiting.await.unwrap().outcome, Outcome::Complete);
}

#[tokio::test]
async fn restoring_from_a_server_that_hangs_ends_in_time() {
    let server = Server::start(&[]);
    server.halt();
    let start = Instant::now();
    let restored = redis(&server).restore(PATIENCE).await;
    server.resume();
    assert!(start.elapsed() < Duration::from_millis(3300), "{:?}", start.elapsed());
    assert!(
        matches!(restored.outcome, Outcome::Incomplete(error) if error.kind == ErrorKind::Timeout)
    );
}

#[tokio::test]
async fn h40_accounting_and_the_registry_are_written_as_they_are() {
    let server = Server::start(&[]);
    let running = Running::start(redis(&server), World::default());
    NASTY.iter().for_each(|name| running.accounting.push(account(name)));
    running.until("connected", |report| report.state == State::Connected).await;
    while running.accounting.depth() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    type Entry = (String, BTreeMap<String, String>);
    let entries: Vec<Entry> = server.ask(&["XRANGE", "cw:accounting", "-", "+"]).await;
    let names: Vec<&str> = entries.iter().map(|(_, fields)| &*fields["user"]).collect();
    assert_eq!(names, NASTY);
    let (_, entry) = &entries[0];
    for (field, value) in [
        ("node", "relay-1"),
        ("event", "end"),
        ("bytes_to_client", "320"),
        ("duration_ms", "1500"),
        ("reason", "expired"),
    ] {
        assert_eq!(entry[field], value, "{field}");
    }

    let node: BTreeMap<String, String> = server.ask(&["HGETALL", "cw:node:relay-1"]).await;
    assert_eq!(
        (&*node["addresses"], &*node["state"], &*node["capacity"]),
        ("udp=203.0.113.7:3478", "serving", "1000")
    );
    let lives: i64 = server.ask(&["PTTL", "cw:node:relay-1"]).await;
    assert!((1..=20_000).contains(&lives), "{lives}");
    running.end().await;
}

#[tokio::test]
async fn ten_thousand_allocations_are_restored_within_the_three_seconds() {
    let server = Server::start(&[]);
    let running = Running::start(redis(&server), World::default());
    (0..10_000).for_each(|id| running.world.put(record(id, "a")));
    let start = Instant::now();
    running
        .until("written", |report| {
            report.state == State::Connected && report.written == 10_000 && report.depth == 0
        })
        .await;
    println!("written in {:?}", start.elapsed());
    running.end().await;
    let start = Instant::now();
    let restored = redis(&server).restore(PATIENCE).await;
    println!("restored in {:?}", start.elapsed());
    assert_eq!((restored.outcome, restored.records.len()), (Outcome::Complete, 10_000));
}

#[tokio::test]
async fn what_changed_last_is_written_before_the_end() {
    let server = Server::start(&[]);
    let running = Running::start(redis(&server), World::default());
    running.until("connected", |report| report.state == State::Connected).await;
    (0..1000).for_each(|id| running.world.put(record(id, "a")));
    running.accounting.push(account("a"));
    let world = running.world.clone();
    let report = running.end().await;
    assert_eq!((report.depth, report.lag), (0, Duration::ZERO));
    assert_eq!(found(&server).await, world.live());
    let entries: u64 = server.ask(&["XLEN", "cw:accounting"]).await;
    assert_eq!(entries, 1);
}

#[test]
fn h25_settings_show_no_password() {
    let mut settings = causeway_store::RedisSettings::new("redis://user:hunter2@127.0.0.1");
    settings.password = Some("hunter2".to_owned().into());
    assert!(!format!("{settings:?}").contains("hunter2"));
    for url in ["rediss://h:hunter2@127.0.0.1", "hunter2", "redis://h:hunter2@:x"] {
        let refused =
            causeway_store::Redis::new(&causeway_store::RedisSettings::new(url), world::sealer())
                .unwrap_err();
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
    }
}
