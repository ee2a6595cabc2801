"""What the tests of stores share: the kinds of stores, a clock to set and bytes of known size."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Protocol

from compressor.storage import MemoryStore, ResilientStore, SQLiteStore
from compressor.storage.base import AppendLog, BlobStore
from compressor.storage.redis.store import RedisStore

#: Stores that have a size limit of their own.
LOCAL = ("memory", "sqlite")
#: In a Redis server, in a cluster, and with a guard in front.
REMOTE = ("redis", "cluster", "resilient")
KINDS = (*LOCAL, *REMOTE)
#: Seconds of grace on TTLs in Redis, whose own clock goes on while a test sets its own. Less than any step of a test.
GRACE = 0.3


class Both(BlobStore, AppendLog, Protocol):
    """What every store of ours is."""


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def clock_for(kind: str) -> Clock:
    """The clock of one test. Setting it ages the server's keys, which are flushed here."""
    if kind in LOCAL:
        return Clock()
    from support.redis_tools import ServerClock, shared_server

    server = shared_server(cluster=kind == "cluster")
    server.admin.execute_command("FLUSHALL")
    return ServerClock(server)


def make_store(kind: str, folder: Path, ttl: Any = 7 * 86_400.0, **options: Any) -> Both:
    """A store; those made with one folder or server share what they hold."""
    if kind == "memory":
        return MemoryStore(ttl=ttl, **options)
    if kind == "sqlite":
        return SQLiteStore(folder / "s.db", ttl=ttl, **options)
    from support.redis_tools import shared_server

    if isinstance(ttl, (int, float)):
        ttl += GRACE if ttl > GRACE else 0
    # A busy machine is no test of timeouts.
    store = RedisStore(shared_server(cluster=kind == "cluster").url, ttl=ttl, timeout=10.0, connect_timeout=5.0)
    if kind != "resilient":
        return store
    timed: dict[str, Any] = {"ttl": ttl, **options}
    return ResilientStore(store, MemoryStore(**timed), **timed)


def noise(seed: int, size: int) -> bytes:
    """Bytes that zstd cannot make smaller, so that sizes in the store are known: `size` and one byte."""
    return random.Random(seed).randbytes(size)
