"""A store in one SQLite file: survives restarts, shared by all processes of a user. No server, no network.

One table of values; the logs are in journal.py, and schema.py makes the tables. A row whose `value` is NULL is a
tombstone: it tells an expired ref from an unknown one. Triggers keep the totals, so that the size limit costs no scan.
Write transactions are short: values are compared and compressed before one begins, and a transaction that finds it was
overtaken starts again.

What a call has written when it returns survives the end of the process, `kill -9` included. When the power goes, the
last writes may be lost, whole transactions from the end, and the file stays sound: WAL with `synchronous = NORMAL`.
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
from compressor.storage.base import StoreStats
from compressor.storage.codec import compress_log
from compressor.storage.sqlite import log as journal
from compressor.storage.sqlite.schema import prepare, transaction

LIMIT = 512 * 2**20  # bytes; months of one developer's agents, and small beside any package cache
BUSY_SECONDS = 10.0  # how long to wait for other processes' writes before giving up

# Writes a new value, or one over a tombstone or an expired value; changes nothing where a live one stands.
_WRITE = """
INSERT INTO entries (key, used, size, value) VALUES (?, ?, ?, ?) ON CONFLICT (key)
DO UPDATE SET used = excluded.used, size = excluded.size, value = excluded.value WHERE value IS NULL OR used < ?
"""
_RENEW = "UPDATE entries SET used = ? WHERE key = ? AND value IS NOT NULL AND used >= ?"
_BURY = "UPDATE entries SET value = NULL, size = 0, used = ? WHERE rowid = ?"
_EXPIRE = """
UPDATE entries SET value = NULL, size = 0, used = ? WHERE rowid IN
  (SELECT rowid FROM entries WHERE value IS NOT NULL AND used < ? ORDER BY used LIMIT 1000)
"""
_FORGET_OLD = """
DELETE FROM entries WHERE rowid IN
  (SELECT rowid FROM entries WHERE value IS NULL AND used < ? ORDER BY used LIMIT 1000)
