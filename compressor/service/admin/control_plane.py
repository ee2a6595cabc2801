"""Puts the parts of the control plane together, for the routes and for `compressor admin`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from compressor.errors import CompressorError, StoreError
from compressor.service.admin.audit_log import AuditLog
from compressor.service.admin.control_log import ControlChange, ControlLog, Forgetting
from compressor.service.admin.erasure import TenantEraser
from compressor.service.admin.key_database import KeyDatabase
from compressor.service.admin.watcher import ControlWatcher
from compressor.service.dashboard.usage_recorder import UsageRecorder
from compressor.service.http_errors import HttpError, to_http_error
from compressor.service.key_directory import KeyDirectory
from compressor.service.settings import Settings
from compressor.service.tenants import Tenants
from compressor.storage.circuit_breaker import StoreUnavailableError

T = TypeVar("T")
log = logging.getLogger("compressor.service")


class ControlPlane:
    """Keys, settings, erasure and the audit log of one process.

    Args:
        config: The settings of the service.
        tenants: All tenants.
        directory: The keys that are valid now.
        recorder: Knows what was done over time.

    Attributes:
        config: The settings of the service.
        tenants: All tenants.
        directory: The keys that are valid now.
        recorder: Knows what was done over time.
        control: Tells all workers what holds now.
        keys: The keys of the database and of the key file.
        audit: What administrators did.

    Raises:
        StoreError: The keys are in a database that cannot be used. One that is only unreachable is tried again.
    """

    def __init__(self, config: Settings, tenants: Tenants, directory: KeyDirectory, recorder: UsageRecorder) -> None:
        self.config, self.tenants, self.directory, self.recorder = config, tenants, directory, recorder
        self.control = ControlLog(tenants.stores.control)
        self.keys = KeyDatabase(self.control, directory.file_keys, config.key_store == "database")
        self.audit = AuditLog(tenants.stores.control)
        self._watcher = ControlWatcher(self.control, self.keys, directory, tenants, recorder)
        self._eraser = TenantEraser(tenants, self.control, self._watcher)
        try:
            self._watcher.refresh()
            if config.encryption_read_plain or (config.encryption_keys and len(config.encryption_keys.ids) > 1):
                self.control.renew()  # while the former encryption key is still there
                self.audit.renew()
        except StoreError as error:
            if config.key_store == "database" and not isinstance(error, StoreUnavailableError):
                raise
            log.warning("keys and settings of the store cannot be read yet: %s", error)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begins to follow what other workers change."""
        self._watcher.start(loop)

    def close(self) -> None:
        """Ends that."""
        self._watcher.close()

    def refresh(self) -> None:
        """Applies what others have changed until now.

        Raises:
            StoreError: The store cannot be read.
        """
        self._watcher.refresh()

    def forget(self, tenant: str, keys: Sequence[str], session: str | None = None) -> None:
        """Has every worker drop values, and a session, that are removed from the store.

        Raises:
            StoreError: The other workers cannot be told.
        """
        one = Forgetting(tenant, tuple(keys), session)
        self.control.change(lambda _: ControlChange(forget=[one]))
        self.refresh()

    def set_tenant_settings(
        self, tenant: str, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        """Changes the settings that a tenant has for itself in the database.

        Args:
            tenant: The tenant's name.
            change: Returns the new settings for the old ones. Without any, the tenant has those of the configuration.

        Returns:
            The new settings.

        Raises:
            CompressorError: A value is not valid, or a tenant cannot have that setting.
            StoreError: The store cannot be written.
        """
        made: list[Mapping[str, Any]] = []

        def make(state: Any) -> ControlChange:
            new = dict(change(state.settings.get(tenant, {})))
            self.tenants.check(tenant, new)
            made[:] = [new]
            return ControlChange(settings={tenant: new or None})

        self.control.change(make)
        self.refresh()
        return made[0]

    def erase(self, tenant: str, with_settings: bool) -> dict[str, Any]:
        """Erases a tenant's data, see `TenantEraser.erase`."""
        return self._eraser.erase(tenant, with_settings)

    def audited(self, who: str, act: str, target: str, run: Callable[[], T], **details: Any) -> T:
        """Runs what an administrator asked for, and records who did what and how it ended.

        Args:
            who: The id of the key, or "local".
            act: What is done, such as "key.block".
            target: To what.
            run: Does it.
            details: More for the record, without content.
        """
        try:
            result = run()
        except (CompressorError, HttpError) as error:
            self._record(who, act, target, to_http_error(error).kind, details)
            raise
        self._record(who, act, target, "ok", details)
        return result

    def _record(self, who: str, act: str, target: str, outcome: str, details: Mapping[str, Any]) -> None:
        data = {"who": who, "act": act, "target": target, "outcome": outcome, **details}
        log.info("admin", extra={"data": data})
        try:
            self.audit.record(who, act, target, outcome, **details)
        except StoreError as error:  # the act itself is done, and the log of the service has it
            log.error("the audit log could not be written: %s", error)
