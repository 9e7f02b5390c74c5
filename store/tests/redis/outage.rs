//! A store that is unreachable, hangs, is suddenly empty, is full, or rejects every login (H45).

use std::time::{Duration, Instant};

use causeway_store::{ErrorKind, State, StatusReport};

use crate::server::Server;
use crate::world::{Running, World, account, found, record, redis};

async fn connected(running: &Running) {
    running
        .until("connected and written", |report| {
            report.state == State::Connected && report.depth == 0
        })
        .await;
}

#[tokio::test]
async fn h45_after_an_outage_an_empty_server_holds_everything_again() {
    let mut server = Server::start(&[]);
    let running = Running::start(redis(&server), World::default());
    (0..500).for_each(|id| running.world.put(record(id, "a")));
    connected(&running).await;
    assert_eq!(found_quietly(&server).await, 500);

    server.kill();
    (0..100).for_each(|id| running.world.delete(id));
    running.world.put(record(777, "made meanwhile"));
    running.accounting.push(account("made meanwhile"));
    let away = running
        .until("it is seen", |report| {
            report.state == State::Connecting && report.lag > Duration::from_millis(200)
        })
        .await;
    assert!(away.depth >= 101 && away.errors[ErrorKind::Unreachable.index()] > 0, "{away:?}");

    server.run();
    connected(&running).await;
    let world = running.world.clone();
    running.end().await;
    assert_eq!(found(&server).await, world.live());
    let entries: u64 = server.ask(&["XLEN", "cw:accounting"]).await;
    assert_eq!(entries, 1);
}

#[tokio::test]
async fn h45_a_directory_that_was_deleted_is_written_again() {
    let server = Server::start(&[]);
    let running = Running::start(redis(&server), World::default());
    (0..10).for_each(|id| running.world.put(record(id, "a")));
    connected(&running).await;
    for gone in [&["FLUSHALL"][..], &["DEL", "cw:{relay-1}:index"]] {
        let before = running.status.read();
        let _: redis::Value = server.ask(gone).await;
        let report = running
            .until("compared again", |report| {
                report.comparisons > before.comparisons && report.state == State::Connected
            })
            .await;
        assert!(
            report.errors[ErrorKind::NeedsFull.index()]
                > before.errors[ErrorKind::NeedsFull.index()]
        );
        assert_eq!(found_quietly(&server).await, 10);
    }
}

#[tokio::test]
async fn h45_a_server_that_hangs_for_five_seconds_costs_timeouts_and_nothing_else() {
    let server = Server::start(&[]);
    let running = Running::start(redis(&server), World::default());
    (0..100).for_each(|id| running.world.put(record(id, "a")));
    connected(&running).await;

    server.halt();
    (0..50).for_each(|id| running.world.delete(id));
    (200..210).for_each(|id| running.world.put(record(id, "made meanwhile")));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let hung = running.status.read();
    assert_eq!(hung.state, State::Connecting);
    assert!(hung.errors[ErrorKind::Timeout.index()] >= 3, "{hung:?}");
    assert!(hung.lag > Duration::from_secs(4), "{hung:?}");

    server.resume();
    connected(&running).await;
    let world = running.world.clone();
    running.end().await;
    assert_eq!(found(&server).await, world.live());
}

#[tokio::test]
async fn h45_a_wrong_password_is_said_and_never_shown() {
    let server = Server::start(&["--requirepass", "right"]);
    for password in [None, Some("hunter2")] {
        let mut settings = server.settings();
        settings.password = password.map(|password| password.to_owned().into());
        let wrong = causeway_store::Redis::new(&settings, crate::world::sealer()).unwrap();
        let running = Running::start(wrong, World::default());
        let report =
            running.until("refused", |report| report.errors[ErrorKind::Auth.index()] > 0).await;
        assert_eq!(report.state, State::Connecting);
        assert!(!format!("{report:?}").contains("hunter2"));
        running.end().await;
    }
    let mut settings = server.settings();
    settings.password = Some("right".to_owned().into());
    let running = Running::start(
        causeway_store::Redis::new(&settings, crate::world::sealer()).unwrap(),
        World::default(),
    );
    connected(&running).await;
    running.end().await;
}

/// The rights of the user, as in `docs/store.md`.
const RIGHTS: &str = "~cw:* -@all +auth +hello +ping +select +multi +exec +evalsha \
                      +script|load +get +set +incr +del +exists +sadd +srem +smembers +pexpire \
                      +pttl +mget +hset +hdel +hmget +hgetall +xadd +xlen +xtrim +info";

