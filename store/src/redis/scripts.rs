//! What must happen at once on the server. Every value is an argument, never part of a script's text (H40).

use redis::Script;

/// The code of the answer to who is not the latest incarnation.
pub(super) const FENCED: &str = "CWFENCED";
/// The code of the answer when the directory is not the one that was written to.
pub(super) const LOST: &str = "CWLOST";
/// The member that keeps an index without records from vanishing, so that one that has vanished is noticed.
pub(super) const ANCHOR: &[u8] = b".";

/// Makes a connection's generation of an incarnation the one that may write, and gives the index.
///
/// KEYS: incarnation, index. ARGV: incarnation, generation, whether to take over from another ("1"), how long both are kept in ms.
/// The DEL makes room for what replaces it: a full server refuses a SET, but not to a script that has written before.
const CLAIM: &str = r"
local held = redis.call('GET', KEYS[1])
if held then
  local holder, generation = string.match(held, '^(%x+)%.(%d+)$')
  if holder == ARGV[1] then
    if tonumber(generation) >= tonumber(ARGV[2]) then return redis.error_reply('CWLOST generation ' .. generation) end
  elseif ARGV[3] ~= '1' then
    return redis.error_reply('CWFENCED by ' .. held)
  end
end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1] .. '.' .. ARGV[2], 'PX', ARGV[4])
redis.call('SADD', KEYS[2], '.')
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return redis.call('SMEMBERS', KEYS[2])
";

/// Writes records and deletes records, all or none, if the writer is who may.
///
/// KEYS: incarnation, index, the records to write, the records to delete. ARGV: incarnation, generation, how long the first two keys are kept
/// in ms, how many records to write; of each of these its id, its value, its expiry in ms; of each to delete its id.
/// A full server refuses the first SET, before anything is written.
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
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self { claim: Script::new(CLAIM), write: Script::new(WRITE) }
    }
}
