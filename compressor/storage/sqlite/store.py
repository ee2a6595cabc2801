"""A store in one SQLite file: it survives restarts and is shared by all processes of a user, without a server.

It uses sqlite3 directly rather than diskcache or SQLAlchemy, because it needs hand-written short transactions and
diskcache stores pickles. schema.py makes the tables, log.py has the logs, and values are in one table here. A row whose
`value` is NULL is a tombstone: it tells an expired ref from an unknown one. Triggers keep the totals, so the size limit
needs no scan. Write transactions are short: values are compared and compressed before one begins, and a transaction
that finds that another process was faster starts again.

A finished write survives the end of the process, even `kill -9`. After a power cut the last transactions may be lost,
whole ones from the end, but the file stays sound: WAL with `synchronous = NORMAL`.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from compressor.errors import ExpiredRefError, StoreError, UnknownRefError
from compressor.storage import codec
from compressor.storage.base import Erasure, StoredEntry, StoreStats
from compressor.storage.codec import compress_log
from compressor.storage.retention import TtlPolicy, as_policy
from compressor.storage.sqlite import log as log_table
from compressor.storage.sqlite.erasing import ErasurePlan, empty_wal, list_keys, remove
from compressor.storage.sqlite.schema import prepare, transaction

LIMIT = 512 * 2**20  # bytes; enough for months of one developer's agents, and small beside a package cache
BUSY_SECONDS = 10.0  # how long to wait for other processes' writes before giving up

# Writes a value, also over a tombstone or an expired value, but never over a live one.
_WRITE = """
INSERT INTO entries (key, used, size, value, ttl) VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET
used = excluded.used, size = excluded.size, value = excluded.value, ttl = excluded.ttl
WHERE value IS NULL OR used + coalesce(ttl, ?) < ?
"""
_RENEW = "UPDATE entries SET used = ?, ttl = ? WHERE key = ? AND value IS NOT NULL AND used + coalesce(ttl, ?) >= ?"
_TOMBSTONE = "UPDATE entries SET value = NULL, size = 0, used = ? WHERE rowid = ?"
_EXPIRE = """
UPDATE entries SET value = NULL, size = 0, used = ? WHERE rowid IN
  (SELECT rowid FROM entries WHERE value IS NOT NULL AND used < ? AND (ttl IS NULL OR used + ttl < ?)
   ORDER BY used LIMIT 1000)
"""
_EXPIRE_OWN = """
UPDATE entries SET value = NULL, size = 0, used = ? WHERE rowid IN
  (SELECT rowid FROM entries WHERE value IS NOT NULL AND ttl IS NOT NULL AND used + ttl < ?
   ORDER BY used + ttl LIMIT 1000)
"""
_DELETE_OLD_TOMBSTONES = """
DELETE FROM entries WHERE rowid IN
  (SELECT rowid FROM entries WHERE value IS NULL AND used < ? ORDER BY used LIMIT 1000)
