//! What Redis does in one step, in its own language.

use redis::Script;

const RAISE: &str = r"
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local version = math.max(tonumber(redis.call('GET', KEYS[1]) or '0') + 1, now)
local text = string.format('%.0f', version)
redis.call('SET', KEYS[1], text)
for i = 4, #ARGV do redis.call('SET', ARGV[1] .. ARGV[i], text, 'EX', ARGV[3]) end
local marker = ARGV[1] .. '#' .. text .. ':' .. ARGV[2]
redis.call('SET', marker, '', 'PX', 1000)
redis.call('DEL', marker)
local out = { text }
local live = redis.call('ZRANGEBYSCORE', KEYS[2], now, '+inf', 'WITHSCORES')
for i = 1, #live, 2 do
  out[#out + 1] = live[i]
  out[#out + 1] = string.format('%.0f', tonumber(live[i + 1]) - now)
end
return out";

const RENEW: &str = r"
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local version = redis.call('GET', KEYS[1])
if not version then
  version = string.format('%.0f', now)
  redis.call('SET', KEYS[1], version)
end
local era = redis.call('GET', KEYS[3])
if not era then
  era = ARGV[3]
  redis.call('SET', KEYS[3], era)
end
redis.call('ZADD', KEYS[2], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - 60000000)
return { version, era }";

const RELEASE: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0";

/// The scripts, with their hashes.
pub(super) struct Scripts {
    pub(super) raise: Script,
    pub(super) renew: Script,
    pub(super) release: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        Self { raise: Script::new(RAISE), renew: Script::new(RENEW), release: Script::new(RELEASE) }
    }
}
