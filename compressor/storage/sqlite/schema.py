"""The tables in the file of the SQLite store, by version, and the migration of a file to the newest version."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from compressor.errors import StoreError
from compressor.storage.sqlite import log

_APPLICATION = 0x41435250  # PRAGMA application_id: "ACRP"
_SCHEMA_1 = (
    "CREATE TABLE entries (key BLOB NOT NULL UNIQUE, used REAL NOT NULL, size INTEGER NOT NULL, value BLOB)",
    "CREATE INDEX live ON entries (used, size) WHERE value IS NOT NULL",
    "CREATE INDEX gone ON entries (used) WHERE value IS NULL",
    "CREATE TABLE totals (size INTEGER NOT NULL, gone INTEGER NOT NULL)",
    "INSERT INTO totals VALUES (0, 0)",
    "CREATE TRIGGER added AFTER INSERT ON entries BEGIN UPDATE totals SET size = size + new.size; END",
    "CREATE TRIGGER changed AFTER UPDATE OF value ON entries BEGIN UPDATE totals SET"
    " size = size + new.size - old.size, gone = gone + (new.value IS NULL) - (old.value IS NULL); END",
    "CREATE TRIGGER removed AFTER DELETE ON entries BEGIN UPDATE totals SET"
    " size = size - old.size, gone = gone - (old.value IS NULL); END",
    f"PRAGMA application_id = {_APPLICATION}",
)
#: Gives values a TTL of their own; NULL stands for that of the store that reads it.
_SCHEMA_TTL = (
    "ALTER TABLE entries ADD COLUMN ttl REAL",
    "CREATE INDEX live_own_ttl ON entries (used + ttl) WHERE value IS NOT NULL AND ttl IS NOT NULL",
)
#: The statements that make each version of the schema from the one before. A step only adds, because processes that
#: have the file open go on using their own version.
_STEPS = (_SCHEMA_1, log.SCHEMA, (*_SCHEMA_TTL, *log.SCHEMA_TTL))
_VERSION = len(_STEPS)  # PRAGMA user_version


def prepare(db: sqlite3.Connection, path: str) -> None:
    """Configures a connection, and creates or migrates the tables in one transaction.

    Args:
        db: The connection.
        path: The path of the file, for error messages.

    Raises:
        StoreError: If the file belongs to another program or to a newer version.
    """
    # One statement reads a consistent state, even if another process is creating the file right now.
    version, application, tables = db.execute(
        "SELECT (SELECT user_version FROM pragma_user_version), (SELECT application_id FROM pragma_application_id),"
        " (SELECT count(*) FROM sqlite_master)"
    ).fetchone()
    if application != _APPLICATION and tables:
        raise StoreError(f"{path} is the SQLite file of another program: give the store a file of its own")
    if version > _VERSION:
        raise StoreError(
            f"{path} was written by a newer version of agentic-compressor (schema {version}, this one reads "
            f"{_VERSION}): upgrade, or set COMPRESSOR_CACHE_DIR to another folder"
        )
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA secure_delete = ON")  # what has expired or was erased cannot be read from the file
    db.execute(f"PRAGMA journal_size_limit = {16 * 2**20}")  # the WAL shrinks again after one large put
    if version < _VERSION:
        with transaction(db):  # a second process waits here, and then finds the schema complete
            (version,) = db.execute("PRAGMA user_version").fetchone()
            for step in _STEPS[version:]:
                for statement in step:
                    db.execute(statement)
            db.execute(f"PRAGMA user_version = {max(version, _VERSION)}")


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Runs a block as a write transaction, and commits it if it is still open at the end.

    After any error (KeyboardInterrupt included) nothing is written and no lock is left behind.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        if db.in_transaction:
            db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
