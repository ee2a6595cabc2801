"""Notices that compression is enabled and saves nothing, and logs it once with the reasons.

It looks at the last calls of each tenant in this process.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Sequence

from compressor.service.telemetry.warning_categories import NOTHING

log = logging.getLogger("compressor.service")
WINDOW_CALLS = 100
MIN_CALLS = 20  # before a fraction of them means anything
MIN_SAVED_FRACTION = 0.01  # a call that saves less of its tokens counts as saving nothing


class NoSavingsMonitor:
    """Watches the last calls of all tenants. Safe to share between threads."""

    def __init__(self) -> None:
        self._tenants: dict[str, _Window] = {}
        self._lock = threading.Lock()

    def observe(self, tenant: str, saved_fraction: float, reasons: Sequence[str]) -> float | None:
        """Takes a call, and logs a warning if all calls of the window saved nothing.

        Args:
            tenant: The tenant's name.
            saved_fraction: The fraction of its tokens that the call saved.
            reasons: What prevented savings, as `warning_categories` names it.

        Returns:
            The fraction of the tenant's last calls that saved nothing, or None while there are too few calls.
        """
        with self._lock:
            window = self._tenants.setdefault(tenant, _Window())
            window.calls.append(() if saved_fraction >= MIN_SAVED_FRACTION else tuple(reasons) or (NOTHING,))
            fraction = sum(1 for reasons in window.calls if reasons) / len(window.calls)
            is_failing = fraction == 1 and len(window.calls) == WINDOW_CALLS
            notify, window.notified = is_failing and not window.notified, is_failing
            common = Counter(reason for reasons in window.calls for reason in reasons).most_common(3) if notify else []
        if notify:
            data = {"tenant": tenant, "calls": WINDOW_CALLS, "reasons": dict(common)}
            log.warning("compression is enabled but saves nothing", extra={"data": data})
        return fraction if len(window.calls) >= MIN_CALLS else None


class _Window:
    """The last calls: an empty tuple for a call that saved tokens, else the reasons why it did not."""

    def __init__(self) -> None:
        self.calls: deque[tuple[str, ...]] = deque(maxlen=WINDOW_CALLS)
        self.notified = False
