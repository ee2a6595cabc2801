"""Keeps the worked examples of a conversation's prompt within a budget of their own, the same ones in every request."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any, NamedTuple

from compressor.pipeline.prompt_examples import PromptExamples
from compressor.providers.base import Json
from compressor.providers.tool_listing import StateJournal


class CutPrompt(NamedTuple):
    """A prompt whose examples were cut.

    Attributes:
        system: The system prompt that the API keeps apart from the messages, as a list of one message, or [].
        messages: The messages. Unchanged ones are the caller's own objects.
        removed_tokens: How many tokens were left out.
    """

    system: list[Json]
    messages: list[Json]
    removed_tokens: int


class ExampleListing:
    """The worked examples that one conversation sends. Not safe to share between threads.

    Args:
        journal: Where the state is kept for other workers; None keeps it in this object only.

    Attributes:
        warnings: What the user should know about the examples.
    """

    def __init__(self, journal: StateJournal | None = None) -> None:
        self._journal = journal
        self._state: Json = {}
        self._changed: dict[int, tuple[Json, Json]] = {}  # by position: a system message, and what it became
        self.warnings: list[str] = []

    @property
    def state(self) -> Json:
        """What another listing needs to continue this one, as JSON data."""
        return self._state

    @state.setter
    def state(self, value: Json) -> None:
        self._state = value

    def copy(self) -> ExampleListing:
        """Returns a listing that continues with the same choice on its own."""
        made = ExampleListing()
        made._state = dict(self._state)
        return made

    def cut(self, examples: PromptExamples, system: Sequence[Json], messages: Sequence[Json]) -> CutPrompt:
        """Returns the prompt with the chosen examples.

        Args:
            examples: Chooses the examples.
            system: The system prompt that the API keeps apart, as a list of one message, or [].
            messages: The whole history.

        Raises:
            CompressorError: As `PromptExamples.choose`.
            StoreError: If the store cannot be read or written.
        """
        lead = list(takewhile(_is_system, messages))
        front, rest = [*system, *lead], list(messages[len(lead) :])
        if self._journal is not None:
            self._state = self._journal.read() or self._state
        state = examples.choose(front, rest, self._state)
        if state != self._state and self._journal is not None and not self._journal.write(state):
            state = examples.choose(front, rest, self._journal.read() or {})  # another worker was first
        self._state, self.warnings = state, state["warnings"]
        made = [
            self._change(i, one, content) for i, (one, content) in enumerate(zip(front, state["contents"], strict=True))
        ]
        dropped = set(state["dropped"])
        kept = [message for i, message in enumerate(rest) if i not in dropped]
        return CutPrompt(made[: len(system)], [*made[len(system) :], *kept], state["removed_tokens"])

    def _change(self, position: int, message: Json, content: Any) -> Json:
        """Returns a system message with another content; the same object as last time, because it is frozen."""
        if content is None:
            return message
        known = self._changed.get(position)
        if known is None or known[0] != message or known[1]["content"] != content:
            known = self._changed[position] = message, {**message, "content": content}
        return known[1]


def _is_system(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") in ("system", "developer")
