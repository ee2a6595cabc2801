"""What each tenant has to itself: its part of the store, its conversations, its sessions, its turn at the door.

Tenants share the scorer (and the vectors of texts that a model scorer keeps by their content), and nothing else. Knows
no HTTP.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping

from compressor.compressor import Compressor
from compressor.service.conversations import ConversationRegistry
from compressor.service.request_limits import RateLimiter
from compressor.service.session_registry import SessionRegistry
from compressor.service.settings import Settings
from compressor.service.tenant_executor import MAX_FRACTION_PER_TENANT, SLOTS, TenantExecutor
from compressor.service.tenant_storage import TenantStores
from compressor.sessions.cost_report import CostReport
from compressor.storage.base import BlobStore
from compressor.storage.wrappers.resilient import StoreHealth

LOCAL = "local"  # whoever comes where no key is asked for


class Tenant:
    """One tenant. `compressor` puts into its part of the store, and finds nothing elsewhere."""

    def __init__(self, name: str, compressor: Compressor, config: Settings, slots: asyncio.Semaphore | None) -> None:
        self.name, self.compressor = name, compressor
        self.sessions = SessionRegistry(compressor, config.session_policy(), config.max_conversations)
        self.conversations = ConversationRegistry(compressor, self.sessions, config)
        self.rate_limiter = RateLimiter(config.max_concurrent_requests, config.requests_per_minute)
        self.executor = TenantExecutor(MAX_FRACTION_PER_TENANT, config.timeout, slots)

    def live(self) -> int:
        """Sessions and conversations that this process holds."""
        return len(self.sessions.ids() | self.conversations.cost_reports().keys())


class Tenants:
    """All of them, made when they first come. Safe to share between threads."""

    def __init__(self, config: Settings) -> None:
        self._config = config
        self.stores = TenantStores(config)
        self.shared = Compressor(config.scorer, self.stores.shared, config.device, cache=config.cache)
        self._slots = asyncio.Semaphore(SLOTS) if config.scorer == "fast" else None
        self._known: dict[str, Tenant] = {}
        self._lock = threading.Lock()

    def known(self, name: str) -> Tenant | None:
        """The tenant of that name, if it has come before: without waiting for anything."""
        return self._known.get(name)

    def all(self) -> list[Tenant]:
        """Those that have come."""
        with self._lock:
            return list(self._known.values())

    def of(self, name: str) -> Tenant:
        """The tenant of that name. StoreError if the store cannot be opened."""
        with self._lock:
            found = self._known.get(name)
            if found is None:
                own = self.shared
                if self._config.keys:
                    own = Compressor(self.shared.scorer, self.stores.for_tenant(name), cache=self._config.cache)
                found = self._known[name] = Tenant(name, own, self._config, self._slots)
            return found

    def usage_source(self, name: str) -> tuple[BlobStore, Mapping[str, CostReport]] | None:
        """A tenant's store and its sessions' balances, if it has come before. StoreError as `of`."""
        found = self._known.get(name)
        return None if found is None else (found.compressor.store, found.conversations.cost_reports())

    def ready(self) -> bool:
        """Whether the store answers. False: it is a Redis that is away; requests are served, sessions are not.
        StoreError for another store that cannot be used."""
        return self.stores.is_reachable()

    def health(self) -> dict[str, StoreHealth]:
        """How it is with each tenant's part of a Redis; nothing for other stores. Asks nobody."""
        found = self.stores.health()
        shared = found.pop("", None)  # with keys it has only vectors
        return {LOCAL: shared} if shared and not self._config.keys else found

    def close(self) -> None:
        """Closes the store. StoreError where a Redis did not get everything that waited for it."""
        self.stores.close()
