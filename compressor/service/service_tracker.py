"""A conversation tracker as the service needs it: for the model names of any client, and histories sent as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from compressor.providers.conversation_tracker import ConversationTracker, TrackedConversation
from compressor.service.model_names import sanitize_model_name


class ServiceTracker(ConversationTracker):
    """A tracker that counts by harmless model names, and goes on where a history was sent as it is.

    Args:
        models: See `sanitize_model_name`.
        resume: Takes a conversation and its messages; lets a new one continue what was sent (`RawHistories.resume`).
        given: The arguments of `ConversationTracker`.
    """

    def __init__(self, models: Mapping[str, str], resume: Callable[[Any, Sequence[Any]], object], *given: Any) -> None:
        super().__init__(*given)
        self._models, self._resume = models, resume

    def match(self, messages: Sequence[Any], model: str | None, kind: str = "") -> TrackedConversation:
        """See `ConversationTracker.match`."""
        tracked = self._find(messages, sanitize_model_name(model, self._models), kind)
        with tracked.lock:
            self._resume(tracked.conversation, messages)
        return tracked

    def preview(self, messages: Sequence[Any], model: str | None, kind: str = "") -> TrackedConversation:
        """See `ConversationTracker.preview`."""
        return super().preview(messages, sanitize_model_name(model, self._models), kind)

    def _find(self, messages: Sequence[Any], model: str | None, kind: str) -> TrackedConversation:
        return super().match(messages, model, kind)
