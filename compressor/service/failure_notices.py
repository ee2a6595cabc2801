"""Notes what went wrong with a request whose client gets an answer nevertheless: names only, no content."""

from __future__ import annotations

import logging
from contextvars import ContextVar

from compressor.errors import CompressorError
from compressor.providers.conversation_tracker import TrackedConversation
from compressor.providers.fail_open import FailOpen
from compressor.service.http_errors import HttpError, to_http_error

log = logging.getLogger("compressor.service")
#: What went wrong with the current request, for the header of its response: names only, no content.
WARNINGS: ContextVar[list[str]] = ContextVar("WARNINGS")
#: What else the client should know about the current request: names only, no content.
NOTICES: ContextVar[list[str]] = ContextVar("NOTICES")
#: The warning of a request whose budget is too small for what must stay.
ABOVE_BUDGET = "above the budget: the smallest possible view was sent"
#: Whether the current request goes out uncompressed if it cannot be compressed; otherwise its client gets an error.
FAIL_OPEN: ContextVar[bool] = ContextVar("FAIL_OPEN", default=True)
_WARNING_NAMES = {"refused": "refused by the provider", "raw response": "raw response", "usage": "usage not noted"}


class LoggedFailures(FailOpen):
    """Names failures in the request's warnings, or raises them where the request must not fail open.

    Messages may quote content and are not logged.
    """

    def __init__(self) -> None:
        super().__init__()
        self._logged: set[str] = set()

    @property
    def enabled(self) -> bool:
        """Whether the current request fails open."""
        return FAIL_OPEN.get()

    @enabled.setter
    def enabled(self, value: bool) -> None:
        """Does nothing: each request has its own."""

    def handle(self, error: BaseException) -> None:
        """Notes the name of an error after which the request is sent unchanged.

        Raises:
            HttpError: The error, if the request must not fail open.
        """
        if not self.enabled:
            raise to_http_error(error) from None
        self.note(error)

    def note(self, error: BaseException) -> None:
        """Notes the name of an error that came when the request was sent already."""
        self._warn(type(error).__name__)

    def note_usage(self, error: CompressorError) -> None:
        """Notes that the usage of a request was not recorded: the client gets its answer all the same."""
        self.warn_once("", "usage")

    def report(self, tracked: TrackedConversation) -> None:
        """Logs once that a conversation does not fit its budget; its other warnings may quote content."""
        if tracked.is_above_budget and ABOVE_BUDGET not in tracked.known_warnings:
            tracked.known_warnings |= {ABOVE_BUDGET}
            log.warning(ABOVE_BUDGET)

    def handle_part(self, error: BaseException, part: str) -> None:
        """Notes that a part of the request, such as its tools, is sent uncut.

        Raises:
            HttpError: The error, if the request must not fail open.
        """
        if not self.enabled:
            raise to_http_error(error) from None
        notice = f"{part} not cut: {type(error).__name__}"
        notices = NOTICES.get([])
        if notice not in notices:
            notices.append(notice)
        if notice not in self._logged:
            self._logged.add(notice)
            log.warning(notice)

    def warn_once(self, text: str, kind: str, error: BaseException | None = None) -> None:
        """Notes why the request is sent unchanged.

        Raises:
            HttpError: 422 for a request that cannot be compressed and must not fail open.
        """
        if not self.enabled and kind not in _WARNING_NAMES:
            message = (
                "The request does not contain one whole history, so it cannot be compressed, and fail_open is false: "
                "send all messages, or set the header x-compressor-mode: off"
            )
            raise HttpError(422, "not_one_history", message)
        self._warn(_WARNING_NAMES.get(kind, "not one whole history"))

    def _warn(self, name: str) -> None:
        warnings = WARNINGS.get([])
        if name not in warnings:
            warnings.append(name)
        if name not in self._logged:
            self._logged.add(name)
            log.warning("forwarded uncompressed: %s", name)