#[tokio::test]
async fn a_redis_user_with_the_documented_rights_can_do_all_and_fewer_are_reported() {
    let docs = include_str!("../../../docs/store.md")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace(" \\ ", " ");
    assert!(
        docs.contains(&RIGHTS.split_whitespace().collect::<Vec<_>>().join(" ")),
        "docs/store.md has other rights"
    );
    let server = Server::start(&[]);
    let login = |name: &str| {
        let mut settings = server.settings();
        settings.username = Some(name.to_owned());
        settings.password = Some("right".to_owned().into());
        settings
    };
    let acl = |name| {
        ["ACL", "SETUSER", name, "on", ">right"]
            .into_iter()
            .chain(RIGHTS.split_whitespace())
            .collect::<Vec<_>>()
    };
    let _: () = server.ask(&acl("turnd")).await;
    let _: () = server.ask(&[acl("reader"), vec!["-set"]].concat()).await;

    let running = Running::start(
        causeway_store::Redis::new(&login("turnd"), crate::world::sealer()).expect("a good URL"),
        World::default(),
    );
    running.world.put(record(1, "a"));
    running.world.delete(2);
    running.accounting.push(account("a"));
    connected(&running).await;
    let told = |report: &StatusReport| {
        (report.inspection.accounting_entries.is_some(), report.inspection.may_evict)
    };
    running.until("it is told of the server", |report| told(report) == (true, Some(false))).await;
    running.end().await;
    let users = causeway_store::Users::new(
        &login("turnd"),
        crate::world::fleet_key(),
        causeway_store::UsersSettings::default(),
    )
    .unwrap();
    let secret =
        causeway_store::RestSecret { name: "1".into(), secret: vec![1].into(), not_after: None };
    users.put_secret("r", &secret).await.unwrap();
    assert_eq!(users.secrets("r").await, Ok(vec![secret]));
    users.remove_secret("r", "1").await.unwrap();
    users.remove_user("r", "unknown").await.unwrap();
    assert_eq!(users.lookup("r", "unknown").await, causeway_store::Lookup::Unknown);

    let reader = Running::start(
        causeway_store::Redis::new(&login("reader"), crate::world::sealer()).expect("a good URL"),
        World::default(),
    );
    reader.until("refused", |report| report.errors[ErrorKind::Auth.index()] > 0).await;
    reader.end().await;
}

#[tokio::test]
async fn h45_a_full_server_is_seen_still_deletes_and_is_caught_up_with() {
    let server = Server::start(&[]);
    let running = Running::start(redis(&server), World::default());
    (0..100).for_each(|id| running.world.put(record(id, "a")));
    connected(&running).await;

    let mut filler = redis::cmd("SET");
    filler.arg("filler").arg(vec![0_u8; 2 << 20]);
    server.try_ask::<()>(&filler).await.unwrap();
    let _: () = server.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    let _: () = server.ask(&["CONFIG", "SET", "maxmemory", "1mb"]).await;
    let refused = server.try_ask::<()>(redis::cmd("SET").arg("more").arg(1)).await.unwrap_err();
    assert_eq!(refused.code(), Some("OOM"), "{refused}");

    (0..40).for_each(|id| running.world.delete(id));
    (500..540).for_each(|id| running.world.put(record(id, "made meanwhile")));
    let report = running
        .until("it is seen", |report| {
            report.state == State::Refused && report.lag > Duration::from_millis(300)
        })
        .await;
    assert!(report.errors[ErrorKind::Full.index()] > 0, "{report:?}");
    let start = Instant::now();
    loop {
        let index: u64 = server.ask(&["SCARD", "cw:{relay-1}:index"]).await;
        if index == 61 {
            break;
        }
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "deletions go on, and leave 60 and the anchor, not {index}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let _: () = server.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    connected(&running).await;
    let world = running.world.clone();
    running.end().await;
    assert_eq!(found(&server).await, world.live());
}

#[tokio::test]
async fn h45_a_server_that_is_not_there_at_the_start_is_found_later() {
    let mut server = Server::absent();
    let running = Running::start(redis(&server), World::default());
    running.world.put(record(1, "a"));
    running.until("tried", |report| report.errors[ErrorKind::Unreachable.index()] > 2).await;
    server.run();
    connected(&running).await;
    let world = running.world.clone();
    running.end().await;
    assert_eq!(found(&server).await, world.live());
}

/// Number of records, counted without becoming their writer.
async fn found_quietly(server: &Server) -> usize {
    let keys: Vec<String> = server.ask(&["KEYS", "cw:{relay-1}:alloc:*"]).await;
    let index: usize = server.ask(&["SCARD", "cw:{relay-1}:index"]).await;
    assert_eq!(index, keys.len() + 1);
    keys.len()
}
