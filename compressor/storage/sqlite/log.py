"""The logs in the file of the SQLite store: the operations of `AppendLog` as SQL, inside the store's transactions.

There are two tables. A row of `logs` whose `last` is 0 is a tombstone: it tells an expired log from an unknown one.
`records` has an index on log and number, so neither an append nor a read touches older records. Triggers keep the
totals, which also count the values of the store.
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
#: Gives logs a TTL of their own; NULL stands for that of the store that reads it.
SCHEMA_TTL = (
    "ALTER TABLE logs ADD COLUMN ttl REAL",
    "CREATE INDEX live_own_ttl_logs ON logs (used + ttl) WHERE last > 0 AND ttl IS NOT NULL",
)
READ = """
SELECT logs.used, logs.ttl, logs.last, records.number, records.record
FROM logs LEFT JOIN records ON records.log = logs.id AND records.number > ? WHERE logs.name = ? ORDER BY records.number
"""
_RENEW = "UPDATE logs SET used = ?, ttl = ? WHERE name = ? AND last > 0 AND used + coalesce(ttl, ?) >= ?"
# Also replaces a tombstone, an expired log or a live one; `append` has looked up which it is.
_WRITE = """
INSERT INTO logs (name, used, size, last, ttl) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET used = excluded.used, size = excluded.size, last = excluded.last, ttl = excluded.ttl
"""
_OLDEST = "SELECT id, size FROM logs WHERE last > 0 AND used < ? ORDER BY used, id"
_EXPIRED = "SELECT id FROM logs WHERE last > 0 AND used < ? AND (ttl IS NULL OR used + ttl < ?) ORDER BY used LIMIT ?"
_EXPIRED_OWN = "SELECT id FROM logs WHERE last > 0 AND ttl IS NOT NULL AND used + ttl < ? ORDER BY used + ttl LIMIT ?"
_TOMBSTONE = "UPDATE logs SET last = 0, size = 0, used = ? WHERE id = ?"
_DELETE_OLD_TOMBSTONES = (
    "DELETE FROM logs WHERE id IN (SELECT id FROM logs WHERE last = 0 AND used < ? ORDER BY used LIMIT 1000)"
)
_DELETE_SURPLUS_TOMBSTONES = "DELETE FROM logs WHERE id IN (SELECT id FROM logs WHERE last = 0 ORDER BY used LIMIT ?)"
_PURGE_BATCH = 8  # logs; each may have thousands of records, and a write should not wait for many


@dataclass(frozen=True, slots=True)
class PendingAppend:
    """The arguments of one `AppendLog.append_log`.

    Attributes:
        name: The encoded name of the log.
        expected_last: The number that the last record of the log must have.
        records: The records in their stored form.
        truncate_before: Whether the older records are removed.
        ttl: The TTL of the log, or None for that of the store.
    """

    name: bytes
    expected_last: int
    records: list[bytes]
    truncate_before: bool
    ttl: float | None = None


def read(
    db: sqlite3.Connection, ref: str, name: bytes, after: int, now: float, default_ttl: float
) -> tuple[float, float | None, list[tuple[int, bytes]]]:
    """Reads a log in one statement, and so in a consistent state.

    Args:
        db: The connection.
        ref: The name of the log, for the errors.
        name: The encoded name.
        after: The number of the last record that the caller has.
        now: The time.
        default_ttl: The TTL of logs that have none of their own.

    Returns:
        The time of the last use, the TTL (None: the default), and the records after `after` in their stored form, each
        with its number.

    Raises:
        UnknownRefError: If there never was such a log.
        ExpiredRefError: If the log has expired, was dropped, or has fewer than `after` records.
    """
    rows = db.execute(READ, (after, name)).fetchall()
    if not rows:
        raise UnknownRefError(ref)
    used, ttl, last, *_ = rows[0]
    if last == 0 or used + (default_ttl if ttl is None else ttl) < now or last < after:
        raise ExpiredRefError(ref)
    return used, ttl, [(number, record) for *_, number, record in rows if number is not None]


def touch(db: sqlite3.Connection, name: bytes, now: float, ttl: float | None, default_ttl: float) -> None:
    """Renews the TTL of a log."""
    db.execute(_RENEW, (now, ttl, name, default_ttl, now))


def last_number(db: sqlite3.Connection, name: bytes, now: float, default_ttl: float) -> int:
    """Returns the number of the last record of a log; 0 if there is no log or it has expired."""
    row = db.execute(
        "SELECT last FROM logs WHERE name = ? AND used + coalesce(ttl, ?) >= ?", (name, default_ttl, now)
    ).fetchone()
    return 0 if row is None else int(row[0])


def append(db: sqlite3.Connection, new: PendingAppend, now: float, default_ttl: float) -> bool:
    """Writes records within the caller's transaction.

    Returns:
        False, with nothing written, if the last number of the log is not `expected_last`.
    """
    row = db.execute("SELECT id, used, size, last, ttl FROM logs WHERE name = ?", (new.name,)).fetchone()
    log, used, size, last, ttl = row or (None, now, 0, 0, None)
    if used + (default_ttl if ttl is None else ttl) < now:
        last = 0  # no tombstone has replaced it yet
    if last != new.expected_last:
        return False
    end = last + len(new.records)
    if end == 0:
        return True
    if log is not None and (new.truncate_before or last == 0):
        db.execute("DELETE FROM records WHERE log = ?", (log,))
        size = 0
    db.execute(_WRITE, (new.name, now, size + sum(map(len, new.records)), end, new.ttl))
    if log is None:
        (log,) = db.execute("SELECT id FROM logs WHERE name = ?", (new.name,)).fetchone()
    db.executemany("INSERT INTO records VALUES (?, ?, ?)", ((log, n, r) for n, r in enumerate(new.records, last + 1)))
    return True


def drop(db: sqlite3.Connection, name: bytes, now: float) -> None:
    """Replaces a log by a tombstone, if there is one, within the caller's transaction."""
    row = db.execute("SELECT id FROM logs WHERE name = ? AND last > 0", (name,)).fetchone()
    if row is not None:
        _tombstone_log(db, row[0], now)


