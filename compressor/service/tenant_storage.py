"""The service's store, and each tenant's part of it.

A file or this process's memory is shared, with names of each tenant's own. In a Redis each tenant has keys of its own;
what is shared are the connections, the breaker that says whether Redis is there, and the memory in front of it, which
is bounded over all tenants. Knows no HTTP, no keys of the service and no compressor.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from compressor.errors import ExpiredRef, UnknownRef
from compressor.service.settings import Config
from compressor.storage import open_store
from compressor.storage.base import Journal, Store, StoreStats, get_many, journal_of
from compressor.storage.circuit_breaker import Breaker, Unavailable
from compressor.storage.memory import MemoryStore
from compressor.storage.redis.client import SCHEMES
from compressor.storage.wrappers.encrypted import SealedStore
from compressor.storage.wrappers.redacting import RedactingStore
from compressor.storage.wrappers.resilient import LOCAL, PENDING, GuardedStore, Health

if TYPE_CHECKING:
    from compressor.storage.redis.store import RedisStore

LEAST_PENDING = 2**20  # bytes of a tenant's values that wait for a Redis that is away


def protected(store: Store, config: Config, tenant: str = "") -> Store:
    """What every tenant's store goes through, and the shared one: secrets are taken out, the rest is encrypted, bound
    to whose it is."""
    if config.encryption_keys:
        store = SealedStore(store, config.encryption_keys, read_plain=config.encryption_read_plain, space=tenant)
    return RedactingStore(store, config.redact)


class TenantStore:
    """A tenant's part of a store: its keys and logs have names of their own there, so that no ref of another's is
    found, and none can be taken either."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._front = f"t{hashlib.blake2b(tenant.encode(), digest_size=8).hexdigest()}:"

    def put(self, items: Mapping[str, bytes]) -> None:
        """See `Store.put`."""
        self._store.put({self._front + key: value for key, value in items.items()})

    def get(self, key: str) -> bytes:
        """See `Store.get`."""
        try:
            return self._store.get(self._front + key)
        except ExpiredRef:
            raise ExpiredRef(key) from None
        except UnknownRef:
            raise UnknownRef(key) from None

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See `BatchStore.get_many`."""
        found = get_many(self._store, [self._front + key for key in keys])
        return {key[len(self._front) :]: value for key, value in found.items()}

    def read_log(self, name: str, after: int = 0) -> list[tuple[int, bytes]]:
        """See `Journal.read_log`."""
        try:
            return self._journal.read_log(self._front + name, after)
        except ExpiredRef:
            raise ExpiredRef(name) from None
        except UnknownRef:
            raise UnknownRef(name) from None

    def append_log(
        self,
        name: str,
        at: int,
        records: Sequence[bytes],
        *,
        fresh: bool = False,
        values: Mapping[str, bytes] | None = None,
    ) -> bool:
        """See `Journal.append_log`."""
        own = {self._front + key: value for key, value in values.items()} if values else None
        return self._journal.append_log(self._front + name, at, records, fresh=fresh, values=own)

    def drop_log(self, name: str) -> None:
        """See `Journal.drop_log`."""
        self._journal.drop_log(self._front + name)

    def stats(self) -> StoreStats:
        """Those of the whole store."""
        return self._store.stats()

    def close(self) -> None:
        """Closes nothing: the store is not this tenant's."""

    @property
    def _journal(self) -> Journal:
        return journal_of(self._store)


class Stores:
    """Opened as `config.store` says. Safe to share between threads. StoreError for what is no store, MissingExtra where
    redis-py is not installed."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._remote = _redis(config.store)
        self._own: Store = self._remote or open_store(config.store)
        self._guards: dict[str, GuardedStore] = {}
        self._near, self._breaker = MemoryStore(limit=LOCAL), Breaker()
        self._pending = max(LEAST_PENDING, PENDING // (1 + len({key.tenant for key in config.keys})))
        self._lock = threading.Lock()
        #: That of the service itself, and of whoever comes where no key is asked for.
        self.shared = protected(self._guarded("", self._remote) if self._remote else self._own, config)

    def of(self, tenant: str) -> Store:
        """A tenant's part; "" has the shared one."""
        if not tenant:
            return self.shared
        own = self._guarded(tenant, self._remote) if self._remote else TenantStore(self._own, tenant)
        return protected(own, self._config, tenant)

    def health(self) -> dict[str, Health]:
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
        except Unavailable:
            return False
        return guard.health().state == "closed"

    def close(self) -> None:
        """Writes what still waits, and closes all. StoreError where a Redis did not get everything."""
        with ExitStack() as closing:  # closes the others, too, where one fails
            closing.callback(self._own.close)
            for guard in self._guards.values():
                closing.callback(guard.close)

    def _guarded(self, tenant: str, remote: RedisStore) -> GuardedStore:
        with self._lock:
            if tenant not in self._guards:
                near = TenantStore(self._near, tenant)
                self._guards[tenant] = GuardedStore(
                    remote.for_tenant(tenant), near, breaker=self._breaker, pending_limit=self._pending
                )
            return self._guards[tenant]


def _redis(spec: str | None) -> RedisStore | None:
    if spec is None or not spec.startswith(SCHEMES):
        return None
    from compressor.storage.redis.store import RedisStore

    return RedisStore(spec)
