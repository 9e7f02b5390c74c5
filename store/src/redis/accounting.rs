//! The accounting stream. Records are worth more than accounting entries: on a full server the
//! stream is trimmed (H50).

use std::time::{Duration, Instant};

use redis::Pipeline;

use super::{Redis, keys, millis};
use crate::accounting::{Account, Event};
use crate::error::{ErrorKind, StoreError};

/// Redis keeps about this many entries of a stream in one block and frees memory block by block:
/// fewer entries are not worth halving.
const BLOCK: u64 = 100;
/// Minimum interval between two warnings.
const QUIET: Duration = Duration::from_secs(60);

/// The accounting stream as this process knows it.
#[derive(Debug)]
pub(super) struct Stream {
    /// Approximate maximum number of entries; with 0 none is written.
    pub(super) max_entries: usize,
    /// Entries that this process has removed to make room for records.
    pub(super) trimmed: u64,
    /// Whether the user lacks the permissions to trim.
    denied: bool,
    warned: Option<Instant>,
}

impl Stream {
    pub(super) fn new(max_entries: usize) -> Self {
        Self { max_entries, trimmed: 0, denied: false, warned: None }
    }
}

impl Redis {
    /// Appends entries. A full server trims the stream for them, too: only the latest entry of a
    /// record counts.
    pub(super) async fn append(&mut self, entries: &[Account]) -> Result<(), StoreError> {
        if self.stream.max_entries == 0 {
            return Ok(());
        }
        loop {
            let mut connection = self.link.connection()?;
            let pipeline = self.entries(entries);
            match self.link.ask(pipeline.query_async::<()>(&mut connection)).await {
                Err(error) if error.kind == ErrorKind::Full && self.make_room().await? => {}
                appended => return appended,
            }
        }
    }

    /// Halves the accounting stream of a full server. Returns whether that removed anything: then
    /// the caller tries again, and halves again if the server is still full.
    pub(super) async fn make_room(&mut self) -> Result<bool, StoreError> {
        if self.stream.denied {
            return Ok(false);
        }
        match self.trim().await {
            Ok(0) => Ok(false),
            Ok(removed) => {
                self.stream.trimmed += removed;
                if self.stream.warned.is_none_or(|warned| warned.elapsed() >= QUIET) {
                    self.stream.warned = Some(Instant::now());
                    tracing::warn!(
                        removed,
                        "the Redis server is full; accounting entries removed to make room for records"
                    );
                }
                Ok(true)
            }
            Err(error) if error.kind == ErrorKind::Auth => {
                self.stream.denied = true;
                tracing::warn!(
                    error = %error.text,
                    "cannot trim the accounting stream; grant the Redis user +xlen and +xtrim"
                );
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    async fn trim(&mut self) -> Result<u64, StoreError> {
        let length = self.stream_length().await?;
        if length == 0 {
            return Ok(0);
        }
        let kept = if length > BLOCK { length / 2 } else { 0 };
        let mut connection = self.link.connection()?;
        let mut xtrim = redis::cmd("XTRIM");
        xtrim.arg(keys::ACCOUNTING).arg("MAXLEN").arg(kept);
        self.link.ask(xtrim.query_async(&mut connection)).await
    }

    /// Number of entries in the stream.
    pub(super) async fn stream_length(&mut self) -> Result<u64, StoreError> {
        let mut connection = self.link.connection()?;
        let mut xlen = redis::cmd("XLEN");
        xlen.arg(keys::ACCOUNTING);
        self.link.ask(xlen.query_async(&mut connection)).await
    }

    fn entries(&self, entries: &[Account]) -> Pipeline {
        let mut pipeline = Pipeline::new();
        for entry in entries {
            pipeline
                .cmd("XADD")
                .arg(keys::ACCOUNTING)
                .arg("MAXLEN")
                .arg("~")
                .arg(self.stream.max_entries)
                .arg("*");
            pipeline.arg("node").arg(self.node().as_str());
            put_entry(&mut pipeline, entry);
            pipeline.ignore();
        }
        pipeline
    }
}

fn put_entry(pipeline: &mut Pipeline, entry: &Account) {
    let event = match entry.event {
        Event::Start => "start",
        Event::Interim => "interim",
        Event::End => "end",
    };
    let transport = entry.transport.name();
    let relayed: Vec<String> = entry.relayed.iter().map(ToString::to_string).collect();
    let traffic = &entry.traffic;
    pipeline
        .arg("event")
        .arg(event)
        .arg("at")
        .arg(entry.at)
        .arg("record")
        .arg(entry.record.to_string());
    pipeline.arg("user").arg(&entry.username).arg("realm").arg(&entry.realm);
    pipeline
        .arg("client")
        .arg(entry.client.to_string())
        .arg("transport")
        .arg(transport)
        .arg("relayed")
        .arg(relayed.join(" "));
    pipeline
        .arg("packets_to_peer")
        .arg(traffic.packets_to_peer)
        .arg("bytes_to_peer")
        .arg(traffic.bytes_to_peer);
    pipeline
        .arg("packets_to_client")
        .arg(traffic.packets_to_client)
        .arg("bytes_to_client")
        .arg(traffic.bytes_to_client);
    pipeline.arg("duration_ms").arg(millis(entry.duration)).arg("reason").arg(entry.reason);
}
