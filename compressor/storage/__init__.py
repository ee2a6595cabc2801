"""Stores hold the originals behind refs. `open_store` opens one by its name; base.py defines the protocols."""

from __future__ import annotations

import os

from compressor.errors import StoreError
from compressor.storage import codec, memory
from compressor.storage.base import AppendLog, BlobStore, StoreStats
from compressor.storage.memory import MemoryStore
from compressor.storage.redis.client import SCHEMES
from compressor.storage.retention import PERMANENT, Retention, TtlPolicy
from compressor.storage.sqlite import store as sqlite_store
from compressor.storage.sqlite.store import SQLiteStore
from compressor.storage.wrappers.resilient import ResilientStore

__all__ = [
    "PERMANENT",
    "AppendLog",
    "BlobStore",
    "MemoryStore",
    "ResilientStore",
    "Retention",
    "SQLiteStore",
    "StoreStats",
    "default_path",
    "open_store",
]


def default_path() -> str:
    """Returns the path of the user's own store file.

    It is in `COMPRESSOR_CACHE_DIR` if that is set, else in the cache folder of the platform.
    """
    folder = os.environ.get("COMPRESSOR_CACHE_DIR")
    if not folder:
        from platformdirs import user_cache_dir  # costs 20 ms to import

        folder = user_cache_dir("agentic-compressor", appauthor=False)
    return os.path.join(folder, "store.db")


#: The forms of a store's name, for messages.
STORE_FORMS = "'memory', 'sqlite:///path', a path that ends in .db or .sqlite, or 'redis://host'"


def check_store_name(spec: str | None) -> None:
    """Checks that `open_store` knows the kind of a store. Opens nothing.

    Raises:
        StoreError: If the name describes no store.
    """
    if spec in (None, "memory") or spec.startswith(SCHEMES):
        return
    path = spec.removeprefix("sqlite:///")
    if not (path and path != ":memory:" and (path != spec or spec.endswith((".db", ".sqlite", ".sqlite3")))):
        raise StoreError(f"unknown store {spec!r}: use {STORE_FORMS}")


def open_store(
    spec: str | BlobStore | None, *, ttl: float | TtlPolicy = codec.DEFAULT_TTL, limit: int | None = None
) -> BlobStore:
    """Returns the store that a name describes. A file or connection is opened on first use, not here.

    Args:
        spec: None for the user's own SQLite file (`default_path()`); "memory" for the memory of this process;
            "sqlite:///path", or a path that ends in .db, .sqlite or .sqlite3, for a SQLite file; "redis://..." (all
            forms are listed at `RedisStore`) for a Redis server behind a `ResilientStore`. A `BlobStore` is returned
            as it is.
        ttl: The TTL in seconds, or the TTLs by key. A store that is given as an object keeps its own.
        limit: The largest size of a file or of the memory in bytes; None for the default. A server has its own limit.

    Raises:
        StoreError: If the name describes no store.
        MissingDependencyError: If redis-py is needed and not installed.
    """
    if spec is None:
        spec = default_path()
    if not isinstance(spec, str):
        return spec
    if spec == "memory":
        return MemoryStore(ttl=ttl, limit=limit or memory.LIMIT)
    if spec.startswith(SCHEMES):
        from compressor.storage.redis.store import RedisStore

        return ResilientStore(RedisStore(spec, ttl=ttl), ttl=ttl)
    check_store_name(spec)
    return SQLiteStore(spec.removeprefix("sqlite:///"), ttl=ttl, limit=limit or sqlite_store.LIMIT)
