"""Notes what went wrong with a request whose client gets an answer nevertheless: names only, no content."""

from __future__ import annotations

import logging
from contextvars import ContextVar

from compressor.providers.conversation_tracker import TrackedConversation
from compressor.providers.fail_open import FailOpen

log = logging.getLogger("compressor.service")
#: What went wrong with the current request, for the header of its response: names only, no content.
WARNINGS: ContextVar[list[str]] = ContextVar("WARNINGS")
#: What else the client should know about the current request: names only, no content.
NOTICES: ContextVar[list[str]] = ContextVar("NOTICES")
#: The warning of a request whose budget is too small for what must stay.
ABOVE_BUDGET = "above the budget: the smallest possible view was sent"
_WARNING_NAMES = {"refused": "refused by the provider", "raw response": "raw response", "usage": "usage not noted"}


class LoggedFailures(FailOpen):
    """Fails open, and names the failure in the request's warnings. Messages may quote content and are not logged."""

    def __init__(self) -> None:
        super().__init__()
        self._logged: set[str] = set()

    def handle(self, error: BaseException) -> None:
        """Notes the name of an error after which the request is sent unchanged."""
        self._warn(type(error).__name__)

    def report(self, tracked: TrackedConversation) -> None:
        """Logs once that a conversation does not fit its budget; its other warnings may quote content."""
        if tracked.is_above_budget and ABOVE_BUDGET not in tracked.known_warnings:
            tracked.known_warnings |= {ABOVE_BUDGET}
            log.warning(ABOVE_BUDGET)

    def handle_part(self, error: BaseException, part: str) -> None:
        """Notes that a part of the request, such as its tools, is sent uncut."""
        notice = f"{part} not cut: {type(error).__name__}"
        notices = NOTICES.get([])
        if notice not in notices:
            notices.append(notice)
        if notice not in self._logged:
            self._logged.add(notice)
            log.warning(notice)

    def warn_once(self, text: str, kind: str, error: BaseException | None = None) -> None:
        """Notes why the request is sent unchanged."""
        self._warn(_WARNING_NAMES.get(kind, "not one whole history"))

    def _warn(self, name: str) -> None:
        warnings = WARNINGS.get([])
        if name not in warnings:
            warnings.append(name)
        if name not in self._logged:
            self._logged.add(name)
            log.warning("forwarded uncompressed: %s", name)
