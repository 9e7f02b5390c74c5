//! A restore that the server does not finish in time, and the comparison after it (H47); and
//! records of another clock (H49).

use std::time::Duration;

use causeway_store::{Change, Directory as _, ErrorKind, Outcome, Record, RecordId, State};

use crate::server::Server;
use crate::world::{Running, World, found, put, record, redis, successor, unix_millis};

/// Writes records and ends, as a former process.
async fn left_behind(server: &Server, records: u64) {
    let mut first = redis(server);
    first.begin_full().await.expect("the server answers");
    first
        .write(&(0..records).map(|id| put(&record(id, "a"))).collect::<Vec<_>>())
        .await
        .expect("the server answers");
    first.end_full().await.expect("the server answers");
    first.leave().await.expect("the server answers");
}

fn alloc(id: u64) -> String {
    format!("cw:{{relay-1}}:alloc:{}", RecordId(id))
}

#[tokio::test]
async fn h47_a_busy_server_delays_a_restore_and_does_not_end_it() {
    // The name of the setting before Redis 7; later versions accept it, too.
    let server = Server::start(&["--lua-time-limit", "20"]);
    left_behind(&server, 6).await;
    let mut forever = redis::cmd("EVAL");
    forever.arg("while true do end").arg(0);
    let mut next = redis(&server);
    let restoring = async {
        while server.try_ask::<()>(&redis::cmd("PING")).await.is_ok() {}
        let restore = tokio::spawn(async move { next.restore(Duration::from_secs(3)).await });
        tokio::time::sleep(Duration::from_millis(500)).await;
        let _: () = server.ask(&["SCRIPT", "KILL"]).await;
        restore.await.unwrap()
    };
    let (killed, restored) = tokio::join!(server.try_ask::<()>(&forever), restoring);
    assert!(killed.is_err(), "the script was to be killed");
    assert_eq!((restored.outcome, restored.records.len()), (Outcome::Complete, 6));
}

#[tokio::test]
async fn h47_records_that_a_restore_has_not_read_are_read_later_and_never_deleted() {
    let server = Server::start(&[]);
    left_behind(&server, 600).await;
    let mut next = redis(&server);
    server.halt();
    let restored = next.restore(Duration::from_millis(500)).await;
    server.resume();
    assert!(
        matches!(restored.outcome, Outcome::Incomplete(error) if error.kind == ErrorKind::Timeout)
    );
    assert_eq!(restored.records.len(), 0);

    let world = World::default();
    world.put(record(1000, "made meanwhile"));
    let running = Running::start(next, world.clone());
    running
        .until("all of it", |report| {
            report.state == State::Connected && report.depth == 0 && report.written >= 601
        })
        .await;
    assert_eq!(running.status.read().deleted_stale, 0);
    assert_eq!(world.live().len(), 601);
    running.end().await;
    assert_eq!(found(&server).await, world.live());
}

#[tokio::test]
async fn h47_a_comparison_deletes_only_what_this_process_answers_for() {
    let server = Server::start(&[]);
    left_behind(&server, 10).await;
    let _: () = server.ask(&["SETRANGE", &alloc(0), "0", "\u{9}"]).await;
    let mut next = redis(&server);
    assert_eq!(next.restore(Duration::from_secs(3)).await.records.len(), 9);
    // Of the nine, one has ended at once, one lives, one was on a connection; the others could not
    // be restored here.
    next.answer_for([1, 2, 3].map(RecordId));
    next.begin_full().await.unwrap();
    next.write(&[Change::Delete(RecordId(1)), put(&record(2, "a"))]).await.unwrap();
    assert_eq!(next.end_full().await, Ok(1));
    let left = async || server.ask::<u64>(&["SCARD", "cw:{relay-1}:index"]).await - 1;
    assert_eq!(left().await, 8);
    next.begin_full().await.unwrap();
    assert_eq!(next.read_late().await.unwrap().records.len(), 0, "they were read");
    next.write(&[put(&record(2, "a"))]).await.unwrap();
    assert_eq!((next.end_full().await, left().await), (Ok(0), 8));

    // They expire by themselves, and then leave the index.
    for id in [0, 4, 5] {
        let _: () = server.ask(&["DEL", &alloc(id)]).await;
    }
    next.heartbeat(&causeway_store::NodeReport::default(), Duration::from_secs(20)).await.unwrap();
    assert_eq!(left().await, 5);
}

#[tokio::test]
async fn h47_records_that_expire_unread_leave_the_index() {
    let server = Server::start(&[]);
    left_behind(&server, 10).await;
    let mut next = redis(&server);
    server.halt();
    next.restore(Duration::from_millis(300)).await;
    server.resume();
    let _: () = server.ask(&["DEL", &alloc(3)]).await;
    next.begin_full().await.unwrap();
    let late = next.read_late().await.unwrap();
    assert_eq!((late.records.len(), late.not_restored.get("expired")), (9, Some(&1)));
    let index: u64 = server.ask(&["SCARD", "cw:{relay-1}:index"]).await;
    assert_eq!(index, 10, "nine and the anchor");
}

/// A record whose writer's clock was `ahead` of this host's, with ten minutes left by the server's
/// clock.
async fn by_clock(ahead: i64) -> (Record, Option<Record>) {
    let server = Server::start(&[]);
    let mut first = redis(&server);
    first.begin_full().await.expect("the server answers");
    let mut written = record(1, "a");
    let times =
        [&mut written.created_at, &mut written.expires_at, &mut written.relayed[0].expires_at]
            .into_iter();
    let times =
        times.chain(written.permissions.iter_mut().map(|permission| &mut permission.expires_at));
    for time in times.chain(written.channels.iter_mut().map(|channel| &mut channel.expires_at)) {
        *time = time.checked_add_signed(ahead).expect("a time after 1970");
    }
    first.write(&[put(&written)]).await.expect("the server answers");
    let _: () = server.ask(&["PEXPIRE", &alloc(1), "660000"]).await;
    let restored = successor(&server).restore(Duration::from_secs(3)).await;
    (record(1, "a"), restored.records.into_iter().next())
}

#[tokio::test]
async fn h49_a_clock_that_was_set_back_or_ahead_changes_no_remaining_time() {
    for ahead in [-3_600_000, -590_000, 0, 3_600_000] {
        let (expected, restored) = by_clock(ahead).await;
        let restored =
            restored.unwrap_or_else(|| panic!("{ahead} ms ahead: it was taken for expired"));
        let about = |one: u64, other: u64| one.abs_diff(other) < 5_000;
        assert!(about(restored.expires_at, expected.expires_at), "{ahead}: {restored:?}");
        assert!(
            about(restored.relayed[0].expires_at, expected.relayed[0].expires_at),
            "{ahead}: {restored:?}"
        );
        assert!(about(restored.created_at, expected.created_at), "{ahead}: {restored:?}");
        assert!(
            about(restored.permissions[0].expires_at, expected.permissions[0].expires_at),
            "{ahead}: {restored:?}"
        );
        assert!(
            about(restored.channels[0].expires_at, expected.channels[0].expires_at),
            "{ahead}: {restored:?}"
        );
    }
}

#[tokio::test]
async fn h49_a_record_without_a_remaining_time_counts_by_its_own() {
    let server = Server::start(&[]);
    left_behind(&server, 2).await;
    let _: () = server.ask(&["PERSIST", &alloc(0)]).await;
    let restored = redis(&server).restore(Duration::from_secs(3)).await;
    let now = unix_millis();
    assert!(
        restored
            .records
            .iter()
            .all(|record| (590_000..=600_000).contains(&(record.expires_at - now))),
        "{restored:?}"
    );
}
