use std::time::Duration;

use redis::Pipeline;
use tokio::time::{Instant, sleep, timeout_at};

use super::{ErrorKind, MARGIN, Redis, keys, millis, record_id, unix_millis};
use crate::directory::{Outcome, Restored};
use crate::error::StoreError;
use crate::record::{Record, RecordError, RecordId};

/// Between two attempts to reach a server that may be starting, too.
const PAUSE: Duration = Duration::from_millis(100);
/// Beyond a heartbeat's lifetime, so long is waited for it to end.
const MORE: Duration = Duration::from_secs(2);
/// Clocks that differ by less are one: a value's way to the server and back takes its time, too.
const TRANSIT: u64 = 1000;

/// A record, and how many milliseconds its key still lives: `None` where that is not known.
pub(super) struct Value {
    bytes: Vec<u8>,
    lives: Option<u64>,
}

/// Reads what the process before left, as far as it can be read until `patience` is over.
pub(super) async fn restore(redis: &mut Redis, patience: Duration) -> Restored {
    let start = Instant::now();
    let (mut until, last) = (start + patience, start + redis.claims.lifetime() + MORE);
    let late = StoreError::new(ErrorKind::Timeout, "not all was read in the time for restoring");
    let mut restored = Restored { outcome: Outcome::Incomplete(late), ..Restored::default() };
    let mut has_said = false;
    loop {
        match timeout_at(until, read_all(redis, &mut restored)).await {
            Ok(Ok(())) => {
                restored.outcome = Outcome::Complete;
                break;
            }
            // The error of the last attempt says more than that the time is over.
            Err(_) => break,
            Ok(Err(error)) => {
                let kind = error.kind;
                let may_have_ended = kind == ErrorKind::Fenced
                    && !redis.claims.rival_lives()
                    && Instant::now() < last;
                if may_have_ended && !has_said {
                    let seconds = (last - start).as_secs();
                    tracing::info!(at_most_seconds = seconds, %error, "store: waiting to see whether that server still runs");
                    has_said = true;
                }
                restored.outcome = Outcome::Incomplete(error);
                if may_have_ended {
                    until = until.max(Instant::now() + patience);
                } else if kind.is_final() {
                    break;
                }
            }
        }
        if Instant::now() + PAUSE >= until {
            break;
        }
        sleep(PAUSE).await;
    }
    restored.lose("unread", redis.known.unread_count() as u64);
    if restored.outcome != Outcome::Complete {
        // An answer may still be on its way: the next comparison takes a connection of its own.
        redis.link.disconnect();
    }
    restored
}

async fn read_all(redis: &mut Redis, restored: &mut Restored) -> Result<(), StoreError> {
    let ids = index(redis).await?;
    redis.known.index(ids);
    while redis.known.unread_count() > 0 {
        read_some(redis, restored).await?;
    }
    Ok(())
}

/// The ids of the node's records, and the right to write them if the server takes as much.
async fn index(redis: &mut Redis) -> Result<Vec<RecordId>, StoreError> {
    match redis.claim().await {
        Err(error)
            if matches!(
                error.kind,
                ErrorKind::Full | ErrorKind::ReadOnly | ErrorKind::NoReplicas
            ) =>
        {
            if !redis.link.is_up() {
                redis.link.connect().await?;
            }
            let mut connection = redis.link.connection()?;
            let mut smembers = redis::cmd("SMEMBERS");
            smembers.arg(keys::index(redis.sealer.node()));
            let members: Vec<Vec<u8>> =
                redis.link.call(smembers.query_async(&mut connection)).await?;
            Ok(members.iter().filter_map(|member| record_id(member)).collect())
        }
        claimed => claimed,
    }
}

/// Reads the next batch of those that are not read yet. Gives those of which nothing can come any
/// more.
pub(super) async fn read_some(
    redis: &mut Redis,
    restored: &mut Restored,
) -> Result<Vec<RecordId>, StoreError> {
    let ids = redis.known.unread();
    let values = values(redis, &ids).await?;
    let mut ended = Vec::new();
    for (id, value) in ids.into_iter().zip(values) {
        let has_ended = !take(redis, restored, id, value);
        redis.known.read(id, has_ended);
        if has_ended {
            ended.push(id);
        }
    }
    Ok(ended)
}

