"""Removes what the file of the SQLite store holds, so that it cannot be read from the file any more.

`PRAGMA secure_delete`, which schema.py sets, overwrites removed content with zeros. The write-ahead log may still have
a copy of it, so an erasure ends by writing the log back and emptying it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from compressor.storage import codec
from compressor.storage.base import Erasure
from compressor.storage.sqlite import log as log_table
from compressor.storage.sqlite.schema import transaction

_BATCH = 500  # rows in one transaction, because other processes wait for it
_CHECKPOINT_SECONDS = 5.0  # to wait for readers of the write-ahead log
_LIVE = "value IS NOT NULL AND used + coalesce(ttl, ?) >= ?"


def list_keys(db: sqlite3.Connection, prefix: bytes, now: float, default_ttl: float) -> Iterator[bytes]:
    """Returns the keys of the live values that begin with a prefix."""
    where, given = _range("key", prefix)
    for (key,) in db.execute(f"SELECT key FROM entries WHERE {_LIVE} AND {where}", (default_ttl, now, *given)):
        yield key


def remove(db: sqlite3.Connection, keys: Sequence[bytes], now: float, default_ttl: float) -> int:
    """Replaces values by tombstones; returns how many there were."""
    with transaction(db):
        rows = [(now, key, default_ttl, now) for key in keys]
        removed = db.executemany(
            f"UPDATE entries SET value = NULL, size = 0, used = ? WHERE key = ? AND {_LIVE}", rows
        ).rowcount
    _empty_wal(db)
    return max(0, removed)


def erase(db: sqlite3.Connection, text: str, prefix: bytes) -> Erasure:
    """Deletes values, logs and tombstones.

    Args:
        db: The connection.
        text: The beginning of their names; "" for everything that has no namespace.
        prefix: The same, encoded.
    """

    def is_meant(name: bytes) -> bool:
        return codec.is_below(text, name.decode("utf-8", "surrogatepass"))

    done = Erasure()
    where, given = _range("key", prefix)
    rows = db.execute(f"SELECT rowid, key, size, value IS NULL FROM entries WHERE {where}", given).fetchall()
    values = [row for row in rows if is_meant(row[1])]
    for start in range(0, len(values), _BATCH):
        chunk = values[start : start + _BATCH]
        with transaction(db):
            db.executemany("DELETE FROM entries WHERE rowid = ?", [(row[0],) for row in chunk])
    done += Erasure(values=sum(not row[3] for row in values), size=sum(row[2] for row in values))
    where, given = _range("name", prefix)
    rows = db.execute(f"SELECT id, name, size, last = 0 FROM logs WHERE {where}", given).fetchall()
    logs = [row for row in rows if is_meant(row[1])]
    for start in range(0, len(logs), _BATCH):
        with transaction(db):
            log_table.erase(db, [row[0] for row in logs[start : start + _BATCH]])
    done += Erasure(logs=sum(not row[3] for row in logs), size=sum(row[2] for row in logs))
    _empty_wal(db)
    return done


def _range(column: str, prefix: bytes) -> tuple[str, tuple[bytes, ...]]:
    """Returns a condition that an index answers, and its parameters."""
    end = prefix.rstrip(b"\xff")
    if not end:
        return "1", ()
    return f"{column} >= ? AND {column} < ?", (prefix, end[:-1] + bytes([end[-1] + 1]))


def _empty_wal(db: sqlite3.Connection) -> None:
    """Writes the write-ahead log back and empties it, as soon as no other process reads it."""
    deadline = time.monotonic() + _CHECKPOINT_SECONDS
    while time.monotonic() < deadline:
        with suppress(sqlite3.OperationalError):
            if db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0:
                return
        time.sleep(0.02)
