"""What each tenant has to itself: its part of the store, its conversations, its sessions, its turn at the door.

Tenants share the scorer (and the vectors of texts that a model scorer keeps by their content), and nothing else. Knows
no HTTP.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from typing import cast

from compressor.engine import Compressor
from compressor.errors import ExpiredRef, StoreError, UnknownRef
from compressor.service.config import Config
from compressor.service.limits import Turnstile
from compressor.service.sessions import Sessions
from compressor.service.talks import Talks
from compressor.store.base import Journal, Store, StoreStats, get_many

LOCAL = "local"  # whoever comes where no key is asked for


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
        if not hasattr(self._store, "append_log"):
            raise StoreError(f"{type(self._store).__name__} cannot keep sessions: it has no journal")
        return cast(Journal, self._store)


class Tenant:
    """One tenant. `compressor` puts into its part of the store, and finds nothing elsewhere."""

    def __init__(self, name: str, compressor: Compressor, config: Config) -> None:
        self.name, self.compressor = name, compressor
        self.sessions = Sessions(compressor, config.session_policy(), config.conversations)
        self.talks = Talks(compressor, self.sessions, config)
        self.turnstile = Turnstile(config.concurrency, config.rate)


class Tenants:
    """All of them, made when they first come. Safe to share between threads."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.shared = Compressor(config.scorer, config.store, config.device)
        self._known: dict[str, Tenant] = {}
        self._lock = threading.Lock()

    def known(self, name: str) -> Tenant | None:
        """The tenant of that name, if it has come before: without waiting for anything."""
        return self._known.get(name)

    def of(self, name: str) -> Tenant:
        """The tenant of that name. StoreError if the store cannot be opened."""
        with self._lock:
            found = self._known.get(name)
            if found is None:
                own = self.shared
                if self._config.keys:
                    own = Compressor(self.shared.scorer, TenantStore(self.shared.store, name))
                found = self._known[name] = Tenant(name, own, self._config)
            return found

    def close(self) -> None:
        """Closes the store."""
        self.shared.close()