"""
_FORGET_MANY = """
DELETE FROM entries WHERE rowid IN (SELECT rowid FROM entries WHERE value IS NULL ORDER BY used LIMIT ?)
"""
_CHUNK = 500  # keys per SELECT; old SQLite allows 999 parameters

Held = dict[bytes, tuple[float, bytes]]  # key -> (last use, stored form) of live values


class SQLiteStore:
    """Values and logs in the SQLite file at `path`, made on first use with mode 0600 (its folder with 0700).

    `ttl` seconds after its last put or get a value expires, a log after its last append or read (uses are noted at a
    grain of `ttl`/100, at most a minute). When more than `limit` bytes (as stored, that is compressed) are held, the
    least recently used values go; when there are none left, the logs that nobody used for an hour.
    One object may be used from any thread, and before and after a fork.
    """

    _connection: sqlite3.Connection | None = None

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        ttl: float = codec.DEFAULT_TTL,
        limit: int = LIMIT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        codec.validate_limits(ttl, limit)
        self.path = os.path.abspath(os.path.expanduser(path))
        self._ttl, self._limit, self._clock = ttl, limit, clock
        self._grain = min(ttl / 100, codec.RENEW_SECONDS)
        self._lock = threading.Lock()
        self._inode: tuple[int, int] | None = None
        self._closed = False
        _stores.add(self)

    def put(self, items: Mapping[str, bytes]) -> None:
        """See `BlobStore.put`. `StoreError` also when the items alone exceed the limit; nothing is stored then."""
        self._put(items, None)

    def read_log(self, name: str, after: int = 0) -> list[tuple[int, bytes]]:
        """See `AppendLog.read_log`."""
        with self._open() as db:
            now, key = self._clock(), _encode(name)
            used, records = journal.read(db, name, key, after, now - self._ttl)
            if used < now - self._grain:
                with suppress(sqlite3.OperationalError):  # as in `get`
                    journal.touch(db, key, now, now - self._ttl)
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
        """See `AppendLog.append_log`. `StoreError` also when there is no room; nothing is written then."""
        return self._put(
            values or {},
            journal.PendingAppend(_encode(name), expected_last, compress_log(name, records), truncate_before),
        )

    def drop_log(self, name: str) -> None:
        """See `AppendLog.drop_log`."""
        with self._open() as db:
            now, key = self._clock(), _encode(name)
            if journal.last_number(db, key, now - self._ttl):
                with transaction(db):
                    journal.drop(db, key, now)

    def _put(self, items: Mapping[str, bytes], log: journal.PendingAppend | None) -> bool:
        """Values and log records in one transaction. False, with nothing written, if the log stands elsewhere."""
        codec.validate_items(items)
        raw = {_encode(key): value for key, value in items.items()}
        packed: dict[bytes, bytes] = {}
        with self._open() as db:
            while True:
                now = self._clock()
                if log is not None and journal.last_number(db, log.name, now - self._ttl) != log.expected_last:
                    return False
                held = self._held(db, list(raw), now)
                for key, (_, stored) in held.items():
                    if codec.decompress(stored, _decode(key)) != raw[key]:
                        raise codec.collision_error(_decode(key))
                new = [key for key in raw if key not in held]
                if log is None and not new and all(used >= now - self._grain for used, _ in held.values()):
                    return True
                for key in new:
                    if key not in packed:
                        packed[key] = codec.compress(raw[key])
                if self._write(db, {key: packed[key] for key in new}, held, now, log):
                    return True

    def get(self, key: str) -> bytes:
        with self._open() as db:
            now = self._clock()
            row = db.execute("SELECT used, value FROM entries WHERE key = ?", (_encode(key),)).fetchone()
            if row is None:
                raise UnknownRefError(key)
            used, stored = row
            if stored is None or used < now - self._ttl:
                raise ExpiredRefError(key)
            if used < now - self._grain:
                # The bytes are in hand: a full disk or a busy database must not keep them from the caller.
                with suppress(sqlite3.OperationalError):
                    db.execute(_RENEW, (now, _encode(key), now - self._ttl))
        return codec.decompress(stored, key)

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See `BatchStore.get_many`."""
        with self._open() as db:
            now = self._clock()
            held = self._held(db, [_encode(key) for key in keys], now)
            stale = [(now, key, now - self._ttl) for key, (used, _) in held.items() if used < now - self._grain]
            if stale:
                self._renew(db, stale)
        return {(name := _decode(key)): codec.decompress(stored, name) for key, (_, stored) in held.items()}

    def stats(self) -> StoreStats:
        with self._open() as db:
            (entries, size), (logs, log_size) = (
                db.execute(
                    f"SELECT count(*), coalesce(sum(size), 0) FROM {live} AND used >= ?", (self._clock() - self._ttl,)
                ).fetchone()
                for live in ("entries WHERE value IS NOT NULL", "logs WHERE last > 0")
            )
        return StoreStats(entries, size + log_size, self._limit, self.path, logs)

    def close(self) -> None:
        """Closes the file. Using the store afterwards is a `StoreError`."""
        with self._lock:
            self._closed = True
            self._disconnect()

    def __del__(self) -> None:
        self._disconnect()

    def _held(self, db: sqlite3.Connection, keys: list[bytes], now: float) -> Held:
        held: Held = {}
        for start in range(0, len(keys), _CHUNK):
            chunk = keys[start : start + _CHUNK]
            marks = ",".join("?" * len(chunk))
            for key, used, value in db.execute(f"SELECT key, used, value FROM entries WHERE key IN ({marks})", chunk):
                if value is not None and used >= now - self._ttl:
                    held[key] = (used, value)
        return held

    def _renew(self, db: sqlite3.Connection, rows: list[tuple[float, bytes, float]]) -> None:
        """One transaction; what a full disk or a busy database keeps from being renewed is still there now."""
        with suppress(sqlite3.OperationalError), transaction(db):
            db.executemany(_RENEW, rows)

    def _write(
        self,
        db: sqlite3.Connection,
        new: Mapping[bytes, bytes],
        held: Held,
        now: float,
        log: journal.PendingAppend | None = None,
    ) -> bool:
        """One transaction. False, with nothing written, if another process wrote or removed a key meanwhile, or wrote
        the log."""
        expired = now - self._ttl
        with transaction(db):
            rows = [(key, now, len(stored), stored, expired) for key, stored in new.items()]
            if not (
                _all(db, _WRITE, rows)
                and _all(db, _RENEW, [(now, key, expired) for key in held])
                and (log is None or journal.append(db, log, now, expired))
            ):
                db.execute("ROLLBACK")
                return False
            db.execute(_EXPIRE, (now, expired))
            journal.purge_expired(db, now, self._ttl)
            self._evict(db, {*new, *held}, now)
            db.execute(_FORGET_OLD, (now - codec.TOMBSTONE_TTLS * self._ttl,))
            (gone,) = db.execute("SELECT gone FROM totals").fetchone()
            if gone > codec.MAX_TOMBSTONES:
                db.execute(_FORGET_MANY, (gone - codec.MAX_TOMBSTONES,))
        return True

    def _evict(self, db: sqlite3.Connection, spare: set[bytes], now: float) -> None:
        """Buries the least recently used until the limit holds: expired logs, then values, then logs of which nobody
        has heard for an hour. Never the values in `spare`, just put."""
        (size,) = db.execute("SELECT size FROM totals").fetchone()
        excess = size - self._limit
        if excess > 0:
            excess -= journal.tombstone(db, now - self._ttl, now, excess)
        if excess <= 0:
            return
        buried: list[tuple[float, int]] = []
        for rowid, key, length in db.execute(
            "SELECT rowid, key, size FROM entries WHERE value IS NOT NULL ORDER BY used, rowid"
        ):
            if key not in spare:
                buried.append((now, rowid))
                excess -= length
                if excess <= 0:
                    break
        db.executemany(_BURY, buried)
        if excess > 0:  # a log's last use may have been noted a grain too early
            excess -= journal.tombstone(db, now - codec.LOG_IN_USE - self._grain, now, excess)
        if excess > 0:
            raise codec.too_large_error(self._limit + excess, self._limit)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The connection, for one thread at a time; SQLite's errors become a `StoreError` that names the file."""
        with self._lock:
            if self._closed:
                raise StoreError(f"the store {self.path} has been closed")
            try:
                if self._connection is None or self._inode != _inode(self.path):
                    self._disconnect()  # the file was removed or replaced: writing on would go nowhere
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
    """Keys are BLOBs: SQLite's TEXT takes neither lone surrogates nor, safely, NUL."""
    return key.encode("utf-8", "surrogatepass")


def _decode(key: bytes) -> str:
    return key.decode("utf-8", "surrogatepass")


def _all(db: sqlite3.Connection, sql: str, rows: list[tuple[Any, ...]]) -> bool:
    """Runs the statement for every row; whether each changed its row."""
    return not rows or db.executemany(sql, rows).rowcount == len(rows)


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _connect(path: str) -> sqlite3.Connection:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    # SQLite gives its -wal and -shm files the mode of the database, so it is enough to make that one privately.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                prepare(db, path)
                return db
            except sqlite3.OperationalError as exc:  # noqa: PERF203 - a retry
                # Turning on WAL does not wait for other processes that open the file at the same moment.
                if "locked" not in str(exc) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
    except BaseException:
        db.close()
        raise


def _explain(path: str, exc: Exception) -> str:
    """One line: what is wrong with the file, and what to do."""
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
    """A connection carried across a fork corrupts its database (SQLite's locks belong to the process): close it first.

    Parent and child both open a new one when they need it. Holding the locks keeps other threads out meanwhile.
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
        _forking.pop()._lock = threading.Lock()  # threads that waited for the old one do not exist here


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
