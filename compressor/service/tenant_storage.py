"""The store of the service and the part of it that each tenant has.

In a file or in memory, the tenants share one store in which each has a namespace. In Redis each tenant has keys of its
own; the tenants share the connections, the circuit breaker, and the local cache, so that its size is bounded for all of
them together.
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
from compressor.storage.wrappers.resilient import LOCAL_BYTES, MAX_PENDING_BYTES, ResilientStore, StoreHealth

if TYPE_CHECKING:
    from compressor.storage.redis.store import RedisStore

MIN_PENDING_BYTES = 2**20  # of each tenant's values that are queued while Redis is unavailable


def wrap_store(store: BlobStore, settings: Settings, tenant: str = "") -> BlobStore:
    """Wraps a store as the settings say: secrets are redacted, and the rest is encrypted and bound to the tenant.

    Args:
        store: The store.
        settings: The settings of the service.
        tenant: The name of the tenant; "" for the shared store.
    """
    if settings.encryption_keys:
        store = EncryptedStore(
            store, settings.encryption_keys, read_plain=settings.encryption_read_plain, namespace=tenant
        )
    return RedactingStore(store, settings.redact)


class TenantStores:
    """Opens the store of the service and the stores of its tenants. Safe to share between threads.

    Args:
        settings: The settings of the service.

    Attributes:
        shared: The store of the service itself, and of clients that need no API key.

    Raises:
        StoreError: If the settings name no valid store.
        MissingDependencyError: If redis-py is needed and not installed.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._remote = _redis(settings.store)
        self._base: BlobStore = self._remote or open_store(settings.store)
        self._resilient_stores: dict[str, ResilientStore] = {}
        self._local, self._breaker = MemoryStore(limit=LOCAL_BYTES), CircuitBreaker()
        self._pending = max(MIN_PENDING_BYTES, MAX_PENDING_BYTES // (1 + len({key.tenant for key in settings.keys})))
        self._lock = threading.Lock()
        self.shared = wrap_store(self._resilient_store("", self._remote) if self._remote else self._base, settings)

    def for_tenant(self, tenant: str) -> BlobStore:
        """Returns the store of a tenant, or the shared one for ""."""
        if not tenant:
            return self.shared
        own = self._resilient_store(tenant, self._remote) if self._remote else NamespacedStore(self._base, tenant)
        return wrap_store(own, self._settings, tenant)

    def health(self) -> dict[str, StoreHealth]:
        """Returns the state of Redis by tenant ("" for the shared store), without calling it.

        The result is empty for any other kind of store. `state`, `failures`, `opened` and `error` are the same for all
        tenants.
        """
        with self._lock:
            return {tenant: store.health() for tenant, store in self._resilient_stores.items()}

    def is_reachable(self) -> bool:
        """Returns whether the store can be used now.

        False means that Redis is unavailable, in which case the service goes on without it.

        Raises:
            StoreError: If another kind of store cannot be used.
        """
        resilient = self._resilient_stores.get("")
        if resilient is None:
            self.shared.stats()
            return True
        try:
            resilient.get_many([""])
        except StoreUnavailableError:
            return False
        return resilient.health().state == "closed"

    def close(self) -> None:
        """Writes the values that are still queued, and closes all stores.

        Raises:
            StoreError: If values could not be written to Redis.
        """
        with ExitStack() as closing:  # which closes the other stores even if one fails
            closing.callback(self._base.close)
            for store in self._resilient_stores.values():
                closing.callback(store.close)

    def _resilient_store(self, tenant: str, remote: RedisStore) -> ResilientStore:
        with self._lock:
            if tenant not in self._resilient_stores:
                local = NamespacedStore(self._local, tenant)
                self._resilient_stores[tenant] = ResilientStore(
                    remote.for_tenant(tenant), local, breaker=self._breaker, max_pending_bytes=self._pending
                )
            return self._resilient_stores[tenant]


def _redis(spec: str | None) -> RedisStore | None:
    if spec is None or not spec.startswith(SCHEMES):
        return None
    from compressor.storage.redis.store import RedisStore

    return RedisStore(spec)
