//! The scripts whose commands must run atomically on the server. Every value is an argument, never
//! part of a script's text (H40).

use redis::Script;

/// The code of the error reply to a writer that is not the latest incarnation.
pub(super) const FENCED: &str = "CWFENCED";
/// The code of the error reply if the directory is not the one that was written before.
pub(super) const LOST: &str = "CWLOST";
/// The member that keeps an index without records in existence, so that a missing index is noticed.
pub(super) const ANCHOR: &[u8] = b".";

/// Makes a connection's generation of an incarnation the only writer, and returns the index.
///
/// KEYS: incarnation, index. ARGV: incarnation, generation, the value of the first key that was
/// read before (empty if none), how long both keys are kept in ms. The script deletes nothing that
/// it writes again, and writes the deciding key last, because in a cluster that moves the slot it
/// may end between any two commands. The first PEXPIRE changes nothing: a full server rejects a
/// SET, but not from a script that has written before.
const CLAIM: &str = r"
local held = redis.call('GET', KEYS[1]) or ''
local holder, generation = string.match(held, '^(%x+)%.(%d+)$')
if holder == ARGV[1] then
  if tonumber(generation) >= tonumber(ARGV[2]) then return redis.error_reply('CWLOST generation ' .. generation) end
elseif held ~= ARGV[3] then
  return redis.error_reply('CWLOST to ' .. held)
end
redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call('SADD', KEYS[2], '.')
redis.call('PEXPIRE', KEYS[2], ARGV[4])
local members = redis.call('SMEMBERS', KEYS[2])
redis.call('SET', KEYS[1], ARGV[1] .. '.' .. ARGV[2], 'PX', ARGV[4])
return members
";

/// Releases the name if it belongs to this incarnation.
///
/// KEYS: incarnation. ARGV: incarnation, the value for a free name, how long the key is kept in ms.
const RELEASE: &str = r"
local held = redis.call('GET', KEYS[1]) or ''
if string.sub(held, 1, #ARGV[1] + 1) ~= ARGV[1] .. '.' then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
";

/// Writes the node's report, also on a full server.
///
/// KEYS: registry entry. ARGV: lifetime in ms; fields and values.
const REPORT: &str = r"
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
";

/// Removes the node from the registry if the entry belongs to this incarnation.
///
/// KEYS: registry entry. ARGV: incarnation.
const LEAVE: &str = r"
if redis.call('HMGET', KEYS[1], 'incarnation')[1] ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
";

/// Writes and deletes records, all or none, if the caller may write.
///
/// KEYS: incarnation, index, records to write, records to delete. ARGV: incarnation, generation,
/// how long the first two keys are kept in ms, number of records to write; id, value and expiry in
/// ms of each of these; id of each record to delete. A full server rejects the first SET, before
/// anything is written.
const WRITE: &str = r"
local held = redis.call('GET', KEYS[1])
if not held or redis.call('EXISTS', KEYS[2]) == 0 then return redis.error_reply('CWLOST the directory is gone') end
if held ~= ARGV[1] .. '.' .. ARGV[2] then
  if string.sub(held, 1, #ARGV[1] + 1) == ARGV[1] .. '.' then return redis.error_reply('CWLOST to ' .. held) end
  return redis.error_reply('CWFENCED by ' .. held)
end
local puts = tonumber(ARGV[4])
local key, arg = 3, 5
for _ = 1, puts do
  redis.call('SET', KEYS[key], ARGV[arg + 1], 'PX', ARGV[arg + 2])
  redis.call('SADD', KEYS[2], ARGV[arg])
  key, arg = key + 1, arg + 3
end
while KEYS[key] do
  redis.call('DEL', KEYS[key])
  redis.call('SREM', KEYS[2], ARGV[arg])
  key, arg = key + 1, arg + 1
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return 1
";

/// The scripts, with their digests.
pub(super) struct Scripts {
    pub(super) claim: Script,
    pub(super) write: Script,
    pub(super) release: Script,
    pub(super) report: Script,
    pub(super) leave: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            claim: Script::new(CLAIM),
            write: Script::new(WRITE),
            release: Script::new(RELEASE),
            report: Script::new(REPORT),
            leave: Script::new(LEAVE),
        }
    }
}
