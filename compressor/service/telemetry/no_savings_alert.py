"""Watches for what must not stay silent: compression that is on, and saves nothing.

Looks at each tenant's last calls in this process. Says so once in the log, with the reasons; mends nothing.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Sequence

from compressor.service.telemetry.warning_categories import NOTHING

log = logging.getLogger("compressor.service")
WINDOW_CALLS = 100  # that are looked back at
MIN_CALLS = 20  # calls before a share of them says something
MIN_SAVED_FRACTION = 0.01  # of a call's tokens, below which it counts as saving nothing


class NoSavingsMonitor:
    """Safe to share between threads."""

    def __init__(self) -> None:
        self._tenants: dict[str, _Last] = {}
        self._lock = threading.Lock()

    def observe(self, tenant: str, share: float, reasons: Sequence[str]) -> float | None:
        """A call that saved this share of its tokens, and what was in the way; gives the share of the tenant's last
        calls that saved nothing, None while there were too few."""
        with self._lock:
            last = self._tenants.setdefault(tenant, _Last())
            last.calls.append(() if share >= MIN_SAVED_FRACTION else tuple(reasons) or (NOTHING,))
            unsaving = sum(1 for reasons in last.calls if reasons) / len(last.calls)
            silent = unsaving == 1 and len(last.calls) == WINDOW_CALLS
            tell, last.told = silent and not last.told, silent
            why = Counter(reason for reasons in last.calls for reason in reasons).most_common(3) if tell else []
        if tell:
            data = {"tenant": tenant, "calls": WINDOW_CALLS, "reasons": dict(why)}
            log.warning("compression is on and saves nothing", extra={"data": data})
        return unsaving if len(last.calls) >= MIN_CALLS else None


class _Last:
    """The last calls: nothing for one that saved, else why it did not."""

    def __init__(self) -> None:
        self.calls: deque[tuple[str, ...]] = deque(maxlen=WINDOW_CALLS)
        self.told = False
