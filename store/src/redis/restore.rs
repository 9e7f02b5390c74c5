//! Reads the records of the previous process, at the start and later.

use std::time::Duration;

use redis::Pipeline;
use tokio::time::{Instant, sleep, timeout_at};

use super::{ErrorKind, MARGIN, Redis, keys, millis, record_id, unix_millis};
use crate::directory::{Outcome, Restored};
use crate::error::StoreError;
use crate::record::{Record, RecordError, RecordId};

/// How long to wait between two attempts; the Redis server may be starting, too.
const PAUSE: Duration = Duration::from_millis(100);
/// How long to wait for a heartbeat to expire beyond its lifetime.
const MORE: Duration = Duration::from_secs(2);
/// Clocks that differ by fewer milliseconds count as equal, because a round trip takes time, too.
const TRANSIT: u64 = 1000;

/// A sealed record, and the milliseconds until its key expires, if known.
pub(super) struct Value {
    bytes: Vec<u8>,
    lives: Option<u64>,
}

/// Reads the records of the previous process, as many as can be read within `patience`.
pub(super) async fn restore(redis: &mut Redis, patience: Duration) -> Restored {
    let start = Instant::now();
    let (mut until, last) = (start + patience, start + redis.claims.lifetime() + MORE);
    let late = StoreError::new(
        ErrorKind::Timeout,
        "not all records were read within store.restore_patience",
    );
    let mut restored = Restored { outcome: Outcome::Incomplete(late), ..Restored::default() };
    let mut has_logged = false;
    loop {
        match timeout_at(until, read_all(redis, &mut restored)).await {
            Ok(Ok(())) => {
                restored.outcome = Outcome::Complete;
                break;
            }
            // The error of the last attempt says more than a timeout.
            Err(_) => break,
            Ok(Err(error)) => {
                let kind = error.kind;
                let may_have_ended = kind == ErrorKind::Fenced
                    && !redis.claims.rival_lives()
                    && Instant::now() < last;
                if may_have_ended && !has_logged {
                    let seconds = (last - start).as_secs();
                    tracing::info!(
                        at_most_seconds = seconds,
                        %error,
                        "waiting to see whether the server with this node's name is alive"
                    );
                    has_logged = true;
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
    restored.lose("unread", redis.ownership.unread_count() as u64);
    if restored.outcome != Outcome::Complete {
        // An answer may still be on its way: the next comparison takes a connection of its own.
        redis.link.disconnect();
    }
    restored
}

async fn read_all(redis: &mut Redis, restored: &mut Restored) -> Result<(), StoreError> {
    let ids = index(redis).await?;
    redis.ownership.index(ids);
    while redis.ownership.unread_count() > 0 {
        read_some(redis, restored).await?;
    }
    Ok(())
}

/// Claims the node's name if the server accepts writes, and returns the ids of its records.
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

/// Reads the next batch of unread records. Returns the ids of those that have certainly ended.
pub(super) async fn read_some(
    redis: &mut Redis,
    restored: &mut Restored,
) -> Result<Vec<RecordId>, StoreError> {
    let ids = redis.ownership.unread();
    let values = values(redis, &ids).await?;
    let mut ended = Vec::new();
    for (id, value) in ids.into_iter().zip(values) {
        let has_ended = !take(redis, restored, id, value);
        redis.ownership.read(id, has_ended);
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
            tracing::warn!(
                error = %error.text,
                "the Redis user lacks +pttl: expiry of restored allocations relies on this clock"
            );
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

/// Values, and the milliseconds until each of them expires.
type Read = (Vec<Option<Vec<u8>>>, Vec<i64>);

fn split(answers: Vec<redis::Value>) -> Result<Read, StoreError> {
    let strange = |error: redis::ParsingError| StoreError::new(ErrorKind::Other, error.to_string());
    let mut answers = answers.into_iter();
    let values = answers.next().unwrap_or(redis::Value::Nil);
    let values = redis::from_redis_value(values).map_err(strange)?;
    Ok((values, answers.map(redis::from_redis_value).collect::<Result<_, _>>().map_err(strange)?))
}

/// Takes a value into `restored`. Returns whether its allocation may still be live.
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
            tracing::warn!(record = %id, %error, "record not restored");
            restored.lose(reason(error), 1);
        }
    }
    true
}

/// Moves the record's times to this host's clock (H49): only the Redis server's clock, which has
/// run since the record was written, knows how long the allocation still lives. The other times
/// keep their distances to its expiry.
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