"""
_DELETE_SURPLUS_TOMBSTONES = """
DELETE FROM entries WHERE rowid IN (SELECT rowid FROM entries WHERE value IS NULL ORDER BY used LIMIT ?)
"""
_CHUNK = 500  # keys per SELECT; old versions of SQLite allow 999 parameters

#: key -> (last use, TTL or None for the store's, stored form) of live values
LiveValues = dict[bytes, tuple[float, float | None, bytes]]


class SQLiteStore:
    """Stores values and logs in a SQLite file. One object may be used from any thread, and before and after a fork.

    Args:
        path: The file, created on first use with mode 0600 (its folder with 0700).
        ttl: The seconds after the last use (a put, get, append or read) at which a value or log expires; or the TTLs by
            key. Uses are noted at most every hundredth of the TTL or 60 seconds, whichever is shorter.
        limit: The largest size in bytes, in stored (compressed) form. Above it the least recently used values are
            evicted first, then logs that nobody used for an hour.
        clock: Returns the time in seconds.

    Attributes:
        path: The absolute path of the file.
    """

    _connection: sqlite3.Connection | None = None

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        ttl: float | TtlPolicy = codec.DEFAULT_TTL,
        limit: int = LIMIT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        codec.validate_limit(limit)
        self._policy = as_policy(ttl)
        self.path = os.path.abspath(os.path.expanduser(path))
        self._ttl, self._limit, self._clock = self._policy.longest, limit, clock
        self._grain = min(self._ttl / 100, codec.RENEW_SECONDS)
        self._lock = threading.Lock()
        self._inode: tuple[int, int] | None = None
        self._closed = False
        _stores.add(self)

    def __getstate__(self) -> dict[str, Any]:
        """Returns what is pickled: the path and the settings. The copy opens the file again."""
        state = {**vars(self), "_inode": None}
        state.pop("_connection", None)
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())
        _stores.add(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> SQLiteStore:
        """Returns this store itself: copies of what uses a store share it."""
        return self

    def put(self, items: Mapping[str, bytes]) -> None:
        """See `BlobStore.put`. Also raises StoreError, with nothing stored, if the items alone exceed the limit."""
        self._put(items, None)

    def read_log(self, name: str, after: int = 0) -> list[tuple[int, bytes]]:
        """See `AppendLog.read_log`."""
        with self._open() as db:
            now, key = self._clock(), _encode(name)
            used, ttl, records = log_table.read(db, name, key, after, now, self._ttl)
            own = self._own_ttl(name)
            if self._is_stale(used, ttl, own, now):
                with suppress(sqlite3.OperationalError):  # as in `get`
                    log_table.touch(db, key, now, own, self._ttl)
        return [(number, codec.decompress(record, name)) for number, record in records]

    def append_log(
        self,
        name: str,
        expected_last: int,
        records: Sequence[bytes],
        *,
        truncate_before: bool = False,
        values: Mapping[str, bytes] | None = None,
    ) -> bool:
        """See `AppendLog.append_log`. Also raises StoreError, with nothing written, if it does not fit the limit."""
        return self._put(
            values or {},
            log_table.PendingAppend(
                _encode(name), expected_last, compress_log(name, records), truncate_before, self._own_ttl(name)
            ),
        )

    def drop_log(self, name: str) -> None:
        """See `AppendLog.drop_log`."""
        with self._open() as db:
            now, key = self._clock(), _encode(name)
            if log_table.last_number(db, key, now, self._ttl):
                with transaction(db):
                    log_table.drop(db, key, now)

    def _put(self, items: Mapping[str, bytes], append: log_table.PendingAppend | None) -> bool:
        """Writes values and log records in one transaction.

        Returns False, with nothing written, if the last number of the log is not the expected one.
        """
        codec.validate_items(items)
        raw = {_encode(key): value for key, value in items.items()}
        own = {_encode(key): self._own_ttl(key) for key in items}
        packed: dict[bytes, bytes] = {}
        with self._open() as db:
            while True:
                now = self._clock()
                if (
                    append is not None
                    and log_table.last_number(db, append.name, now, self._ttl) != append.expected_last
                ):
                    return False
                live = self._live_values(db, list(raw), now)
                for key, (_, _, stored) in live.items():
                    if codec.decompress(stored, _decode(key)) != raw[key]:
                        raise codec.collision_error(_decode(key))
                new = [key for key in raw if key not in live]
                if (
                    append is None
                    and not new
                    and not any(self._is_stale(used, ttl, own[key], now) for key, (used, ttl, _) in live.items())
                ):
                    return True
                for key in new:
                    if key not in packed:
                        packed[key] = codec.compress(raw[key])
                if self._write(db, {key: packed[key] for key in new}, live, own, now, append):
                    return True

    def get(self, key: str) -> bytes:
        """See `BlobStore.get`."""
        with self._open() as db:
            now = self._clock()
            row = db.execute("SELECT used, ttl, value FROM entries WHERE key = ?", (_encode(key),)).fetchone()
            if row is None:
                raise UnknownRefError(key)
            used, ttl, stored = row
            if stored is None or self._expires(used, ttl) < now:
                raise ExpiredRefError(key)
            own = self._own_ttl(key)
            if self._is_stale(used, ttl, own, now):
                # The value is read already, so a full disk or a busy database must not make this call fail.
                with suppress(sqlite3.OperationalError):
                    db.execute(_RENEW, (now, own, _encode(key), self._ttl, now))
        return codec.decompress(stored, key)

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See `BatchStore.get_many`."""
        with self._open() as db:
            now = self._clock()
            live = self._live_values(db, [_encode(key) for key in keys], now)
            own = {_encode(key): self._own_ttl(key) for key in keys}
            stale = [
                (now, own[key], key, self._ttl, now)
                for key, (used, ttl, _) in live.items()
                if self._is_stale(used, ttl, own[key], now)
            ]
            if stale:
                self._renew(db, stale)
        return {(name := _decode(key)): codec.decompress(stored, name) for key, (*_, stored) in live.items()}

    def describe(self, key: str) -> StoredEntry | None:
        """See `ErasableStore.describe`."""
        with self._open() as db:
            row = db.execute(
                "SELECT used, ttl, size, value IS NULL FROM entries WHERE key = ?", (_encode(key),)
            ).fetchone()
        if row is None:
            return None
        used, ttl, size, is_tombstone = row
        left = self._expires(used, ttl) - self._clock()
        return StoredEntry(0, 0.0) if is_tombstone or left < 0 else StoredEntry(size, left)

    def list_keys(self, prefix: str) -> list[str]:
        """See `ErasableStore.list_keys`."""
        with self._open() as db:
            return [_decode(key) for key in list_keys(db, _encode(prefix), self._clock(), self._ttl)]

    def remove(self, keys: Sequence[str]) -> int:
        """See `ErasableStore.remove`."""
        with self._open() as db:
            removed = remove(db, [_encode(key) for key in dict.fromkeys(keys)], self._clock(), self._ttl)
            empty_wal(db)  # if nobody else uses it; else with one of the next writes
        return removed

    def erase(self, prefix: str = "") -> Erasure:
        """See `ErasableStore.erase`. Overwrites the content in the file."""
        with self._open() as db:
            plan = ErasurePlan.find(db, prefix, _encode(prefix))
        for step in plan.steps():
            with self._open() as db:
                step(db)
        deadline = time.monotonic() + BUSY_SECONDS
        while time.monotonic() < deadline:  # without the lock while it waits, so that nobody else does
            with self._open() as db:
                if empty_wal(db):
                    break
            time.sleep(0.02)
        return plan.erasure

    def stats(self) -> StoreStats:
        """See `BlobStore.stats`."""
        with self._open() as db:
            (entries, size), (logs, log_size) = (
                db.execute(
                    f"SELECT count(*), coalesce(sum(size), 0) FROM {rows} AND used + coalesce(ttl, ?) >= ?",
                    (self._ttl, self._clock()),
                ).fetchone()
                for rows in ("entries WHERE value IS NOT NULL", "logs WHERE last > 0")
            )
        return StoreStats(entries, size + log_size, self._limit, self.path, logs)

    def close(self) -> None:
        """Closes the file. A closed store raises StoreError."""
        with self._lock:
            self._closed = True
            self._disconnect()

    def __del__(self) -> None:
        self._disconnect()

    def _live_values(self, db: sqlite3.Connection, keys: list[bytes], now: float) -> LiveValues:
        live: LiveValues = {}
        for start in range(0, len(keys), _CHUNK):
            chunk = keys[start : start + _CHUNK]
            placeholders = ",".join("?" * len(chunk))
            for key, used, ttl, value in db.execute(
                f"SELECT key, used, ttl, value FROM entries WHERE key IN ({placeholders})", chunk
            ):
                if value is not None and self._expires(used, ttl) >= now:
                    live[key] = (used, ttl, value)
        return live

    def _own_ttl(self, key: str) -> float | None:
        """Returns the TTL of a key if it is not that of the store."""
        ttl = self._policy.ttl(key)
        return None if ttl == self._ttl else ttl

    def _expires(self, used: float, ttl: float | None) -> float:
        return used + (self._ttl if ttl is None else ttl)

    def _is_stale(self, used: float, ttl: float | None, own: float | None, now: float) -> bool:
        """Returns whether a use has to be noted: the last one is a while ago, or the TTL has changed."""
        return ttl != own or used < now - (self._grain if own is None else min(own / 100, codec.RENEW_SECONDS))

    def _renew(self, db: sqlite3.Connection, rows: list[tuple[float, float | None, bytes, float, float]]) -> None:
        """Renews values in one transaction. A full disk or a busy database is no error: the values are still there."""
        with suppress(sqlite3.OperationalError), transaction(db):
            db.executemany(_RENEW, rows)

    def _write(
        self,
        db: sqlite3.Connection,
        new: Mapping[bytes, bytes],
        live: LiveValues,
        own: Mapping[bytes, float | None],
        now: float,
        append: log_table.PendingAppend | None = None,
    ) -> bool:
        """Writes in one transaction.

        Returns False, with nothing written, if another process has meanwhile written or removed a key, or appended to
        the log.
        """
        expired = now - self._ttl
        with transaction(db):
            rows = [(key, now, len(stored), stored, own[key], self._ttl, now) for key, stored in new.items()]
            if not (
                _all(db, _WRITE, rows)
                and _all(db, _RENEW, [(now, own[key], key, self._ttl, now) for key in live])
                and (append is None or log_table.append(db, append, now, self._ttl))
            ):
                db.execute("ROLLBACK")
                return False
            db.execute(_EXPIRE, (now, expired, now))
            db.execute(_EXPIRE_OWN, (now, now))
            log_table.purge_expired(db, now, self._ttl)
            self._evict(db, {*new, *live}, now)
            db.execute(_DELETE_OLD_TOMBSTONES, (now - codec.TOMBSTONE_TTLS * self._ttl,))
            (tombstones,) = db.execute("SELECT gone FROM totals").fetchone()
            if tombstones > codec.MAX_TOMBSTONES:
                db.execute(_DELETE_SURPLUS_TOMBSTONES, (tombstones - codec.MAX_TOMBSTONES,))
        return True

    def _evict(self, db: sqlite3.Connection, spare: set[bytes], now: float) -> None:
        """Evicts the least recently used until the limit holds: expired logs, then values, then logs idle for an hour.

        The values in `spare`, which were just put, are never evicted.
        """
        (size,) = db.execute("SELECT size FROM totals").fetchone()
        excess = size - self._limit
        if excess > 0:
            excess -= log_table.tombstone(db, now - self._ttl, now, excess)
        if excess <= 0:
            return
        evicted: list[tuple[float, int]] = []
        for rowid, key, length in db.execute(
            "SELECT rowid, key, size FROM entries WHERE value IS NOT NULL ORDER BY used, rowid"
        ):
            if key not in spare:
                evicted.append((now, rowid))
                excess -= length
                if excess <= 0:
                    break
        db.executemany(_TOMBSTONE, evicted)
        if excess > 0:  # the noted last use of a log may be up to `_grain` too early
            excess -= log_table.tombstone(db, now - codec.LOG_IN_USE - self._grain, now, excess)
        if excess > 0:
            raise codec.too_large_error(self._limit + excess, self._limit)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Yields the connection to one thread at a time; SQLite errors become a StoreError that names the file."""
        with self._lock:
            if self._closed:
                raise StoreError(f"the store {self.path} has been closed")
            try:
                if self._connection is None or self._inode != _inode(self.path):
                    self._disconnect()  # the file was removed or replaced, so what is written to it would be lost
                    self._connection = _connect(self.path)
                    self._inode = _inode(self.path)
                yield self._connection
            except (sqlite3.Error, OSError) as exc:
                self._disconnect()
                raise StoreError(_explain(self.path, exc)) from exc

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _encode(key: str) -> bytes:
    """Encodes a key as a BLOB, because TEXT of SQLite holds no lone surrogates and is unsafe with NUL."""
    return key.encode("utf-8", "surrogatepass")


def _decode(key: bytes) -> str:
    return key.decode("utf-8", "surrogatepass")


def _all(db: sqlite3.Connection, sql: str, rows: list[tuple[Any, ...]]) -> bool:
    """Runs a statement for every row; returns whether every run changed its row."""
    return not rows or db.executemany(sql, rows).rowcount == len(rows)


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _connect(path: str) -> sqlite3.Connection:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    # SQLite gives its -wal and -shm files the mode of the database, so only that one needs a private mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                prepare(db, path)
                return db
            except sqlite3.OperationalError as exc:  # noqa: PERF203 - a retry
                # Switching to WAL does not wait for other processes that open the file at the same moment.
                if "locked" not in str(exc) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
    except BaseException:
        db.close()
        raise


def _explain(path: str, exc: Exception) -> str:
    """Says in one line what is wrong with the file and what to do."""
    text = str(exc)
    elsewhere = "set COMPRESSOR_CACHE_DIR to a folder that can be written, or use store='memory'"
    if isinstance(exc, sqlite3.DatabaseError) and any(s in text for s in ("not a database", "malformed", "corrupt")):
        return f"the store {path} is corrupt ({text}): delete that file (the refs in it are lost) and try again"
    if "locked" in text or "busy" in text:
        return f"the store {path} is busy ({text}): another process held it for over {BUSY_SECONDS:.0f} s; try again"
    if "full" in text:
        return f"the store {path} cannot be written ({text}): free some space, or {elsewhere}"
    return f"the store {path} cannot be opened, read or written ({text}): {elsewhere}"


_stores: weakref.WeakSet[SQLiteStore] = weakref.WeakSet()
_forking: list[SQLiteStore] = []


def _before_fork() -> None:
    """Closes all connections: one that is carried across a fork corrupts its database, as locks belong to the process.

    Parent and child both open a new one when they need it. The locks keep other threads out meanwhile.
    """
    for store in list(_stores):
        store._lock.acquire()
        _forking.append(store)
        with suppress(sqlite3.Error):
            store._disconnect()


def _after_in_parent() -> None:
    while _forking:
        _forking.pop()._lock.release()


def _after_in_child() -> None:
    while _forking:
        _forking.pop()._lock = threading.Lock()  # the threads that waited for the old one do not exist here


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
