"""What each tenant has for itself: its part of the store, its conversations and sessions, its limits.

Tenants with the same scorer share it, and the text vectors that a model scorer caches by content. They share nothing
else.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

from compressor.compressor import Compressor
from compressor.errors import CompressorError
from compressor.images.policy import check_image_policy
from compressor.service.audit_registry import AuditRegistry
from compressor.service.conversations import ConversationRegistry
from compressor.service.limits.counter_store import CounterStore
from compressor.service.limits.local_counters import Counters
from compressor.service.limits.rate_limiter import RateLimiter
from compressor.service.raw_histories import RawHistories
from compressor.service.scorer_pool import ScorerPool
from compressor.service.session_registry import SessionRegistry
from compressor.service.settings import Settings
from compressor.service.tenant_executor import MAX_THREADS_PER_TENANT, TenantExecutor
from compressor.service.tenant_storage import TenantStores
from compressor.service.work_rate import WorkRate
from compressor.sessions.cost_report import CostReport
from compressor.storage.base import BlobStore
from compressor.storage.wrappers.fenced import FencedStore
from compressor.storage.wrappers.resilient import StoreHealth

log = logging.getLogger("compressor.service")
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
        raw_histories: What was sent as it is.
        audit: Works out what compression would do.
        fence: Ends the use of the store by this object.
    """

    def __init__(
        self,
        name: str,
        compressor: Compressor,
        config: Settings,
        scorers: ScorerPool,
        counters: Counters,
        fence: FencedStore,
    ) -> None:
        self.name, self.compressor, self.config, self._scorers = name, compressor, config, scorers
        self.raw_histories, self.fence = RawHistories(), fence
        self.sessions = SessionRegistry(
            compressor, config.session_policy(), config.prompt_budgets(), config.max_conversations
        )
        self.conversations = ConversationRegistry(compressor, self.sessions, config, name, self.raw_histories)
        self.audit = AuditRegistry(compressor.scorer, config, name)
        self.rate_limiter = RateLimiter(config, counters)
        self.executor = TenantExecutor(MAX_THREADS_PER_TENANT, config.timeout, scorers.queue(config.scorer))

    def reconfigure(self, config: Settings) -> None:
        """Serves with other settings from the next request on."""
        self.compressor.engine.images = check_image_policy(config.images)
        if config.scorer != self.config.scorer:
            self.compressor.engine.scorer = self._scorers.get(config.scorer)
            self.audit.use_scorer(self.compressor.scorer)
            self.executor.use_queue(self._scorers.queue(config.scorer))
        self.config = config
        self.rate_limiter.reconfigure(config)
        self.sessions.reconfigure(config.session_policy(), config.prompt_budgets())
        self.conversations.reconfigure(config)
        self.audit.reconfigure(config)

    @property
    def work_rate(self) -> WorkRate:
        """How fast its scorer works in this process."""
        return self._scorers.rate(self.config.scorer)

    def forget_session(self, id: str) -> None:
        """Drops a session or conversation from memory, because it was deleted from the store."""
        self.sessions.forget(id)
        self.conversations.forget(id)

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
        self._config, self._needs_keys = config, config.needs_keys
        self._overrides: Mapping[str, Mapping[str, Any]] = {}
        self.stores = TenantStores(config)
        self._scorers = ScorerPool(config.device, lambda: self.stores.shared)
        self._scorers.open_all(config)
        scorer = config.scorer if config.keys else config.for_tenant(LOCAL_TENANT).scorer
        self.shared = Compressor(self._scorers.get(scorer), self.stores.shared, cache=config.cache)
        self._counters = CounterStore(config)
        self._tenants: dict[str, Tenant] = {}
        self._lock = threading.Lock()

    @property
    def config(self) -> Settings:
        """The settings that hold now for all tenants that have none of their own."""
        return self._config

    def find(self, name: str) -> Tenant | None:
        """Returns a tenant if it was created before. Never waits."""
        return self._tenants.get(name)

    def settings_of(self, name: str) -> Settings:
        """Returns the settings as they hold for a tenant, created or not."""
        found = self._tenants.get(name)
        return self._settings_of(name) if found is None else found.config

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
                config = self._settings_of(name)
                self.stores.set_retention(self.namespace(name), config)
                fence = FencedStore(self.stores.for_tenant(self.namespace(name)))
                scorer, cache = self._scorers.get(config.scorer), self._config.cache
                own = Compressor(scorer, fence, cache=cache, images=config.images)
                counters = self._counters.for_tenant(name)
                found = self._tenants[name] = Tenant(name, own, config, self._scorers, counters, fence)
            return found

    def namespace(self, name: str) -> str:
        """Returns the name of a tenant's part of the store: "" without keys, where there is one tenant."""
        return name if self._needs_keys else ""

    def check(self, name: str, overrides: Mapping[str, Any]) -> None:
        """Checks settings that a tenant is to have for itself.

        Raises:
            CompressorError: A value is not valid, or a tenant cannot have that setting, or its scorer cannot be made.
        """
        if "provider_keys" in overrides:
            raise CompressorError(
                "provider_keys names variables and files of the service's machine: set it in the configuration"
            )
        self._scorers.get(self._config.for_tenant(name, overrides).scorer)

    def drop(self, name: str) -> None:
        """Drops what this process has of a tenant: sessions, conversations, values. The store is not changed.

        Requests that are being served cannot use the store any more.
        """
        with self._lock:
            dropped = self._tenants.pop(name, None)
            if dropped is not None:
                dropped.fence.end()
            self.stores.forget(self.namespace(name))

    def reconfigure(self, config: Settings) -> None:
        """Serves all tenants with other settings; what only a start can change (such as the store) stays.

        Args:
            config: The new settings.

        Raises:
            CompressorError: A scorer that they name cannot be made. Nothing has changed then.
        """
        self._scorers.open_all(config)
        with self._lock:
            self._config = config
            self._reconfigure_all()

    def override(self, overrides: Mapping[str, Mapping[str, Any]]) -> None:
        """Serves with other settings of single tenants; they come before those of the configuration.

        Args:
            overrides: The settings by tenant.
        """
        with self._lock:
            if overrides != self._overrides:
                self._overrides = dict(overrides)
                self._reconfigure_all()

    def _settings_of(self, name: str) -> Settings:
        try:
            found = self._config.for_tenant(name, self._overrides.get(name))
            self._scorers.get(found.scorer)
            return found
        except CompressorError as error:  # a newer or older version may have stored them
            log.error("the stored settings of tenant %s are not used: %s", name, error)
            return self._config.for_tenant(name)

    def _reconfigure_all(self) -> None:
        for name, tenant in self._tenants.items():
            config = self._settings_of(name)
            self.stores.set_retention(self.namespace(name), config)
            tenant.reconfigure(config)

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
        self._counters.close()
        self.stores.close()