def tombstone(db: sqlite3.Connection, before: float, now: float, need: int) -> int:
    """Replaces logs by tombstones within the caller's transaction, least recently used first, until enough is freed.

    Args:
        db: The connection.
        before: Only logs that were last used before this time are removed.
        now: The time.
        need: The bytes to free.

    Returns:
        The bytes that were freed.
    """
    freed, logs = 0, []
    for log, size in db.execute(_OLDEST, (before,)):
        if freed >= need:
            break
        logs.append(log)
        freed += size
    for log in logs:
        _tombstone_log(db, log, now)
    return freed


def erase(db: sqlite3.Connection, names: list[bytes]) -> None:
    """Deletes logs and tombstones by their encoded names, within the caller's transaction."""
    rows = [(name,) for name in names]
    db.executemany("DELETE FROM records WHERE log IN (SELECT id FROM logs WHERE name = ?)", rows)
    db.executemany("DELETE FROM logs WHERE name = ?", rows)


def purge_expired(db: sqlite3.Connection, now: float, ttl: float) -> None:
    """Replaces a few expired logs by tombstones and deletes old tombstones, within the caller's transaction."""
    expired = db.execute(_EXPIRED, (now - ttl, now, _PURGE_BATCH)).fetchall()
    expired += db.execute(_EXPIRED_OWN, (now, _PURGE_BATCH)).fetchall()
    for (log,) in dict.fromkeys(expired):
        _tombstone_log(db, log, now)
    db.execute(_DELETE_OLD_TOMBSTONES, (now - codec.TOMBSTONE_TTLS * ttl,))
    (tombstones,) = db.execute("SELECT gone_logs FROM totals").fetchone()
    if tombstones > codec.MAX_TOMBSTONES:
        db.execute(_DELETE_SURPLUS_TOMBSTONES, (tombstones - codec.MAX_TOMBSTONES,))


def _tombstone_log(db: sqlite3.Connection, log: int, now: float) -> None:
    db.execute("DELETE FROM records WHERE log = ?", (log,))
    db.execute(_TOMBSTONE, (now, log))
