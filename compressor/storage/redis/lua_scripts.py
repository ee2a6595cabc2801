"""The Lua scripts of the Redis store. Each runs as one atomic step.

A script that is refused is refused at its first write, so a server that is full (`maxmemory`) or read-only has written
nothing of it. The exception is an append with `truncate_before` and without values: a full server accepts it, because
it begins by freeing memory. All times are milliseconds. Every script has the same effect if it is run twice.

PUT writes values that are on one server.

| KEYS            |                                    | ARGV      |                                              |
|-----------------|------------------------------------|-----------|----------------------------------------------|
| 2i - 1          | value i (string)                   | 3i - 2    | TTL of value i                               |
| 2i              | its tombstone (string)             | 3i - 1    | TTL of its tombstone                         |
|                 |                                    | 3i        | value i in its stored form                   |

    {1}                         written; the TTL of values that were already there is renewed
    {2, i, stored, j, ...}      nothing is written: values i, j, ... are there in another stored form

APPEND writes records if the last number of the log is `expected_last`, and values with them (none in Redis Cluster,
where they have other slots).

| KEYS            |                                    | ARGV      |                                              |
|-----------------|------------------------------------|-----------|----------------------------------------------|
| 1               | the log (list)                     | 1, 2      | TTL of the log and of its tombstone          |
| 2               | its tombstone (string)             | 3         | `expected_last`                              |
| 2i + 1, 2i + 2  | value i and its tombstone          | 4         | "1": older records are removed               |
|                 |                                    | 5         | "1": this call may have been sent before,    |
|                 |                                    |           | and its answer was lost                      |
|                 |                                    | 6         | bytes of the records, without their call IDs |
|                 |                                    | 7         | n, the number of records                     |
|                 |                                    | 8 ... 7+n | the records: 8 bytes of call ID, then the    |
|                 |                                    |           | stored form of the record                    |
|                 |                                    | 7+n+3i-2  | and the next two: value i, as PUT            |

    {1}                         written, now or when the same call was sent before
    {0}                         nothing is written: the last number of the log is another
    {2, i, stored, j, ...}      as PUT
    {3}                         the call was sent before; whether it was written then is no longer known

READ returns the records of a log.

| KEYS            |                                    | ARGV      |                                              |
|-----------------|------------------------------------|-----------|----------------------------------------------|
| 1               | the log (list)                     | 1, 2      | as APPEND                                    |
| 2               | its tombstone (string)             | 3         | it is renewed if less than this is left, or   |
|                 |                                    |           | more than the TTL                            |
|                 |                                    | 4         | `after`                                      |

    0                           there never was such a log
    1                           the log has expired or was dropped, or does not reach `after`
    {n, {record, ...}}          the records from number n on, with their call IDs

DROP removes a log. KEYS are those of READ, ARGV 1 is the TTL of the tombstone. The answer is 1 if there was a log.

LEASE takes a lease and RELEASE ends it. KEYS 1 is the lease (string), ARGV 1 the token; ARGV 2 of LEASE is its TTL. The
answer is 1 if the lease now belongs, or belonged, to this token, and 0 if it belongs to another or to nobody.

A restricted user needs EVAL, EVALSHA, GET, SET, EXISTS, PEXPIRE, PTTL, DEL, LINDEX, LLEN, LRANGE, LSET and RPUSH on the
keys of the store, STRLEN, SCAN and INFO for its stats, and UNLINK for erasures.

A log is one list, so that Redis evicts all of it or nothing: first its head, "F S" (F is the number of the first record
in it, S the bytes of the records), then the records.
"""

from __future__ import annotations

import hashlib

_HEAD = """
local function head(log)
  local text = redis.call('LINDEX', log, 0)
  if not text then return 1, 0, 0 end
  local first, size = string.match(text, '^(%d+) (%d+)$')
  first = tonumber(first)
  return first, tonumber(size), first + redis.call('LLEN', log) - 2
end
"""
_VALUES = """
local function clashes(from, to, values)
  local found = {2}
  for i = 1, to do
    local held = redis.call('GET', KEYS[from + 2 * i - 1])
    if held and held ~= ARGV[values + 3 * i] then
      found[#found + 1] = i
      found[#found + 1] = held
    end
  end
  return found
end
local function write(from, to, values)
  for i = 1, to do
    local key, ttl, stored = KEYS[from + 2 * i - 1], ARGV[values + 3 * i - 2], ARGV[values + 3 * i]
    redis.call('SET', KEYS[from + 2 * i], '', 'PX', ARGV[values + 3 * i - 1])
    if redis.call('PEXPIRE', key, ttl) == 0 then redis.call('SET', key, stored, 'PX', ttl) end
  end
end
"""


class LuaScript:
    """A Lua script.

    Attributes:
        text: The source of the script.
        sha: The SHA-1 of the source, by which the server knows the script.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode()).hexdigest()


PUT = LuaScript(
    _VALUES
    + """
local found = clashes(0, #KEYS / 2, 0)
if #found > 1 then return found end
write(0, #KEYS / 2, 0)
return {1}
"""
)

APPEND = LuaScript(
    _HEAD
    + _VALUES
    + """
local log, expected, n = KEYS[1], tonumber(ARGV[3]), tonumber(ARGV[7])
local first, size, last = head(log)
if expected ~= last then
  if ARGV[5] == '1' and n > 0 and last > expected then
    if expected + 1 < first then return {3} end
    if redis.call('LINDEX', log, expected + 2 - first) == ARGV[8] then return {1} end
  end
  return {0}
end
local values = #KEYS / 2 - 1
local found = clashes(2, values, 7 + n)
if #found > 1 then return found end
write(2, values, 7 + n)
if last == 0 and n == 0 then return {1} end
if last == 0 or ARGV[4] == '1' then
  first, size = expected + 1, 0
  redis.call('DEL', log)
  redis.call('RPUSH', log, '')
end
for i = 8, 7 + n do redis.call('RPUSH', log, ARGV[i]) end
redis.call('LSET', log, 0, string.format('%d %d', first, size + ARGV[6]))
redis.call('PEXPIRE', log, ARGV[1])
redis.call('SET', KEYS[2], '', 'PX', ARGV[2])
return {1}
"""
)

# Renewing the TTL may fail (a replica, a full disk); the caller gets the records all the same.
READ = LuaScript(
    _HEAD
    + """
local log, after = KEYS[1], tonumber(ARGV[4])
local first, _, last = head(log)
if last == 0 then return redis.call('EXISTS', KEYS[2]) end
if last < after then return 1 end
local left = redis.call('PTTL', log)
if left < tonumber(ARGV[3]) or left > tonumber(ARGV[1]) then
  redis.pcall('PEXPIRE', log, ARGV[1])
  redis.pcall('SET', KEYS[2], '', 'PX', ARGV[2])
end
local start = math.max(after + 1, first)
return {start, redis.call('LRANGE', log, start - first + 1, -1)}
"""
)

# If it is sent again because the first answer was lost, it finds its own token.
LEASE = LuaScript(
    """
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
if redis.call('GET', KEYS[1]) == ARGV[1] then return 1 end
return 0
"""
)

RELEASE = LuaScript(
    """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
)

DROP = LuaScript(
    """
local removed = redis.call('DEL', KEYS[1])
if removed == 1 then redis.call('SET', KEYS[2], '', 'PX', ARGV[1]) end
return removed
"""
)
