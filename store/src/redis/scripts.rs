//! What must happen at once on the server. Every value is an argument, never part of a script's
//! text (H40).

use redis::Script;

/// The code of the answer to who is not the latest incarnation.
pub(super) const FENCED: &str = "CWFENCED";
/// The code of the answer when the directory is not the one that was written to.
pub(super) const LOST: &str = "CWLOST";
/// The member that keeps an index without records from vanishing, so that one that has vanished is
/// noticed.
pub(super) const ANCHOR: &[u8] = b".";

/// Makes a connection's generation of an incarnation the one that may write, and gives the index.
///
/// KEYS: incarnation, index. ARGV: incarnation, generation, what the first key was seen to hold
/// (empty: nothing), how long both are kept in ms. Nothing is removed and written again, and what
/// counts is written last: in a cluster that moves the slot a script may end between any two
/// commands. The first PEXPIRE changes nothing: a full server refuses a SET, but not to a script
/// that has written before.
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

/// Gives the name up, if it is this incarnation's.
///
/// KEYS: incarnation. ARGV: incarnation, what stands for a free name, how long the key is kept in
/// ms.
const RELEASE: &str = r"
local held = redis.call('GET', KEYS[1]) or ''
if string.sub(held, 1, #ARGV[1] + 1) ~= ARGV[1] .. '.' then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
";

/// Writes what the node says of itself, also on a full server.
///
/// KEYS: the registry's. ARGV: for how long it counts in ms; fields and values.
const REPORT: &str = r"
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
";

/// Takes the node off the registry, if the entry is this incarnation's.
///
/// KEYS: the registry's. ARGV: incarnation.
const LEAVE: &str = r"
if redis.call('HMGET', KEYS[1], 'incarnation')[1] ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
";

/// Writes records and deletes records, all or none, if the writer is who may.
///
/// KEYS: incarnation, index, the records to write, the records to delete. ARGV: incarnation,
/// generation, how long the first two keys are kept in ms, how many records to write; of each of
/// these its id, its value, its expiry in ms; of each to delete its id. A full server refuses the
/// first SET, before anything is written.
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
