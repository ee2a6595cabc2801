"""A store in Redis (or Valkey): shared between machines. One server, Sentinel, or Redis Cluster.

redis_keys.py says how things are called, redis_scripts.py what is one step. What a call has written when it returns is
as safe as the server keeps it: with `appendonly yes` and `appendfsync always` it survives the server's end; with
`everysec` the last two seconds may not, even of a server that was only killed; with neither nothing does. A failover to
a replica may lose the last writes too. What is lost of a log is lost from its end, whole calls at a time. How much fits
is the server's affair (`maxmemory`): what it evicts is an `ExpiredRefError` while its tombstone is there, an `UnknownRefError`
after that, and where it does not evict a write is a `StoreError` that says so. Tombstones are as many as there are keys
in 5 TTLs, some 100 bytes each.

On one server a call is one step: all its values, and a log's records with them, or nothing. In Redis Cluster a step
ends at a hash slot. A log and what is known of it share one, so compare-and-set is what it is elsewhere; of values,
each has its own. There a `put` first compares all its values and then writes them, and an append first looks at the
log's last number, then writes the values, and the records last. So no record that was acknowledged refers to a value
that was not written; what can happen is that values stay, until their TTL, of a call that was overtaken, cut off or
refused half way.

Times are the server's. A call that broke off because the connection did is sent again (see `RedisClient`); an append knows
by its mark whether it had been written. After a timeout nobody can know: read the log.
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from compressor.errors import ExpiredRefError, StoreError, UnknownRefError
from compressor.storage import codec
from compressor.storage.base import StoreStats
from compressor.storage.codec import compress_log
from compressor.storage.redis import lua_scripts
from compressor.storage.redis import responses as replies
from compressor.storage.redis.client import RedisClient
from compressor.storage.redis.keys import RedisKeys

CONNECT_TIMEOUT, TIMEOUT = 0.5, 1.0  # seconds
RETRIES = 2
_MARK = 8  # bytes in front of a record that say which call wrote it
_CHUNK = 500  # keys in one round trip
_TURNS = 10  # times a write is done again because other writers were in between
_LONGEST = 2**62  # ms; Redis counts in 64 bits


class RedisStore:
    """Values and logs under `prefix` and `tenant` in the Redis at `url`. Connects on first use.

    url: redis://[[user]:password@]host[:port][/db], rediss:// (TLS), unix://path, redis+sentinel://host[:port],.../service[/db]
    and redis+cluster://host[:port],...; the latter two with rediss+ for TLS too. Options of redis-py (`?ssl_ca_certs=`)
    go behind the first three; `ssl_...` behind all, `sentinel_username` and `sentinel_password` where that applies.
    `ttl` seconds after its last put or get a value expires, a log after its last append or read (uses are noted at a
    grain of `ttl`/100, at most a minute). `connect_timeout` and `timeout`: seconds for connecting (the look-up of the
    host's name is the system's affair) and for each answer; what takes longer is a `StoreError`.
    One object may be used from any thread, and before and after a fork.
    """

    def __init__(
        self,
        url: str,
        *,
        tenant: str = "",
        prefix: str = "acr",
        ttl: float = codec.DEFAULT_TTL,
        connect_timeout: float = CONNECT_TIMEOUT,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
    ) -> None:
        codec.validate_limits(ttl, 1)
        self._client = RedisClient(url, connect_timeout=connect_timeout, timeout=timeout, retries=retries)
        self._prefix, self._keys = prefix, RedisKeys(prefix, tenant)
        self._ttl = max(1, round(ttl * 1000))
        grain = round(min(ttl / 100, codec.RENEW_SECONDS) * 1000)
        self._stale = self._ttl - grain  # with less than this left, a use is noted
        self._closed = self._borrows = False

    def for_tenant(self, tenant: str) -> RedisStore:
        """Another tenant's, with this one's settings and over its connections. Closing it closes nothing else."""
        other = copy.copy(self)
        other._keys = RedisKeys(self._prefix, tenant)
        other._closed, other._borrows = False, True
        return other

    def put(self, items: Mapping[str, bytes]) -> None:
        """See `BlobStore.put`; the module's text says what that means in Redis Cluster."""
        codec.validate_items(items)
        self._check_open()
        if self._client.cluster:
            self._put_apart(items)
        elif items:
            self._write(lua_scripts.PUT, items, [], [])

    def get(self, key: str) -> bytes:
        stored, was = self._get([key])[key]
        if stored is None:
            raise ExpiredRefError(key) if was else UnknownRefError(key)
        return codec.decompress(stored, key)

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See `BatchStore.get_many`."""
        found = self._get(keys)
        return {key: codec.decompress(stored, key) for key, (stored, _) in found.items() if stored is not None}

    def read_log(self, name: str, after: int = 0) -> list[tuple[int, bytes]]:
        """See `AppendLog.read_log`."""
        self._check_open()
        read = self._client.script(lua_scripts.READ, [*self._keys.log(name)], self._ttl, self._was, self._stale, after)
        answer = self._client.run(lambda client, _: replies.parse_log(read(client)))
        if isinstance(answer, int):
            raise ExpiredRefError(name) if answer else UnknownRefError(name)
        start, records = answer
        return [(number, codec.decompress(record[_MARK:], name)) for number, record in enumerate(records, start)]

    def append_log(
        self,
        name: str,
        expected_last: int,
        records: Sequence[bytes],
        *,
        truncate_before: bool = False,
        values: Mapping[str, bytes] | None = None,
    ) -> bool:
        """See `AppendLog.append_log`; the module's text says what that means in Redis Cluster."""
        return self._append(name, expected_last, compress_log(name, records), truncate_before, values or {})

    def drop_log(self, name: str) -> None:
        """See `AppendLog.drop_log`."""
        self._check_open()
        drop = self._client.script(lua_scripts.DROP, [*self._keys.log(name)], self._was - self._ttl)
        self._client.run(lambda client, _: replies.parse_dropped(drop(client)))

    def lease(self, name: str, seconds: float) -> str | None:
        """See `LeaseStore.lease`."""
        self._check_open()
        token = secrets.token_hex(16)
        key, left = self._keys.lease(name), max(1, round(seconds * 1000))
        take = self._client.script(lua_scripts.LEASE, [key], token, left)
        return token if self._client.run(lambda client, _: replies.parse_bool(take(client))) else None

    def release(self, name: str, token: str) -> None:
        """See `LeaseStore.release`."""
        self._check_open()
        end = self._client.script(lua_scripts.RELEASE, [self._keys.lease(name)], token)
        self._client.run(lambda client, _: replies.parse_bool(end(client)))

    def stats(self) -> StoreStats:
        """What is there, counted: this goes through all keys of the server, in many small steps. `limit` is the
        server's `maxmemory` (0: none), for all that it holds."""
        self._check_open()
        sizes = self._client.run(lambda client, _: replies.value_sizes(client, self._keys.all_values))
        logs = self._client.run(lambda client, _: replies.log_sizes(client, self._keys.all_logs))
        limit = self._client.run(lambda client, _: replies.maxmemory(client))
        return StoreStats(len(sizes), sum(sizes) + sum(logs), limit, self._client.where, len(logs))

    def close(self) -> None:
        """Closes the connections. Using the store afterwards is a `StoreError`."""
        self._closed = True
        if not self._borrows:
            self._client.close()

    @property
    def _was(self) -> int:
        """A tombstone's TTL, from the last use."""
        return min(_LONGEST, round((1 + codec.TOMBSTONE_TTLS) * self._ttl))

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"the store {self._client.where} has been closed")

    def _get(self, keys: Sequence[str]) -> dict[str, tuple[bytes | None, bool]]:
        """For each key its stored form and whether there is a tombstone; renews what is there."""
        self._check_open()
        names = {key: self._keys.value(key) for key in keys}
        out: dict[str, tuple[bytes | None, bool]] = {}

        def read(client: Any, chunk: list[str]) -> None:
            with client.pipeline(transaction=False) as pipe:
                for key in chunk:
                    value, was = names[key]
                    pipe.get(value), pipe.pttl(value), pipe.exists(was)
                answers = replies.execute(pipe)
            stale = []
            for key, stored, left, was in zip(chunk, answers[::3], answers[1::3], answers[2::3], strict=True):
                out[key] = replies.parse_text(stored), bool(was)
                if stored is not None and int(left) < self._stale:
                    stale.append(key)
            if stale:
                with client.pipeline(transaction=False) as pipe:
                    for key in stale:
                        value, was = names[key]
                        pipe.pexpire(value, self._ttl), pipe.set(was, b"", px=self._was)
                    # The bytes are in hand: a full or read-only server must not keep them from the caller.
                    pipe.execute(raise_on_error=False)

        unique = list(names)
        for start in range(0, len(unique), _CHUNK):
            chunk = unique[start : start + _CHUNK]
            self._client.run(lambda client, _, chunk=chunk: read(client, chunk))  # type: ignore[misc]
        return out

    def _append(self, name: str, at: int, packed: list[bytes], fresh: bool, items: Mapping[str, bytes]) -> bool:
        codec.validate_items(items)
        self._check_open()
        keys = self._keys.log(name)
        if self._client.cluster and items:
            if self._client.run(lambda client, _: replies.last_number(client, keys[0])) != at:
                return False
            self._put_apart(items)
            items = {}
        mark = secrets.token_bytes(_MARK)
        size = sum(map(len, packed))
        head = [at, int(fresh), 0, size, len(packed), *(mark + record for record in packed)]
        return self._write(lua_scripts.APPEND, items, [*keys], head)

    def _write(
        self, script: lua_scripts.LuaScript, items: Mapping[str, bytes], keys: list[bytes], head: list[Any]
    ) -> bool:
        """Runs PUT or APPEND, as often as it takes to learn which values are there in another stored form."""
        names = list(items)
        packed = {key: codec.compress(value) for key, value in items.items()}
        all_keys = [*keys, *(each for key in names for each in self._keys.value(key))]
        for _ in range(_TURNS):

            def ask(client: Any, again: bool) -> list[Any]:
                if head:
                    head[2] = int(again)
                args = (self._ttl, self._was, *head, *packed.values())
                return replies.parse_written(self._client.script(script, all_keys, *args)(client))

            code, *held = self._client.run(ask)
            if code in (0, 1):
                return bool(code)
            if code == 3:
                raise StoreError("the connection broke during an append, and others have written since: read the log")
            for number, stored in zip(held[::2], held[1::2], strict=True):
                key = names[number - 1]
                replies.verify_identical(key, items[key], stored)
                packed[key] = stored
        raise self._busy()

    def _put_apart(self, items: Mapping[str, bytes]) -> None:
        """Writes values that are on different servers: compared first, then each in its own step."""
        packed = {key: codec.compress(value) for key, value in items.items()}
        left = list(packed)
        for _ in range(_TURNS):
            held = self._get(left)
            for key, (stored, _) in held.items():
                if stored is not None:
                    replies.verify_identical(key, items[key], stored)
            done: set[str] = set()
            for start in range(0, len(left), _CHUNK):
                chunk = {key: None if held[key][0] is not None else packed[key] for key in left[start : start + _CHUNK]}
                done |= self._client.run(lambda client, _, chunk=chunk: self._set(client, chunk))  # type: ignore[misc]
            # What was written or removed by others since it was compared is compared and written in the next turn.
            left = [key for key in left if key not in done]
            if not left:
                return
        raise self._busy()

    def _set(self, client: Any, chunk: Mapping[str, bytes | None]) -> set[str]:
        """Writes values that were not there, renews the others (None); those for which that was so still."""
        with client.pipeline(transaction=False) as pipe:
            for key, stored in chunk.items():
                value, was = self._keys.value(key)
                pipe.set(was, b"", px=self._was)
                if stored is None:
                    pipe.pexpire(value, self._ttl)
                else:
                    pipe.set(value, stored, px=self._ttl, nx=True)
            answers = replies.execute(pipe)
        return {key for key, done in zip(chunk, answers[1::2], strict=True) if done}

    def _busy(self) -> StoreError:
        return StoreError(f"the store {self._client.where} is too busy: {_TURNS} times another writer was in between")
