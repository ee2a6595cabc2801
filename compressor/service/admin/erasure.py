"""Erases everything that the service holds of a tenant, in the store and in the memory of every worker."""

from __future__ import annotations

import time
from typing import Any

from compressor.service.admin.control_log import ControlChange, ControlLog, Forgetting
from compressor.service.admin.watcher import ControlWatcher
from compressor.service.tenants import Tenants
from compressor.storage.base import Erasure, require_erasable

SETTLE_SECONDS = 1.0  # until every worker has dropped what it had in memory
_VECTORS = "vector:"  # of texts of all tenants, by content


class TenantEraser:
    """Erases tenants.

    Args:
        tenants: All tenants.
        control: Tells all workers what to drop.
        watcher: Drops it in this one.
    """

    def __init__(self, tenants: Tenants, control: ControlLog, watcher: ControlWatcher) -> None:
        self._tenants, self._control, self._watcher = tenants, control, watcher

    def erase(self, tenant: str, with_settings: bool = False) -> dict[str, Any]:
        """Erases a tenant's data.

        Workers first drop what they have in memory, so that they do not write it back. What requests in flight have
        written until then is erased by a second pass. Keys and the audit log stay.

        Args:
            tenant: The tenant's name.
            with_settings: Whether the tenant's settings in the database are removed as well.

        Returns:
            What was erased, as JSON data.

        Raises:
            StoreError: The store cannot be read or written. Then call it again.
        """
        forget = [Forgetting(tenant)]
        settings: dict[str, None] = {tenant: None} if with_settings else {}
        self._control.change(lambda _: ControlChange(settings=settings, forget=forget))
        self._watcher.refresh()
        stores = self._tenants.stores
        own = require_erasable(stores.for_tenant(self._tenants.namespace(tenant)))
        erased = own.erase()
        vectors = require_erasable(stores.shared).erase(_VECTORS)
        if not stores.is_private_to_process:
            time.sleep(SETTLE_SECONDS)
            erased += own.erase()
            vectors += require_erasable(stores.shared).erase(_VECTORS)
        total: Erasure = erased + vectors
        return {"tenant": tenant, "values": erased.values, "logs": erased.logs, "vectors": vectors.values} | {
            "bytes": total.size
        }
