use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::{BATCH, Redis, keys, record_id, unix_millis};
use crate::directory::{Outcome, Restored};
use crate::error::{ErrorKind, StoreError};
use crate::record::{RecordError, RecordId};

/// Between two attempts to reach a server that may be starting, too.
const PAUSE: Duration = Duration::from_millis(100);

/// Reads what the process before left, as far as it can be read until `patience` is over.
pub(super) async fn restore(redis: &mut Redis, patience: Duration) -> Restored {
    let until = Instant::now() + patience;
    let mut restored = Restored::default();
    let mut unread = 0;
    let finished = timeout_at(until, read_all(redis, &mut restored, &mut unread)).await;
    match finished {
        Ok(Ok(())) => {}
        Ok(Err(error)) => restored.outcome = Outcome::Incomplete(error),
        // What the last attempt to get there met with says more than that the time is over.
        Err(_) if restored.outcome != Outcome::Complete => {}
        Err(_) => {
            restored.outcome = Outcome::Incomplete(StoreError::new(ErrorKind::Timeout, "not all was read in the time for restoring"));
        }
    }
    restored.lose("unread", unread);
    if restored.outcome != Outcome::Complete {
        // An answer may still be on its way: the next comparison takes a connection of its own.
        redis.link.disconnect();
    }
    restored
}

async fn read_all(redis: &mut Redis, restored: &mut Restored, unread: &mut u64) -> Result<(), StoreError> {
    let ids = loop {
        match index(redis).await {
            Ok(ids) => break ids,
            // Whom a second will not change. Another one may be the second that the server needs to start.
            Err(error) if matches!(error.kind, ErrorKind::Auth | ErrorKind::Fenced | ErrorKind::Other) => return Err(error),
            Err(error) => {
                restored.outcome = Outcome::Incomplete(error);
                sleep(PAUSE).await;
            }
        }
    };
    restored.outcome = Outcome::Complete;
    *unread = ids.len() as u64;
    for ids in ids.chunks(BATCH) {
        let values = values(redis, ids).await?;
        *unread -= ids.len() as u64;
        ids.iter().zip(values).for_each(|(id, value)| take(redis, restored, *id, value.as_deref()));
    }
    Ok(())
}

/// The ids of the node's records, and the right to write them if the server takes as much.
async fn index(redis: &mut Redis) -> Result<Vec<RecordId>, StoreError> {
    match redis.claim().await {
        Err(error) if matches!(error.kind, ErrorKind::Full | ErrorKind::ReadOnly) => {
            let mut connection = redis.link.connection()?;
            let mut smembers = redis::cmd("SMEMBERS");
            smembers.arg(keys::index(redis.sealer.node()));
            let members: Vec<Vec<u8>> = redis.link.call(smembers.query_async(&mut connection)).await?;
            Ok(members.iter().filter_map(|member| record_id(member)).collect())
        }
        claimed => claimed,
    }
}

async fn values(redis: &mut Redis, ids: &[RecordId]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
    let mut connection = redis.link.connection()?;
    let mut mget = redis::cmd("MGET");
    ids.iter().for_each(|id| {
        mget.arg(keys::alloc(redis.sealer.node(), *id));
    });
    redis.link.call(mget.query_async(&mut connection)).await
}

fn take(redis: &Redis, restored: &mut Restored, id: RecordId, value: Option<&[u8]>) {
    let Some(value) = value else { return restored.lose("expired", 1) };
    match redis.sealer.open(id, value) {
        Ok(record) if record.expires_at <= unix_millis() => {
            restored.lose("expired", 1);
            restored.ended.push(record);
        }
        Ok(record) => restored.records.push(record),
        Err(error) => {
            tracing::warn!(record = %id, %error, "not restored");
            restored.lose(reason(error), 1);
        }
    }
}

const fn reason(error: RecordError) -> &'static str {
    match error {
        RecordError::UnknownVersion(_) => "version",
        RecordError::Truncated => "truncated",
        RecordError::Seal => "seal",
        RecordError::Malformed => "malformed",
    }
}
