"""The service's store, and each tenant's part of it.

A file or this process's memory is shared, with names of each tenant's own. In a Redis each tenant has keys of its own;
what is shared are the connections, the breaker that says whether Redis is there, and the memory in front of it, which
is bounded over all tenants. Knows no HTTP, no keys of the service and no compressor.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from compressor.service.settings import Settings
from compressor.storage import open_store
from compressor.storage.base import BlobStore
from compressor.storage.circuit_breaker import CircuitBreaker, StoreUnavailableError
from compressor.storage.memory import MemoryStore
from compressor.storage.redis.client import SCHEMES
from compressor.storage.wrappers.encrypted import EncryptedStore
from compressor.storage.wrappers.namespaced import NamespacedStore
from compressor.storage.wrappers.redacting import RedactingStore
from compressor.storage.wrappers.resilient import LOCAL, PENDING, ResilientStore, StoreHealth

if TYPE_CHECKING:
    from compressor.storage.redis.store import RedisStore

LEAST_PENDING = 2**20  # bytes of a tenant's values that wait for a Redis that is away


def wrap_store(store: BlobStore, config: Settings, tenant: str = "") -> BlobStore:
    """What every tenant's store goes through, and the shared one: secrets are taken out, the rest is encrypted, bound
    to whose it is."""
    if config.encryption_keys:
        store = EncryptedStore(store, config.encryption_keys, read_plain=config.encryption_read_plain, space=tenant)
    return RedactingStore(store, config.redact)


class TenantStores:
    """Opened as `config.store` says. Safe to share between threads. StoreError for what is no store, MissingDependencyError where
    redis-py is not installed."""

    def __init__(self, config: Settings) -> None:
        self._config = config
        self._remote = _redis(config.store)
        self._own: BlobStore = self._remote or open_store(config.store)
        self._guards: dict[str, ResilientStore] = {}
        self._near, self._breaker = MemoryStore(limit=LOCAL), CircuitBreaker()
        self._pending = max(LEAST_PENDING, PENDING // (1 + len({key.tenant for key in config.keys})))
        self._lock = threading.Lock()
        #: That of the service itself, and of whoever comes where no key is asked for.
        self.shared = wrap_store(self._guarded("", self._remote) if self._remote else self._own, config)

    def of(self, tenant: str) -> BlobStore:
        """A tenant's part; "" has the shared one."""
        if not tenant:
            return self.shared
        own = self._guarded(tenant, self._remote) if self._remote else NamespacedStore(self._own, tenant)
        return wrap_store(own, self._config, tenant)

    def health(self) -> dict[str, StoreHealth]:
        """How it is with each tenant's part of a Redis, "" for the shared one; nothing for another store. `state`,
        `failures`, `opened` and `error` are the same for all. Asks nobody."""
        with self._lock:
            return {tenant: guard.health() for tenant, guard in self._guards.items()}

    def answers(self) -> bool:
        """Whether the store can be used now: False for a Redis that is away, without which the service does what it
        can. StoreError for another store that cannot be used."""
        guard = self._guards.get("")
        if guard is None:
            self.shared.stats()
            return True
        try:
            guard.get_many([""])
        except StoreUnavailableError:
            return False
        return guard.health().state == "closed"

    def close(self) -> None:
        """Writes what still waits, and closes all. StoreError where a Redis did not get everything."""
        with ExitStack() as closing:  # closes the others, too, where one fails
            closing.callback(self._own.close)
            for guard in self._guards.values():
                closing.callback(guard.close)

    def _guarded(self, tenant: str, remote: RedisStore) -> ResilientStore:
        with self._lock:
            if tenant not in self._guards:
                near = NamespacedStore(self._near, tenant)
                self._guards[tenant] = ResilientStore(
                    remote.for_tenant(tenant), near, breaker=self._breaker, pending_limit=self._pending
                )
            return self._guards[tenant]


def _redis(spec: str | None) -> RedisStore | None:
    if spec is None or not spec.startswith(SCHEMES):
        return None
    from compressor.storage.redis.store import RedisStore

    return RedisStore(spec)
