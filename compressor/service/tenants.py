"""What each tenant has for itself: its part of the store, its conversations and sessions, its limits.

Tenants share the scorer, and the text vectors that a model scorer caches by content. They share nothing else.
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
from compressor.service.tenant_executor import MAX_THREADS_PER_TENANT, SLOTS, TenantExecutor
from compressor.service.tenant_storage import TenantStores
from compressor.sessions.cost_report import CostReport
from compressor.storage.base import BlobStore
from compressor.storage.wrappers.resilient import StoreHealth

LOCAL_TENANT = "local"  # every client, where no keys are configured


class Tenant:
    """One tenant.

    Attributes:
        name: The tenant's name.
        config: The settings as they hold for this tenant.
        compressor: Reads and writes only this tenant's namespace of the store.
        sessions: Its named sessions.
        conversations: Its conversations, named or not.
        rate_limiter: Limits its requests.
        executor: Runs its work in threads.
    """

    def __init__(self, name: str, compressor: Compressor, config: Settings, slots: asyncio.Semaphore | None) -> None:
        self.name, self.compressor, self.config = name, compressor, config
        self.sessions = SessionRegistry(
            compressor, config.session_policy(), config.prompt_budgets(), config.max_conversations
        )
        self.conversations = ConversationRegistry(compressor, self.sessions, config)
        self.rate_limiter = RateLimiter(config.max_concurrent_requests, config.requests_per_minute)
        self.executor = TenantExecutor(MAX_THREADS_PER_TENANT, config.timeout, slots)

    def reconfigure(self, config: Settings) -> None:
        """Serves with other settings from the next request on."""
        self.config = config
        self.rate_limiter.reconfigure(config.max_concurrent_requests, config.requests_per_minute)
        self.sessions.reconfigure(config.session_policy(), config.prompt_budgets())
        self.conversations.reconfigure(config)

    def count_open(self) -> int:
        """Returns how many sessions and conversations this process holds."""
        return len(self.sessions.open_ids() | self.conversations.cost_reports().keys())


class Tenants:
    """All tenants, each created with its first request. Safe to share between threads.

    Args:
        config: The settings of the service.

    Raises:
        CompressorError: The store or the scorer cannot be opened.
    """

    def __init__(self, config: Settings) -> None:
        self._config, self._needs_keys = config, bool(config.keys)
        self.stores = TenantStores(config)
        self.shared = Compressor(config.scorer, self.stores.shared, config.device, cache=config.cache)
        self._slots = asyncio.Semaphore(SLOTS) if config.scorer == "fast" else None
        self._tenants: dict[str, Tenant] = {}
        self._lock = threading.Lock()

    def find(self, name: str) -> Tenant | None:
        """Returns a tenant if it was created before. Never waits."""
        return self._tenants.get(name)

    def settings_of(self, name: str) -> Settings:
        """Returns the settings as they hold for a tenant, created or not."""
        found = self._tenants.get(name)
        return self._config.for_tenant(name) if found is None else found.config

    def list_created(self) -> list[Tenant]:
        """Returns the tenants created so far."""
        with self._lock:
            return [*self._tenants.values()]

    def list_names(self) -> list[str]:
        """Returns the names of all tenants: those that have a key, and those created so far."""
        with self._lock:
            return sorted({*self._tenants, *(key.tenant for key in self._config.keys)})

    def get(self, name: str) -> Tenant:
        """Returns a tenant, and creates it if needed.

        Raises:
            StoreError: The store cannot be opened.
        """
        with self._lock:
            found = self._tenants.get(name)
            if found is None:
                own = self.shared
                if self._needs_keys:
                    own = Compressor(self.shared.scorer, self.stores.for_tenant(name), cache=self._config.cache)
                found = self._tenants[name] = Tenant(name, own, self._config.for_tenant(name), self._slots)
            return found

    def reconfigure(self, config: Settings) -> None:
        """Serves all tenants with other settings; what only a start can change (such as the store) stays.

        Args:
            config: The new settings.
        """
        with self._lock:
            self._config = config
            for name, tenant in self._tenants.items():
                tenant.reconfigure(config.for_tenant(name))

    def usage_source(self, name: str) -> tuple[BlobStore, Mapping[str, CostReport]] | None:
        """Returns a tenant's store and the cost reports of its sessions, or None if it was not created yet."""
        found = self._tenants.get(name)
        return None if found is None else (found.compressor.store, found.conversations.cost_reports())

    def ready(self) -> bool:
        """Checks the store.

        Returns:
            False if a Redis does not answer: requests are served, sessions are not.

        Raises:
            StoreError: Another store cannot be used.
        """
        return self.stores.is_reachable()

    def health(self) -> dict[str, StoreHealth]:
        """Returns the health of each tenant's part of a Redis; nothing for other stores. Does no I/O."""
        found = self.stores.health()
        shared = found.pop("", None)  # with keys it holds only vectors
        return {LOCAL_TENANT: shared} if shared and not self._needs_keys else found

    def close(self) -> None:
        """Closes the store.

        Raises:
            StoreError: A Redis did not get everything that was waiting to be written.
        """
        self.stores.close()
