//! Several servers with one name: only one has it at a time, and the next may take it over (H48).

use std::time::{Duration, Instant};

use causeway_store::{Directory as _, ErrorKind, Outcome, Redis, State};

use crate::server::Server;
use crate::world::{Running, World, account, found, record, sealer};

/// Several heartbeats of a [`Running`], so that a busy machine does not look like a crash.
const LIFETIME: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(3);

fn redis(server: &Server) -> Redis {
    let mut settings = server.settings();
    settings.heartbeat_lifetime = LIFETIME;
    Redis::new(&settings, sealer()).expect("a good URL")
}

async fn running(redis: Redis, user: &str, ids: std::ops::Range<u64>) -> Running {
    let running = Running::start(redis, World::default());
    ids.for_each(|id| running.world.put(record(id, user)));
    running
        .until("connected and written", |report| {
            report.state == State::Connected && report.depth == 0
        })
        .await;
    running
}

#[tokio::test]
async fn h48_a_second_server_is_refused_while_the_first_lives_and_disturbs_nothing() {
    let server = Server::start(&[]);
    let first = running(redis(&server), "a", 0..5).await;
    let refused = redis(&server).restore(PATIENCE).await;
    let Outcome::Incomplete(error) = refused.outcome else {
        panic!("the other server has the name: {refused:?}")
    };
    assert!(error.kind == ErrorKind::Fenced && error.text.contains("heartbeat"), "{error}");
    assert!(refused.records.is_empty());
    first.world.put(record(5, "a"));
    let report = first.until("written", |report| report.written >= 6 && report.depth == 0).await;
    assert_eq!(
        (report.state, report.errors[ErrorKind::Fenced.index()], report.comparisons),
        (State::Connected, 0, 1)
    );
    first.end().await;
}

#[tokio::test]
async fn h48_a_server_that_has_crashed_is_waited_for_until_its_heartbeat_ends() {
    let server = Server::start(&[]);
    let first = running(redis(&server), "a", 0..5).await;
    first.task.abort();
    let restored = redis(&server).restore(Duration::from_millis(200)).await;
    assert_eq!((restored.outcome, restored.records.len()), (Outcome::Complete, 5));
}

#[tokio::test]
async fn h48_the_next_holder_of_a_crashed_servers_lock_does_not_wait() {
    let server = Server::start(&[]);
    // A heartbeat that would keep others out for the whole test.
    let mut settings = server.settings();
    settings.heartbeat_lifetime = Duration::from_secs(600);
    let mut first = Redis::new(&settings, sealer()).unwrap();
    first.begin_full().await.unwrap();
    let ended = first.incarnation();
    drop(first);
    let mut next = Redis::new(&settings, sealer()).unwrap();
    next.succeed(&[ended]);
    assert_eq!(next.restore(Duration::from_secs(1)).await.outcome, Outcome::Complete);
}

#[tokio::test]
async fn h48_an_orderly_end_frees_the_name_at_once() {
    let server = Server::start(&[]);
    let first = running(redis(&server), "a", 0..5).await;
    first.end().await;
    let registry: u64 = server.ask(&["EXISTS", "cw:node:relay-1"]).await;
    assert_eq!(registry, 0);
    let start = Instant::now();
    let mut settings = server.settings();
    settings.heartbeat_lifetime = Duration::from_secs(600);
    let restored = Redis::new(&settings, sealer()).unwrap().restore(PATIENCE).await;
    assert_eq!((restored.outcome, restored.records.len()), (Outcome::Complete, 5));
    assert!(start.elapsed() < PATIENCE);
}

#[tokio::test]
async fn h48_the_first_is_fenced_by_a_take_over_and_comes_back_when_the_second_has_ended() {
    let server = Server::start(&[]);
    let first = running(redis(&server), "first", 0..5).await;
    let mut second = redis(&server);
    second.take_over();
    assert_eq!(second.restore(PATIENCE).await.records.len(), 5);
    let second = running(second, "second", 10..12).await;
    first.until("fenced", |report| report.state == State::Fenced).await;
    // The second can restore none of them, and does not delete them.
    let index: u64 = server.ask(&["SCARD", "cw:{relay-1}:index"]).await;
    assert_eq!(index, 8, "five, two and the anchor");

    first.world.delete(0);
    first.world.put(record(6, "first"));
    first.accounting.push(account("while fenced"));
    let start = Instant::now();
    while first.accounting.depth() > 0 {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "the accounts of a fenced server's calls are written"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(first.status.state(), State::Fenced);

    second.end().await;
    first
        .until("its own again", |report| report.state == State::Connected && report.depth == 0)
        .await;
    let world = first.world.clone();
    first.end().await;
    let mut there = found(&server).await;
    there.retain(|_, record| record.credential.username == "first");
    let mut expected = world.live();
    expected.retain(|_, record| record.credential.username == "first");
    assert_eq!(there, expected);
}

#[tokio::test]
async fn h48_a_fenced_server_comes_back_when_the_other_has_crashed() {
    let server = Server::start(&[]);
    let first = running(redis(&server), "first", 0..5).await;
    let mut second = redis(&server);
    second.take_over();
    second.restore(PATIENCE).await;
    let second = running(second, "second", 10..12).await;
    first.until("fenced", |report| report.state == State::Fenced).await;
    second.task.abort();
    first
        .until("its own again", |report| report.state == State::Connected && report.depth == 0)
        .await;
    first.end().await;
}

#[tokio::test]
async fn h48_a_claim_on_a_full_server_writes_what_it_must() {
    let server = Server::start(&[]);
    let first = running(redis(&server), "a", 0..5).await;
    first.end().await;
    let mut filler = redis::cmd("SET");
    filler.arg("filler").arg(vec![0_u8; 2 << 20]);
    server.try_ask::<()>(&filler).await.unwrap();
    let _: () = server.ask(&["CONFIG", "SET", "maxmemory", "1mb"]).await;
    let mut next = redis(&server);
    let restored = next.restore(PATIENCE).await;
    assert_eq!((restored.outcome, restored.records.len()), (Outcome::Complete, 5));
    let held: String = server.ask(&["GET", "cw:{relay-1}:incarnation"]).await;
    assert!(held.starts_with(&next.incarnation().to_string()), "{held}");
    let alive: String = server.ask(&["HGET", "cw:node:relay-1", "incarnation"]).await;
    assert_eq!(alive, next.incarnation().to_string());
}