pub(super) async fn values(
    redis: &mut Redis,
    ids: &[RecordId],
) -> Result<Vec<Option<Value>>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = ids.iter().map(|id| keys::alloc(redis.sealer.node(), *id)).collect();
    let mut connection = redis.link.connection()?;
    let mut pipeline = Pipeline::new();
    pipeline.cmd("MGET").arg(&names);
    if redis.has_ttl {
        for name in &names {
            pipeline.cmd("PTTL").arg(name);
        }
    }
    let (values, lives) = match redis
        .link
        .call(pipeline.query_async::<Vec<redis::Value>>(&mut connection))
        .await
    {
        Ok(answers) => split(answers)?,
        Err(error) if error.kind == ErrorKind::Auth && redis.has_ttl => {
            tracing::warn!(error = %error.text, "store: the Redis user lacks the right to PTTL; what is left of an allocation is told by this clock");
            redis.has_ttl = false;
            redis.link.connect().await?;
            return Box::pin(self::values(redis, ids)).await;
        }
        Err(error) => return Err(error),
    };
    let lives = lives.into_iter().map(Some).chain(std::iter::repeat(None));
    let value = |(bytes, lives): (Option<Vec<u8>>, Option<i64>)| {
        Some(Value { bytes: bytes?, lives: lives.and_then(|lives| u64::try_from(lives).ok()) })
    };
    Ok(values.into_iter().zip(lives).map(value).collect())
}

/// Values, and for how many milliseconds each of them lives.
type Read = (Vec<Option<Vec<u8>>>, Vec<i64>);

fn split(answers: Vec<redis::Value>) -> Result<Read, StoreError> {
    let strange = |error: redis::ParsingError| StoreError::new(ErrorKind::Other, error.to_string());
    let mut answers = answers.into_iter();
    let values = answers.next().unwrap_or(redis::Value::Nil);
    let values = redis::from_redis_value(values).map_err(strange)?;
    Ok((values, answers.map(redis::from_redis_value).collect::<Result<_, _>>().map_err(strange)?))
}

/// Whether something can still come of it.
fn take(redis: &Redis, restored: &mut Restored, id: RecordId, value: Option<Value>) -> bool {
    let Some(value) = value else {
        restored.lose("expired", 1);
        return false;
    };
    match redis.sealer.open(id, &value.bytes) {
        Ok(mut record) => {
            adjust(&mut record, value.lives, unix_millis());
            if record.expires_at <= unix_millis() {
                restored.lose("expired", 1);
                restored.ended.push(record);
                return false;
            }
            restored.records.push(record);
        }
        Err(error) => {
            tracing::warn!(record = %id, %error, "not restored");
            restored.lose(reason(error), 1);
        }
    }
    true
}

/// Puts the record's times on this host's clock (H49): how long the allocation still lives is told
/// by the server's clock alone, which has run since it was written. The other times keep their
/// distances to its end.
fn adjust(record: &mut Record, lives: Option<u64>, now: u64) {
    let Some(lives) = lives else { return };
    let ends = now.saturating_add(lives.saturating_sub(millis(MARGIN)));
    if ends.abs_diff(record.expires_at) < TRANSIT {
        return;
    }
    let (was, permissions, channels) =
        (record.expires_at, &mut record.permissions, &mut record.channels);
    let times = [&mut record.created_at, &mut record.expires_at].into_iter();
    let times = times.chain(record.relayed.iter_mut().map(|relayed| &mut relayed.expires_at));
    let times = times.chain(permissions.iter_mut().map(|permission| &mut permission.expires_at));
    for time in times.chain(channels.iter_mut().map(|channel| &mut channel.expires_at)) {
        *time =
            time.saturating_add(ends.saturating_sub(was)).saturating_sub(was.saturating_sub(ends));
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
