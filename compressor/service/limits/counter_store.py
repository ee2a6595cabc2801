"""Chooses where limits are counted, by the store of the service."""

from __future__ import annotations

from compressor.service.limits.local_counters import Counters, LocalCounters
from compressor.service.limits.shared_counters import SharedCounters
from compressor.service.settings import Settings
from compressor.storage import default_path
from compressor.storage.redis.client import SCHEMES


class CounterStore:
    """The counters of all tenants: in Redis or in a SQLite file if the store is there, else in this process.

    Args:
        settings: The settings of the service.
    """

    def __init__(self, settings: Settings) -> None:
        self._shared = _open(settings.store, settings.workers or 1)

    def for_tenant(self, tenant: str) -> Counters:
        """Returns the counters of a tenant."""
        return LocalCounters() if self._shared is None else self._shared.for_tenant(tenant)

    def close(self) -> None:
        """Sends what is waiting, and closes the connection."""
        if self._shared is not None:
            self._shared.close()


def _open(store: str | None, workers: int) -> SharedCounters | None:
    if store is not None and store.startswith(SCHEMES):
        from compressor.service.limits.redis_counters import RedisCounters

        redis = RedisCounters(store)
        return SharedCounters(redis, redis.location, workers)
    if store == "memory":
        return None
    from compressor.service.limits.sqlite_counters import SqliteCounters

    file = SqliteCounters(default_path() if store is None else store.removeprefix("sqlite:///"))
    return SharedCounters(file, file.location, workers)
