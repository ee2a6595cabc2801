"""The store of the service and the part of it that each tenant has.

In a file or in memory, the tenants share one store in which each has a namespace. In Redis each tenant has keys of its
own; the tenants share the connections, the circuit breaker, and the local cache, so that its size is bounded for all of
them together.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from compressor.service.settings import Settings
from compressor.storage import open_store
from compressor.storage.base import BlobStore
from compressor.storage.circuit_breaker import CircuitBreaker, StoreUnavailableError
from compressor.storage.memory import MemoryStore
from compressor.storage.redis.client import SCHEMES
from compressor.storage.retention import PERMANENT, NamespacedRetention, TtlPolicy
from compressor.storage.sqlite.store import SQLiteStore
from compressor.storage.wrappers.encrypted import EncryptedStore
from compressor.storage.wrappers.namespaced import NamespacedStore
from compressor.storage.wrappers.redacting import RedactingStore
from compressor.storage.wrappers.resilient import MAX_PENDING_BYTES, ResilientStore, StoreHealth

if TYPE_CHECKING:
    from compressor.storage.redis.store import RedisStore

CONTROL = "=admin"  # no name of a tenant, so that no tenant reads what is under it
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
        control: The store of keys, of tenants' settings and of the audit log. Nothing in it expires.

    Raises:
        StoreError: If the settings name no valid store.
        MissingDependencyError: If redis-py is needed and not installed.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.retention = NamespacedRetention(settings.retention())
        self._remote = _redis(settings.store, settings.retention())
        self._base: BlobStore = self._remote or open_store(
            settings.store, ttl=self.retention, limit=settings.store_limit_bytes
        )
        self.control = wrap_store(_control_store(settings, self._remote), settings, CONTROL)
        self._resilient_stores: dict[str, ResilientStore] = {}
        self._local = MemoryStore(ttl=self.retention, limit=settings.near_cache_bytes)
        self._breaker = CircuitBreaker()
        tenants = {key.tenant for key in settings.keys}
        # How many tenants the database will have is not known, so each gets the least.
        self._pending = MIN_PENDING_BYTES
        if settings.key_store == "file":
            self._pending = max(MIN_PENDING_BYTES, MAX_PENDING_BYTES // (1 + len(tenants)))
        self._lock = threading.Lock()
        self.shared = wrap_store(self._resilient_store("", self._remote) if self._remote else self._base, settings)

    @property
    def is_private_to_process(self) -> bool:
        """Whether no other process can use the store."""
        return isinstance(self._base, MemoryStore)

    def for_tenant(self, tenant: str) -> BlobStore:
        """Returns the store of a tenant, or the shared one for ""."""
        if not tenant:
            return self.shared
        own = self._resilient_store(tenant, self._remote) if self._remote else NamespacedStore(self._base, tenant)
        return wrap_store(own, self._settings, tenant)

    def set_retention(self, tenant: str, settings: Settings) -> None:
        """Sets how long a tenant's content is kept, from its next use on.

        Args:
            tenant: The tenant, or "" for the shared store.
            settings: The settings as they hold for the tenant.
        """
        if tenant:
            self.retention.set(tenant, settings.retention())
        else:
            self.retention.shared = settings.retention()

    def forget(self, tenant: str, keys: Sequence[str] | None = None) -> None:
        """Drops values of a tenant from this process, because another process has removed them from the store.

        Args:
            tenant: The tenant, or "" for the shared store.
            keys: Their keys; None for all.
        """
        with self._lock:
            store = self._resilient_stores.get(tenant)
        if store is not None:
            store.forget(keys)

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
            closing.callback(self.control.close)
            for store in self._resilient_stores.values():
                closing.callback(store.close)

    def _resilient_store(self, tenant: str, remote: RedisStore) -> ResilientStore:
        with self._lock:
            if tenant not in self._resilient_stores:
                local = NamespacedStore(self._local, tenant)
                policy = self.retention.of(tenant)
                self._resilient_stores[tenant] = ResilientStore(
                    remote.for_tenant(tenant, policy),
                    local,
                    ttl=policy,
                    breaker=self._breaker,
                    max_pending_bytes=self._pending,
                )
            return self._resilient_stores[tenant]


def _redis(spec: str | None, ttl: TtlPolicy) -> RedisStore | None:
    if spec is None or not spec.startswith(SCHEMES):
        return None
    from compressor.storage.redis.store import RedisStore

    return RedisStore(spec, ttl=ttl)


def _control_store(settings: Settings, remote: RedisStore | None) -> BlobStore:
    """Returns the store of keys and settings: in Redis, in memory, or in a file beside that of the store.

    A file of its own, because the store evicts what is old when it is full.
    """
    if remote is not None:
        return remote.for_tenant(CONTROL, PERMANENT)
    base = open_store(settings.store, ttl=PERMANENT)
    if isinstance(base, SQLiteStore):
        path = Path(base.path)
        return SQLiteStore(path.with_name(f"{path.stem}-admin{path.suffix}"), ttl=PERMANENT)
    return base
