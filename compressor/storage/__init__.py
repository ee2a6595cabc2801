"""Stores keep the originals that refs lead back to. `open_store` finds one by its name; base.py says what one is."""

from __future__ import annotations

import os

from compressor.errors import StoreError
from compressor.storage.base import AppendLog, BlobStore, StoreStats
from compressor.storage.memory import MemoryStore
from compressor.storage.redis.client import SCHEMES
from compressor.storage.sqlite.store import SQLiteStore
from compressor.storage.wrappers.resilient import ResilientStore

__all__ = [
    "AppendLog",
    "BlobStore",
    "MemoryStore",
    "ResilientStore",
    "SQLiteStore",
    "StoreStats",
    "default_path",
    "open_store",
]


def default_path() -> str:
    """The user's own store file: in `COMPRESSOR_CACHE_DIR` if that is set, else in the platform's cache folder."""
    folder = os.environ.get("COMPRESSOR_CACHE_DIR")
    if not folder:
        from platformdirs import user_cache_dir  # costs 20 ms to import

        folder = user_cache_dir("agentic-compressor", appauthor=False)
    return os.path.join(folder, "store.db")


def open_store(spec: str | BlobStore | None) -> BlobStore:
    """A store from its name. Opens no file yet: that happens on first use.

    None: the user's own SQLite file (`default_path()`). `"memory"`: this process's memory.
    `"sqlite:///path"` or a path ending in .db, .sqlite or .sqlite3: that SQLite file. `"redis://..."` and the like
    (see `RedisStore`): that Redis, guarded, `MissingDependencyError` where redis-py is not installed.
    A `BlobStore`: itself. Anything else is a `StoreError`.
    """
    if spec is None:
        return SQLiteStore(default_path())
    if not isinstance(spec, str):
        return spec
    if spec == "memory":
        return MemoryStore()
    if spec.startswith(SCHEMES):
        from compressor.storage.redis.store import RedisStore

        return ResilientStore(RedisStore(spec))
    path = spec.removeprefix("sqlite:///")
    if path and path != ":memory:" and (path != spec or spec.endswith((".db", ".sqlite", ".sqlite3"))):
        return SQLiteStore(path)
    raise StoreError(
        f"unknown store {spec!r}: give 'memory', 'sqlite:///path', a path that ends in .db or .sqlite, or 'redis://host'"
    )
