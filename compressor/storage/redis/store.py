"""A store in Redis (or Valkey), which several machines share: one server, Sentinel, or Redis Cluster.

keys.py names the keys, lua_scripts.py has the atomic steps. A write is as durable as the server makes it: with
`appendonly yes` and `appendfsync always` it survives the end of the server; with `everysec` the last two seconds may be
lost, even if the server was only killed; with neither, nothing survives. A failover to a replica may lose the last
writes too. A log always loses whole calls from its end. The size limit is that of the server (`maxmemory`): reading an
evicted value raises ExpiredRefError while its tombstone exists, UnknownRefError after that; if the server does not
evict, a write raises StoreFullError. There is one tombstone, of some 100 bytes, for each key of the last 5 TTLs.

On one server, a call is one atomic step: all its values, and the records of a log with them, or nothing. In Redis
Cluster a step ends at a hash slot. A log and its tombstone share a slot, so compare-and-append works as elsewhere, but
each value has a slot of its own. There, a `put` first compares all its values and then writes them; an append first
checks the last number of the log, then writes the values, and writes the records last. So an acknowledged record never
refers to a value that was not written. The values of a call that lost a race, broke off or was refused half way may
stay until their TTL ends.

All times are those of the server. A call whose connection broke is sent again (see `RedisClient`); the call ID in front
of each record tells an append whether it was already written. After a timeout nobody can know: read the log.
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from compressor.errors import ExpiredRefError, StoreError, UnknownRefError
from compressor.storage import codec
from compressor.storage.base import Erasure, StoredEntry, StoreStats
from compressor.storage.codec import compress_log
from compressor.storage.redis import lua_scripts, responses
from compressor.storage.redis.client import RedisClient
from compressor.storage.redis.keys import RedisKeys
from compressor.storage.retention import TtlPolicy, as_policy

CONNECT_TIMEOUT, TIMEOUT = 0.5, 1.0  # seconds
RETRIES = 2
_CALL_ID_BYTES = 8  # in front of each record; they identify the call that wrote it
_CHUNK = 500  # keys in one round trip
_MAX_ATTEMPTS = 10  # of a write that other writers interfere with
_MAX_TTL_MS = 2**62  # Redis counts in 64 bits


class _Milliseconds:
    """The TTLs of a key in milliseconds.

    Attributes:
        value: Of the value or log.
        tombstone: Of the tombstone, from the last use on.
        dropped: Of the tombstone, from the moment that the log is dropped.
        renew_below: A use renews the TTL if less than this is left.
    """

    def __init__(self, ttl: float) -> None:
        self.value = max(1, round(ttl * 1000))
        self.tombstone = min(_MAX_TTL_MS, round((1 + codec.TOMBSTONE_TTLS) * self.value))
        self.dropped = self.tombstone - self.value
        self.renew_below = self.value - round(min(ttl / 100, codec.RENEW_SECONDS) * 1000)

    def is_stale(self, left: int) -> bool:
        """Returns whether a use has to be noted: the last one is a while ago, or the TTL was longer then."""
        return left < self.renew_below or left > self.value


class RedisStore:
    """Stores values and logs in Redis. Connects on first use.

    One object may be used from any thread, and before and after a fork.

    Args:
        url: redis://[[user]:password@]host[:port][/db], rediss:// (TLS), unix://path,
            redis+sentinel://host[:port],.../service[/db] or redis+cluster://host[:port],...; the latter two with
            rediss+ for TLS too. Options of redis-py (`?ssl_ca_certs=`) may follow the first three forms; `ssl_...`
            all of them; `sentinel_username` and `sentinel_password` that of Sentinel.
        tenant: The tenant whose keys these are; "" for the shared ones.
        prefix: The first part of all keys.
        ttl: The seconds after the last use (a put, get, append or read) at which a value or log expires; or the TTLs by
            key. Uses are noted at most every hundredth of the TTL or 60 seconds, whichever is shorter.
        connect_timeout: The seconds to wait for a connection. The system limits the lookup of the host name.
        timeout: The seconds to wait for each answer.
        retries: How often a command is sent again after a broken connection.

    Raises:
        StoreError: If an argument cannot be used.
        MissingDependencyError: If redis-py is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        tenant: str = "",
        prefix: str = "acr",
        ttl: float | TtlPolicy = codec.DEFAULT_TTL,
        connect_timeout: float = CONNECT_TIMEOUT,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
    ) -> None:
        self._policy = as_policy(ttl)
        self._client = RedisClient(url, connect_timeout=connect_timeout, timeout=timeout, retries=retries)
        self._prefix, self._keys = prefix, RedisKeys(prefix, tenant)
        self._closed = self._shares_connections = False

    def __deepcopy__(self, memo: dict[int, Any]) -> RedisStore:
        """Returns this store itself: copies of what uses a store share it."""
        return self

    def for_tenant(self, tenant: str, ttl: float | TtlPolicy | None = None) -> RedisStore:
        """Returns the store of another tenant with the same settings and connections; closing it leaves those open.

        Args:
            tenant: The tenant.
            ttl: Its TTLs; None for those of this store.
        """
        other = copy.copy(self)
        if ttl is not None:
            other._policy = as_policy(ttl)
        other._keys = RedisKeys(self._prefix, tenant)
        other._closed, other._shares_connections = False, True
        return other

    def put(self, items: Mapping[str, bytes]) -> None:
        """See `BlobStore.put`; the docstring of the module says how it differs in Redis Cluster."""
        codec.validate_items(items)
        self._check_open()
        if self._client.cluster:
            self._put_across_slots(items)
        elif items:
            self._write(lua_scripts.PUT, items, [], [])

    def get(self, key: str) -> bytes:
        """See `BlobStore.get`."""
        stored, has_tombstone = self._read_values([key])[key]
        if stored is None:
            raise ExpiredRefError(key) if has_tombstone else UnknownRefError(key)
        return codec.decompress(stored, key)

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See `BatchStore.get_many`."""
        found = self._read_values(keys)
        return {key: codec.decompress(stored, key) for key, (stored, _) in found.items() if stored is not None}

    def read_log(self, name: str, after: int = 0) -> list[tuple[int, bytes]]:
        """See `AppendLog.read_log`."""
        self._check_open()
        ttls = self._ttls(name)
        args = (ttls.value, ttls.tombstone, ttls.renew_below, after)
        read = self._client.script(lua_scripts.READ, [*self._keys.log(name)], *args)
        answer = self._client.run(lambda client, _: responses.parse_log(read(client)))
        if isinstance(answer, int):
            raise ExpiredRefError(name) if answer else UnknownRefError(name)
        start, records = answer
        return [
            (number, codec.decompress(record[_CALL_ID_BYTES:], name)) for number, record in enumerate(records, start)
        ]

    def append_log(
        self,
        name: str,
        expected_last: int,
        records: Sequence[bytes],
        *,
        truncate_before: bool = False,
        values: Mapping[str, bytes] | None = None,
    ) -> bool:
        """See `AppendLog.append_log`; the docstring of the module says how it differs in Redis Cluster."""
        return self._append(name, expected_last, compress_log(name, records), truncate_before, values or {})

    def drop_log(self, name: str) -> None:
        """See `AppendLog.drop_log`."""
        self._check_open()
        drop = self._client.script(lua_scripts.DROP, [*self._keys.log(name)], self._ttls(name).dropped)
        self._client.run(lambda client, _: responses.parse_dropped(drop(client)))

    def lease(self, name: str, seconds: float) -> str | None:
        """See `LeaseStore.lease`."""
        self._check_open()
        token = secrets.token_hex(16)
        key, ttl = self._keys.lease(name), max(1, round(seconds * 1000))
        take = self._client.script(lua_scripts.LEASE, [key], token, ttl)
        return token if self._client.run(lambda client, _: responses.parse_bool(take(client))) else None

    def release(self, name: str, token: str) -> None:
        """See `LeaseStore.release`."""
        self._check_open()
        end = self._client.script(lua_scripts.RELEASE, [self._keys.lease(name)], token)
        self._client.run(lambda client, _: responses.parse_bool(end(client)))

    def stats(self) -> StoreStats:
        """See `BlobStore.stats`. Counts all keys of the server, in many small steps.

        `limit` is the `maxmemory` of the server, for everything that it holds.
        """
        self._check_open()
        sizes = self._client.run(lambda client, _: responses.value_sizes(client, self._keys.all_values))
        logs = self._client.run(lambda client, _: responses.log_sizes(client, self._keys.all_logs))
        limit = self._client.run(lambda client, _: responses.maxmemory(client))
        return StoreStats(len(sizes), sum(sizes) + sum(logs), limit, self._client.location, len(logs))

    def close(self) -> None:
        """Closes the connections. A closed store raises StoreError."""
        self._closed = True
        if not self._shares_connections:
            self._client.close()

    def describe(self, key: str) -> StoredEntry | None:
        """See `ErasableStore.describe`."""
        self._check_open()
        value, tombstone = self._keys.value(key)
        return self._client.run(lambda client, _: responses.describe(client, value, tombstone))

    def list_keys(self, prefix: str) -> list[str]:
        """See `ErasableStore.list_keys`. Looks at all keys of the server, in many small steps."""
        self._check_open()
        pattern = self._keys.values_with(prefix)
        found = self._client.run(lambda client, _: responses.scan(client, pattern))
        return [self._keys.parse_value(name) for name in found]

    def remove(self, keys: Sequence[str]) -> int:
        """See `ErasableStore.remove`."""
        self._check_open()
        names = [self._keys.value(key)[0] for key in dict.fromkeys(keys)]
        return self._client.run(lambda client, _: responses.unlink(client, names))

    def erase(self, prefix: str = "") -> Erasure:
        """See `ErasableStore.erase`. Looks at all keys of the server, in many small steps."""
        self._check_open()
        patterns = self._keys.everything_with(prefix)

        def is_meant(name: bytes) -> bool:
            return codec.is_below(prefix, self._keys.parse_name(name))

        return self._client.run(lambda client, _: responses.erase(client, patterns, is_meant))

    def _ttls(self, key: str) -> _Milliseconds:
        return _Milliseconds(self._policy.ttl(key))

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"the store {self._client.location} has been closed")

    def _read_values(self, keys: Sequence[str]) -> dict[str, tuple[bytes | None, bool]]:
        """Returns for each key its stored form and whether it has a tombstone; renews the TTL of what is there."""
        self._check_open()
        names = {key: self._keys.value(key) for key in keys}
        out: dict[str, tuple[bytes | None, bool]] = {}

        def read(client: Any, chunk: list[str]) -> None:
            with client.pipeline(transaction=False) as pipe:
                for key in chunk:
                    value, tombstone = names[key]
                    pipe.get(value), pipe.pttl(value), pipe.exists(tombstone)
                answers = responses.execute(pipe)
            stale = []
            for key, stored, ttl, tombstone in zip(chunk, answers[::3], answers[1::3], answers[2::3], strict=True):
                out[key] = responses.parse_value(stored), bool(tombstone)
                if stored is not None and self._ttls(key).is_stale(int(ttl)):
                    stale.append(key)
            if stale:
                with client.pipeline(transaction=False) as pipe:
                    for key in stale:
                        (value, tombstone), ttls = names[key], self._ttls(key)
                        pipe.pexpire(value, ttls.value), pipe.set(tombstone, b"", px=ttls.tombstone)
                    # The values are read already, so a full or read-only server must not make this call fail.
                    pipe.execute(raise_on_error=False)

        unique = list(names)
        for start in range(0, len(unique), _CHUNK):
            chunk = unique[start : start + _CHUNK]
            self._client.run(lambda client, _, chunk=chunk: read(client, chunk))  # type: ignore[misc]
        return out

    def _append(
        self, name: str, expected_last: int, packed: list[bytes], truncate: bool, items: Mapping[str, bytes]
    ) -> bool:
        codec.validate_items(items)
        self._check_open()
        keys = self._keys.log(name)
        if self._client.cluster and items:
            if self._client.run(lambda client, _: responses.last_number(client, keys[0])) != expected_last:
                return False
            self._put_across_slots(items)
            items = {}
        call_id = secrets.token_bytes(_CALL_ID_BYTES)
        size = sum(map(len, packed))
        ttls = self._ttls(name)
        head: list[Any] = [ttls.value, ttls.tombstone, expected_last, int(truncate), 0, size, len(packed)]
        head += [call_id + record for record in packed]
        return self._write(lua_scripts.APPEND, items, [*keys], head)

    def _write(
        self, script: lua_scripts.LuaScript, items: Mapping[str, bytes], keys: list[bytes], head: list[Any]
    ) -> bool:
        """Runs PUT or APPEND, again if a value is already there in another stored form, which is then used."""
        names = list(items)
        packed = {key: codec.compress(value) for key, value in items.items()}
        all_keys = [*keys, *(each for key in names for each in self._keys.value(key))]
        for _ in range(_MAX_ATTEMPTS):

            def write(client: Any, sent_before: bool) -> list[Any]:
                if head:
                    head[4] = int(sent_before)
                args = [*head]
                for key, stored in packed.items():
                    ttls = self._ttls(key)
                    args += [ttls.value, ttls.tombstone, stored]
                return responses.parse_written(self._client.script(script, all_keys, *args)(client))

            code, *existing = self._client.run(write)
            if code in (0, 1):
                return bool(code)
            if code == 3:
                raise StoreError(
                    "the connection broke during an append, and other writers have appended since, so it is unknown "
                    "whether this append was written: read the log"
                )
            for number, stored in zip(existing[::2], existing[1::2], strict=True):
                key = names[number - 1]
                responses.verify_identical(key, items[key], stored)
                packed[key] = stored
        raise self._contention_error()

    def _put_across_slots(self, items: Mapping[str, bytes]) -> None:
        """Writes values of different slots: compares all of them first, then writes each in a step of its own."""
        packed = {key: codec.compress(value) for key, value in items.items()}
        remaining = list(packed)
        for _ in range(_MAX_ATTEMPTS):
            existing = self._read_values(remaining)
            for key, (stored, _) in existing.items():
                if stored is not None:
                    responses.verify_identical(key, items[key], stored)
            done: set[str] = set()
            for start in range(0, len(remaining), _CHUNK):
                keys = remaining[start : start + _CHUNK]
                chunk = {key: None if existing[key][0] is not None else packed[key] for key in keys}
                done |= self._client.run(lambda client, _, chunk=chunk: self._write_chunk(client, chunk))  # type: ignore[misc]
            # Values that others wrote or removed since the comparison are compared and written in the next round.
            remaining = [key for key in remaining if key not in done]
            if not remaining:
                return
        raise self._contention_error()

    def _write_chunk(self, client: Any, chunk: Mapping[str, bytes | None]) -> set[str]:
        """Writes the values that were missing and renews the others (None).

        Returns the keys that were still missing, or still there, as `chunk` says.
        """
        with client.pipeline(transaction=False) as pipe:
            for key, stored in chunk.items():
                (value, tombstone), ttls = self._keys.value(key), self._ttls(key)
                pipe.set(tombstone, b"", px=ttls.tombstone)
                if stored is None:
                    pipe.pexpire(value, ttls.value)
                else:
                    pipe.set(value, stored, px=ttls.value, nx=True)
            answers = responses.execute(pipe)
        return {key for key, done in zip(chunk, answers[1::2], strict=True) if done}

    def _contention_error(self) -> StoreError:
        return StoreError(
            f"the store {self._client.location} is too busy: other writers interfered {_MAX_ATTEMPTS} times; try again"
        )
