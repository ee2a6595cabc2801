"""Decides what happens to errors of the compressor while a caller waits for an answer of its model."""

from __future__ import annotations

import logging

from compressor.errors import CompressorError
from compressor.providers.conversation_tracker import TrackedConversation

log = logging.getLogger("compressor_agents")


class FailOpen:
    """Decides what happens to an error of the compressor: it is logged once, or raised.

    Args:
        enabled: True logs the error, and the caller's own request is sent; False raises the error.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled
        self._logged_kinds: set[str] = set()

    def handle(self, error: BaseException) -> None:
        """Logs the error, or raises it again if failing open is off."""
        if not self.enabled:
            raise error
        name = type(error).__name__
        self.warn_once(f"compression failed, so the request was sent unchanged: {name}: {error}", name, error)

    def handle_part(self, error: BaseException, part: str) -> None:
        """Logs an error after which a part of the request was sent uncut, or raises it again if failing open is off.

        Args:
            error: The error.
            part: The part of the request, such as "tools".
        """
        if not self.enabled:
            raise error
        name = type(error).__name__
        self.warn_once(f"the {part} were sent uncut: {name}: {error}", f"{part}: {name}", error)

    def note_usage(self, error: CompressorError) -> None:
        """Logs that the usage of a request was not recorded, or raises the error again if failing open is off."""
        if not self.enabled:
            raise error
        self.warn_once(f"the usage of a request was not recorded: {error}", "usage")

    def report(self, tracked: TrackedConversation) -> None:
        """Logs what is new among the warnings of a conversation."""
        for text in tracked.take_warnings():
            log.warning(text)

    def warn_once(self, text: str, kind: str, error: BaseException | None = None) -> None:
        """Logs a warning, unless one of the same kind has been logged."""
        if kind not in self._logged_kinds:
            self._logged_kinds.add(kind)
            log.warning(text, exc_info=error)
