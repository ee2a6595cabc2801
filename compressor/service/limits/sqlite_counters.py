"""The counters in a SQLite file, for the worker processes of one machine, and so that a day's limit survives a restart.

The file is beside the store's, so that a long write of the store delays no request. Its durability is that of the
operating system: after a loss of power the last seconds may be missing.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Sequence
from typing import Any

from compressor.service.limits.counter_state import CounterState
from compressor.service.limits.operations import Operation, apply
from compressor.storage.circuit_breaker import StoreUnavailableError

TIMEOUT = 0.3  # seconds to wait for another process's transaction
SUFFIX = ".limits"  # behind the name of the store's file
_SCHEMA = "CREATE TABLE IF NOT EXISTS counters (tenant TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID"


class SqliteCounters:
    """The counters of all tenants in a file (a `Backend`). Opens it on first use.

    Args:
        store: The path of the store's file.
    """

    def __init__(self, store: str) -> None:
        self._path = store + SUFFIX
        self._connection: sqlite3.Connection | None = None

    @property
    def location(self) -> str:
        """The file."""
        return f"the file {self._path}"

    def execute(self, batch: Sequence[Operation]) -> list[Any]:
        """See `Backend.execute`. A batch is one transaction."""
        try:
            connection = self._connection or self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                outcomes = self._apply(connection, batch)
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            return outcomes
        except (sqlite3.Error, OSError, ValueError, LookupError, TypeError) as error:
            raise StoreUnavailableError(f"{self.location} cannot be used: {error}") from error

    def close(self) -> None:
        """See `Backend.close`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        os.makedirs(os.path.dirname(self._path) or ".", exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=TIMEOUT, isolation_level=None, check_same_thread=False)
        os.chmod(self._path, 0o600)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(_SCHEMA)
        self._connection = connection
        return connection

    def _apply(self, connection: sqlite3.Connection, batch: Sequence[Operation]) -> list[Any]:
        states: dict[str, CounterState] = {}
        now, outcomes = time.time(), []
        for operation in batch:
            tenant = operation.tenant
            if tenant not in states:
                row = connection.execute("SELECT state FROM counters WHERE tenant = ?", (tenant,)).fetchone()
                states[tenant] = CounterState.load(json.loads(row[0])) if row else CounterState()
            outcomes.append(apply(operation, states[tenant], now))
        rows = [(tenant, json.dumps(state.dump())) for tenant, state in states.items()]
        connection.executemany("INSERT OR REPLACE INTO counters VALUES (?, ?)", rows)
        return outcomes
