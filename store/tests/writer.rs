//! The writer against a source and a directory that follow a script: what a comparison may delete
//! (H47).

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use causeway_store::{
    Account, Accounting, Backlog, Change, Directory, NodeReport, RecordId, Restored, Source, State,
    StoreError, Writer, WriterSettings,
};
use tokio::sync::oneshot;

/// The result of one call to `drain`.
#[derive(Clone, Copy)]
enum Turn {
    /// Some owner has not answered; there is nothing.
    Silence,
    /// These ids are given, and more may follow.
    Deletes(u64),
    /// There is nothing, and the owners report that they had to drop changes.
    GivenUp,
    /// Everything has been offered.
    Offered,
}

/// A source that follows the script, and then has nothing more.
struct Script {
    turns: VecDeque<Turn>,
    offered: bool,
    lost_count: bool,
    log: Log,
}

/// The calls to both, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().expect("no thread panicked").push(what.into());
    }

    async fn until(&self, what: &str) -> Vec<String> {
        let start = Instant::now();
        loop {
            let all = self.0.lock().expect("no thread panicked").clone();
            if all.iter().any(|one| one == what) {
                return all;
            }
            assert!(start.elapsed() < Duration::from_secs(10), "no {what:?} in {all:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Source for Script {
    async fn drain(&mut self, _: usize, patience: Duration) -> Vec<Change> {
        match self.turns.pop_front() {
            Some(Turn::Silence) => self.log.note("silence"),
            Some(Turn::Deletes(id)) => return vec![Change::Delete(RecordId(id))],
            Some(Turn::GivenUp) => (self.lost_count, self.offered) = (true, true),
            Some(Turn::Offered) => self.offered = true,
            None => tokio::time::sleep(patience).await,
        }
        Vec::new()
    }

    async fn offer_all(&mut self) {
        self.offered = false;
        self.log.note("offer");
    }

    fn is_offered(&self) -> bool {
        self.offered
    }

    fn lost_count(&mut self) -> bool {
        std::mem::take(&mut self.lost_count)
    }

    async fn adopt(&mut self, _: Restored) {}

    async fn report(&mut self) -> NodeReport {
        NodeReport::default()
    }

    fn backlog(&self) -> Backlog {
        Backlog::default()
    }
}

/// Keeps ids, and deletes what was not offered.
struct Book {
    kept: BTreeSet<RecordId>,
    stale: BTreeSet<RecordId>,
    log: Log,
}

impl Directory for Book {
    async fn restore(&mut self, _: Duration) -> Restored {
        Restored::default()
    }

    async fn begin_full(&mut self) -> Result<(), StoreError> {
        self.stale = self.kept.clone();
        Ok(())
    }

    async fn read_late(&mut self) -> Result<Restored, StoreError> {
        Ok(Restored::default())
    }

    async fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        for change in changes {
            self.stale.remove(&change.id());
            self.kept.remove(&change.id());
            self.log.note(format!("write {}", change.id()));
        }
        Ok(())
    }

    async fn end_full(&mut self) -> Result<usize, StoreError> {
        let stale = std::mem::take(&mut self.stale);
        self.kept.retain(|id| !stale.contains(id));
        self.log.note(format!("delete {}", stale.len()));
        Ok(stale.len())
    }

    async fn heartbeat(&mut self, _: &NodeReport, _: Duration) -> Result<(), StoreError> {
        self.log.note("heartbeat");
        Ok(())
    }

    async fn account(&mut self, _: &[Account]) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The calls until the comparison has ended.
async fn play(turns: &[Turn]) -> Vec<String> {
    let log = Log::default();
    let source = Script {
        turns: turns.iter().copied().collect(),
        offered: false,
        lost_count: false,
        log: log.clone(),
    };
    let book =
        Book { kept: (0..3).map(RecordId).collect(), stale: BTreeSet::new(), log: log.clone() };
    let settings = WriterSettings {
        patience: Duration::from_millis(5),
        heartbeat: Duration::from_millis(1),
        ..WriterSettings::default()
    };
    let writer = Writer::new(book, source, Accounting::new(10, 1 << 20), settings);
    let status = writer.status();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(writer.run(async { drop(stopped.await) }, Duration::from_secs(1)));
    let told = log.until("delete 2").await;
    drop(stop);
    task.await.expect("the writer does not panic");
    assert_eq!(status.state(), State::Connected);
    told
}

#[tokio::test]
async fn h47_nothing_is_deleted_for_an_owner_that_has_not_answered() {
    let told =
        play(&[Turn::Silence, Turn::Silence, Turn::Deletes(1), Turn::Silence, Turn::Offered]).await;
    let place = |what: &str| {
        told.iter()
            .rposition(|one| one == what)
            .unwrap_or_else(|| panic!("no {what:?} in {told:?}"))
    };
    assert!(place("silence") < place("delete 2"), "{told:?}");
    // An owner that hangs delays neither heartbeats nor others' changes.
    assert!(
        told.iter().position(|one| one == "heartbeat").unwrap()
            < place(&format!("write {}", RecordId(1))),
        "{told:?}"
    );
    assert_eq!(told.iter().filter(|one| *one == "offer").count(), 1, "{told:?}");
}

#[tokio::test]
async fn h47_changes_dropped_during_an_offer_are_offered_again_before_anything_is_deleted() {
    let told = play(&[Turn::GivenUp, Turn::Deletes(1), Turn::Offered]).await;
    let deletions: Vec<&str> =
        told.iter().map(|one| &**one).filter(|one| one.starts_with("delete")).collect();
    assert_eq!(
        (told.iter().filter(|one| *one == "offer").count(), deletions),
        (2, vec!["delete 2"]),
        "{told:?}"
    );
}
