"""The Redis store's Lua scripts. Each runs as one step: all of it or nothing, and nothing else in between.

What is refused is refused at the first write, so a server that is full (`maxmemory`) or read-only has written nothing
of a script; a full one does not refuse a `fresh` append without values, which begins by making room. All times are
milliseconds. Every script may be run twice with the same effect as once.

PUT writes values that share a server.

| KEYS            |                                    | ARGV      |                                              |
|-----------------|------------------------------------|-----------|----------------------------------------------|
| 2i - 1          | value i (string)                   | 1         | TTL of a value                               |
| 2i              | its tombstone (string)             | 2         | TTL of a tombstone                           |
|                 |                                    | 2 + i     | value i, packed                              |

    {1}                         written, or renewed where it was there
    {2, i, stored, j, ...}      nothing is written: values i, j, ... are there in another stored form

APPEND writes records if the log's last number is `at`, and with them values (none in Redis Cluster: other slots).

| KEYS            |                                    | ARGV      |                                              |
|-----------------|------------------------------------|-----------|----------------------------------------------|
| 1               | the log (list)                     | 1, 2      | as PUT                                       |
| 2               | its tombstone (string)             | 3         | `at`                                         |
| 2i + 1, 2i + 2  | value i and its tombstone          | 4         | "1": what the log held before goes           |
|                 |                                    | 5         | "1": this call was sent before, and its      |
|                 |                                    |           | answer was lost                              |
|                 |                                    | 6         | bytes of the records, without their marks    |
|                 |                                    | 7         | n, the number of records                     |
|                 |                                    | 8 ... 7+n | the records: 8 bytes that mark the call, then|
|                 |                                    |           | the record, packed                           |
|                 |                                    | 7 + n + i | value i, packed                              |

    {1}                         written (also: by the same call when it was sent before)
    {0}                         nothing is written: the log's last number is another
    {2, i, stored, j, ...}      as PUT
    {3}                         sent before, and whether it was written then can no longer be told

READ gives a log's records.

| KEYS            |                                    | ARGV      |                                              |
|-----------------|------------------------------------|-----------|----------------------------------------------|
| 1               | the log (list)                     | 1, 2      | as PUT                                       |
| 2               | its tombstone (string)             | 3         | the TTL is renewed where less than this is   |
|                 |                                    |           | left                                         |
|                 |                                    | 4         | `after`                                      |

    0                           there never was such a log
    1                           it is gone, or does not reach `after`
    {n, {record, ...}}          the records from number n on, with their marks

DROP removes a log: KEYS as READ, ARGV 1 the TTL of the tombstone; the answer is the number of logs removed.

LEASE takes a lease, RELEASE ends it: KEYS 1 is the lease (string), ARGV 1 the token, and of LEASE ARGV 2 its TTL. The
answer is 1 if the lease is this token's now, or was, and 0 if it is another's or nobody's.

A user who may not do everything needs EVAL, EVALSHA, GET, SET, EXISTS, PEXPIRE, PTTL, DEL, LINDEX, LLEN, LRANGE, LSET
and RPUSH on the store's keys; STRLEN, SCAN and INFO for its stats.

A log is one list, so that eviction takes it whole: first its head, "F S" (F the number of the first record that is
there, S the bytes of the records), then the records.
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
    if held and held ~= ARGV[values + i] then
      found[#found + 1] = i
      found[#found + 1] = held
    end
  end
  return found
end
local function write(from, to, values)
  for i = 1, to do
    local key = KEYS[from + 2 * i - 1]
    redis.call('SET', KEYS[from + 2 * i], '', 'PX', ARGV[2])
    if redis.call('PEXPIRE', key, ARGV[1]) == 0 then redis.call('SET', key, ARGV[values + i], 'PX', ARGV[1]) end
  end
end
"""


class LuaScript:
    """A script's text and the name that the server knows it by."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode()).hexdigest()


PUT = LuaScript(
    _VALUES
    + """
local found = clashes(0, #KEYS / 2, 2)
if #found > 1 then return found end
write(0, #KEYS / 2, 2)
return {1}
"""
)

APPEND = LuaScript(
    _HEAD
    + _VALUES
    + """
local log, at, n = KEYS[1], tonumber(ARGV[3]), tonumber(ARGV[7])
local first, size, last = head(log)
if at ~= last then
  if ARGV[5] == '1' and n > 0 and last > at then
    if at + 1 < first then return {3} end
    if redis.call('LINDEX', log, at + 2 - first) == ARGV[8] then return {1} end
  end
  return {0}
end
local values = #KEYS / 2 - 1
local found = clashes(2, values, 7 + n)
if #found > 1 then return found end
write(2, values, 7 + n)
if last == 0 and n == 0 then return {1} end
if last == 0 or ARGV[4] == '1' then
  first, size = at + 1, 0
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

# Renewing may fail (a replica, a full disk) without keeping the records from the caller.
READ = LuaScript(
    _HEAD
    + """
local log, after = KEYS[1], tonumber(ARGV[4])
local first, _, last = head(log)
if last == 0 then return redis.call('EXISTS', KEYS[2]) end
if last < after then return 1 end
if redis.call('PTTL', log) < tonumber(ARGV[3]) then
  redis.pcall('PEXPIRE', log, ARGV[1])
  redis.pcall('SET', KEYS[2], '', 'PX', ARGV[2])
end
local start = math.max(after + 1, first)
return {start, redis.call('LRANGE', log, start - first + 1, -1)}
"""
)

# Sent twice, because the first answer was lost, it finds its own token.
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
local gone = redis.call('DEL', KEYS[1])
if gone == 1 then redis.call('SET', KEYS[2], '', 'PX', ARGV[1]) end
return gone
"""
)
