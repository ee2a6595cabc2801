"""Logs in the SQLite store's file: what `AppendLog` says, as SQL. Files and transactions are sqlite.py's.

Two tables. A row of `logs` whose `last` is 0 is a tombstone: it tells an expired log from an unknown one. `records` has
its numbers in an index below the log's, so that neither an append nor a read touches the records before. Triggers keep
the totals that the store's values are counted in too.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from compressor.errors import ExpiredRefError, UnknownRefError
from compressor.storage import codec

SCHEMA = (
    "CREATE TABLE logs (id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, used REAL NOT NULL, size INTEGER NOT NULL,"
    " last INTEGER NOT NULL)",
    "CREATE INDEX live_logs ON logs (used) WHERE last > 0",
    "CREATE INDEX gone_logs ON logs (used) WHERE last = 0",
    "CREATE TABLE records (log INTEGER NOT NULL, number INTEGER NOT NULL, record BLOB NOT NULL, UNIQUE (log, number))",
    "ALTER TABLE totals ADD COLUMN gone_logs INTEGER NOT NULL DEFAULT 0",
    "CREATE TRIGGER log_added AFTER INSERT ON logs BEGIN UPDATE totals SET size = size + new.size; END",
    "CREATE TRIGGER log_changed AFTER UPDATE OF size, last ON logs BEGIN UPDATE totals SET"
    " size = size + new.size - old.size, gone_logs = gone_logs + (new.last = 0) - (old.last = 0); END",
    "CREATE TRIGGER log_removed AFTER DELETE ON logs BEGIN UPDATE totals SET"
    " size = size - old.size, gone_logs = gone_logs - (old.last = 0); END",
)
READ = """
SELECT logs.used, logs.last, records.number, records.record
FROM logs LEFT JOIN records ON records.log = logs.id AND records.number > ? WHERE logs.name = ? ORDER BY records.number
"""
_RENEW = "UPDATE logs SET used = ? WHERE name = ? AND last > 0 AND used >= ?"
# Over a tombstone, an expired log or a live one: which it was, `append` has looked up.
_WRITE = """
INSERT INTO logs (name, used, size, last) VALUES (?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET used = excluded.used, size = excluded.size, last = excluded.last
"""
_OLDEST = "SELECT id, size FROM logs WHERE last > 0 AND used < ? ORDER BY used, id"
_BURY = "UPDATE logs SET last = 0, size = 0, used = ? WHERE id = ?"
_FORGET_OLD = "DELETE FROM logs WHERE id IN (SELECT id FROM logs WHERE last = 0 AND used < ? ORDER BY used LIMIT 1000)"
_FORGET_MANY = "DELETE FROM logs WHERE id IN (SELECT id FROM logs WHERE last = 0 ORDER BY used LIMIT ?)"
_SWEEP = 8  # logs; one may have thousands of records, and a write should not wait for more


@dataclass(frozen=True, slots=True)
class PendingAppend:
    """What `AppendLog.append_log` was given: `name` encoded, `records` packed."""

    name: bytes
    expected_last: int
    records: list[bytes]
    truncate_before: bool


def read(
    db: sqlite3.Connection, ref: str, name: bytes, after: int, expired: float
) -> tuple[float, list[tuple[int, bytes]]]:
    """When the log was last used, and its records above `after`, packed. One statement, hence one moment's state.

    `ref` is the name for the errors: `UnknownRefError`, `ExpiredRefError`."""
    rows = db.execute(READ, (after, name)).fetchall()
    if not rows:
        raise UnknownRefError(ref)
    used, last, *_ = rows[0]
    if last == 0 or used < expired or last < after:
        raise ExpiredRefError(ref)
    return used, [(number, record) for _, _, number, record in rows if number is not None]


def touch(db: sqlite3.Connection, name: bytes, now: float, expired: float) -> None:
    db.execute(_RENEW, (now, name, expired))


def last_number(db: sqlite3.Connection, name: bytes, expired: float) -> int:
    """The number of the log's last record; 0 if there is no such log, or no more."""
    row = db.execute("SELECT last FROM logs WHERE name = ? AND used >= ?", (name, expired)).fetchone()
    return 0 if row is None else int(row[0])


def append(db: sqlite3.Connection, new: PendingAppend, now: float, expired: float) -> bool:
    """Within a transaction: writes the records. False, with nothing written, if the log's last number is not `at`."""
    row = db.execute("SELECT id, used, size, last FROM logs WHERE name = ?", (new.name,)).fetchone()
    log, used, size, last = row or (None, now, 0, 0)
    if used < expired:
        last = 0  # nobody has buried it yet
    if last != new.expected_last:
        return False
    end = last + len(new.records)
    if end == 0:
        return True
    if log is not None and (new.truncate_before or last == 0):
        db.execute("DELETE FROM records WHERE log = ?", (log,))
        size = 0
    db.execute(_WRITE, (new.name, now, size + sum(map(len, new.records)), end))
    if log is None:
        (log,) = db.execute("SELECT id FROM logs WHERE name = ?", (new.name,)).fetchone()
    db.executemany("INSERT INTO records VALUES (?, ?, ?)", ((log, n, r) for n, r in enumerate(new.records, last + 1)))
    return True


def drop(db: sqlite3.Connection, name: bytes, now: float) -> None:
    """Within a transaction: leaves a tombstone of the log, if it is there."""
    row = db.execute("SELECT id FROM logs WHERE name = ? AND last > 0", (name,)).fetchone()
    if row is not None:
        _bury(db, row[0], now)


def tombstone(db: sqlite3.Connection, before: float, now: float, need: int) -> int:
    """Within a transaction: buries logs last used before `before`, least recently used first, until that has freed
    `need` bytes. Returns how many it has freed."""
    freed, logs = 0, []
    for log, size in db.execute(_OLDEST, (before,)):
        if freed >= need:
            break
        logs.append(log)
        freed += size
    for log in logs:
        _bury(db, log, now)
    return freed


def purge_expired(db: sqlite3.Connection, now: float, ttl: float) -> None:
    """Within a transaction: buries what has expired, a few logs at a time, and forgets old tombstones."""
    for log, _ in db.execute(f"{_OLDEST} LIMIT {_SWEEP}", (now - ttl,)).fetchall():
        _bury(db, log, now)
    db.execute(_FORGET_OLD, (now - codec.TOMBSTONE_TTLS * ttl,))
    (gone,) = db.execute("SELECT gone_logs FROM totals").fetchone()
    if gone > codec.MAX_TOMBSTONES:
        db.execute(_FORGET_MANY, (gone - codec.MAX_TOMBSTONES,))


def _bury(db: sqlite3.Connection, log: int, now: float) -> None:
    db.execute("DELETE FROM records WHERE log = ?", (log,))
    db.execute(_BURY, (now, log))
