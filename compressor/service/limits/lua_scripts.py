"""The Lua scripts that count in Redis. Each runs as one atomic step, by the server's clock.

They do what `counter_state.CounterState` does. All keys of a tenant have one hash slot: a hash for each limit (bucket
number -> amount), a sorted set of places and one of processes (id -> when it expires, in milliseconds). All expire.

ADMIT    KEYS: places, then a hash for each limit. ARGV: n, the place ("" for none), the number of places, the lease in
         milliseconds, PLACE_WAIT in milliseconds, then for each limit: seconds of a bucket, number of buckets, amount,
         cost. Answer: the number of the limit that refuses (0: admitted, -1: no place), the milliseconds until it has
         room, the seconds and microseconds of the clock.
SETTLE   KEYS: places, then a hash for each booking. ARGV: n, the place ("" for none), then for each booking: seconds of
         a bucket, number of buckets, the bucket, what to add.
RENEW    KEYS: places, processes. ARGV: the lease and the TTL of a process in milliseconds, the process, the places.
         Answer: the number of processes.
READ     KEYS: places, processes, hashes. Answer: the seconds and microseconds of the clock, then each key's content.
"""

from __future__ import annotations

from compressor.storage.redis.lua_scripts import LuaScript

_CLOCK = """
local clock = redis.call('TIME')
local second, micros = tonumber(clock[1]), tonumber(clock[2])
local now_ms = second * 1000 + math.floor(micros / 1000)
"""

ADMIT = LuaScript(
    _CLOCK
    + """
local n, place, max_places = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local lease, place_wait = tonumber(ARGV[4]), tonumber(ARGV[5])
for i = 1, n do
  local at = 6 + (i - 1) * 4
  local seconds, count, amount = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local first = math.floor(second / seconds) - count + 1
  local pairs_ = redis.call('HGETALL', KEYS[i + 1])
  local used, live, old = 0, {}, {}
  for j = 1, #pairs_, 2 do
    local bucket, value = tonumber(pairs_[j]), tonumber(pairs_[j + 1])
    if bucket < first then
      old[#old + 1] = pairs_[j]
    else
      used = used + value
      live[#live + 1] = {bucket, value}
    end
  end
  if #old > 0 then redis.call('HDEL', KEYS[i + 1], unpack(old)) end
  if used >= amount then
    table.sort(live, function(a, b) return a[1] < b[1] end)
    local excess = used - amount
    for _, item in ipairs(live) do
      excess = excess - item[2]
      if excess < 0 then
        return {i, (item[1] + count) * seconds * 1000 - now_ms, second, micros}
      end
    end
  end
end
if place ~= '' then
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms)
  if redis.call('ZCARD', KEYS[1]) >= max_places and not redis.call('ZSCORE', KEYS[1], place) then
    return {-1, place_wait, second, micros}
  end
  redis.call('ZADD', KEYS[1], now_ms + lease, place)
  redis.call('PEXPIRE', KEYS[1], lease * 2)
end
for i = 1, n do
  local at = 6 + (i - 1) * 4
  local seconds, count = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  redis.call('HINCRBY', KEYS[i + 1], string.format('%d', math.floor(second / seconds)), ARGV[at + 3])
  redis.call('EXPIRE', KEYS[i + 1], seconds * count * 2)
end
return {0, 0, second, micros}
"""
)

SETTLE = LuaScript(
    _CLOCK
    + """
if ARGV[2] ~= '' then redis.call('ZREM', KEYS[1], ARGV[2]) end
for i = 1, tonumber(ARGV[1]) do
  local at = 3 + (i - 1) * 4
  local seconds, count, bucket, delta = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), ARGV[at + 2], tonumber(ARGV[at + 3])
  local have = redis.call('HGET', KEYS[i + 1], bucket)
  if tonumber(bucket) > math.floor(second / seconds) - count and (have or delta > 0) then
    if delta < 0 and tonumber(have) + delta < 0 then
      redis.call('HSET', KEYS[i + 1], bucket, 0)
    else
      redis.call('HINCRBY', KEYS[i + 1], bucket, ARGV[at + 3])
    end
    redis.call('EXPIRE', KEYS[i + 1], seconds * count * 2)
  end
end
return 0
"""
)

RENEW = LuaScript(
    _CLOCK
    + """
local lease, ttl = tonumber(ARGV[1]), tonumber(ARGV[2])
for i = 4, #ARGV do redis.call('ZADD', KEYS[1], now_ms + lease, ARGV[i]) end
if #ARGV > 3 then redis.call('PEXPIRE', KEYS[1], lease * 2) end
redis.call('ZADD', KEYS[2], now_ms + ttl, ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now_ms)
redis.call('PEXPIRE', KEYS[2], ttl * 2)
return redis.call('ZCARD', KEYS[2])
"""
)

READ = LuaScript(
    _CLOCK
    + """
local out = {second, micros, redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES'),
  redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')}
for i = 3, #KEYS do out[#out + 1] = redis.call('HGETALL', KEYS[i]) end
return out
"""
)

RESET = LuaScript("return redis.call('DEL', unpack(KEYS))")
