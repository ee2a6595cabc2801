"""Removes what the file of the SQLite store holds, so that it cannot be read from the file any more.

`PRAGMA secure_delete`, which schema.py sets, overwrites removed content with zeros. The write-ahead log may still have
a copy of it, so an erasure ends by writing the log back and emptying it (`empty_wal`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from compressor.storage import codec
from compressor.storage.base import Erasure
from compressor.storage.sqlite import log as log_table
from compressor.storage.sqlite.schema import transaction

_BATCH = 500  # rows in one transaction, because other processes wait for it
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
    return max(0, removed)


@dataclass(frozen=True)
class ErasurePlan:
    """What is to be erased, by its encoded names: row IDs may belong to other rows by the time that it is.

    Attributes:
        values: The keys of values and of their tombstones.
        logs: The names of logs and of their tombstones.
        erasure: What that is without the tombstones.
    """

    values: list[bytes]
    logs: list[bytes]
    erasure: Erasure

    @classmethod
    def find(cls, db: sqlite3.Connection, text: str, prefix: bytes) -> ErasurePlan:
        """Finds the values and logs of a prefix.

        Args:
            db: The connection.
            text: The beginning of their names; "" for everything that has no namespace.
            prefix: The same, encoded.
        """

        def find(table: str, name: str, is_tombstone: str) -> list[tuple[bytes, int, int]]:
            where, given = _range(name, prefix)
            rows = db.execute(f"SELECT {name}, size, {is_tombstone} FROM {table} WHERE {where}", given)
            return [row for row in rows if codec.is_below(text, row[0].decode("utf-8", "surrogatepass"))]

        values, logs = find("entries", "key", "value IS NULL"), find("logs", "name", "last = 0")
        size = sum(row[1] for row in (*values, *logs))
        erasure = Erasure(sum(not row[2] for row in values), sum(not row[2] for row in logs), size)
        return cls([row[0] for row in values], [row[0] for row in logs], erasure)

    def steps(self) -> Iterator[Callable[[sqlite3.Connection], None]]:
        """Yields functions that erase a part each, in a transaction of its own."""
        for start in range(0, len(self.values), _BATCH):
            yield partial(_delete_values, keys=self.values[start : start + _BATCH])
        for start in range(0, len(self.logs), _BATCH):
            yield partial(_delete_logs, names=self.logs[start : start + _BATCH])


def _delete_values(db: sqlite3.Connection, keys: list[bytes]) -> None:
    with transaction(db):
        db.executemany("DELETE FROM entries WHERE key = ?", [(key,) for key in keys])


def _delete_logs(db: sqlite3.Connection, names: list[bytes]) -> None:
    with transaction(db):
        log_table.erase(db, names)


def _range(column: str, prefix: bytes) -> tuple[str, tuple[bytes, ...]]:
    """Returns a condition that an index answers, and its parameters."""
    end = prefix.rstrip(b"\xff")
    if not end:
        return "1", ()
    return f"{column} >= ? AND {column} < ?", (prefix, end[:-1] + bytes([end[-1] + 1]))


def empty_wal(db: sqlite3.Connection) -> bool:
    """Writes the write-ahead log back and empties it, without waiting for anybody.

    Returns:
        False if another process uses it just now.
    """
    (timeout,) = db.execute("PRAGMA busy_timeout").fetchone()
    db.execute("PRAGMA busy_timeout = 0")
    try:
        return bool(db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)
    except sqlite3.OperationalError:
        return False
    finally:
        db.execute(f"PRAGMA busy_timeout = {timeout}")
