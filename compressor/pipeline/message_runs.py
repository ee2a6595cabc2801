"""Joins neighbouring messages that are dropped into runs: one placeholder stands for all of them.

In a chat most messages are hardly longer than a placeholder. So a run costs one: it stands in the run's first message,
and the other messages leave the request. Its ref returns all of them, with who said what.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from compressor.context.model import Turn
from compressor.context.refs import ANY_REF, compute_ref, find_closing_placeholder, format_run_placeholder
from compressor.context.tool_rounds import group_tool_rounds

_TEXT_PARTS = ("text", "input_text", "output_text")


@dataclass(frozen=True, eq=False)
class MessageRun:
    """Neighbouring messages that are dropped.

    Attributes:
        turns: Their turns, in order.
        host: The index of the message that carries the placeholder.
        find_text: Returns the text behind a ref of ours.
    """

    turns: tuple[Turn, ...]
    host: int
    find_text: Callable[[str], str | None]

    @property
    def removed(self) -> set[int]:
        """Returns the messages that leave the request."""
        return {turn.index for turn in self.turns} - {self.host}

    @cached_property
    def _parts(self) -> list[tuple[str, int]]:
        """Returns the text of each message, and how many messages it is."""
        return [part for turn in self.turns for part in self._turn_parts(turn)]

    def _turn_parts(self, turn: Turn) -> Iterable[tuple[str, int]]:
        if len(turn.slots) == 1:
            closing = find_closing_placeholder(turn.slots[0].text)
            if closing is not None and not closing.body and (stored := self.find_text(closing.ref)) is not None:
                if not closing.message_count:
                    stored = f"[{turn.role}]\n{stored}"
                yield stored, max(closing.message_count, 1)
                return
        yield "\n\n".join(_labelled_texts(turn)), 1

    @cached_property
    def text(self) -> str:
        """Returns what the ref returns: each message's exact text below who said it."""
        return "\n\n".join(text for text, _ in self._parts)

    @cached_property
    def ref(self) -> str:
        """Returns the ref of the text."""
        return compute_ref(self.text)

    @property
    def placeholder(self) -> str:
        """Returns what stands for the run."""
        return format_run_placeholder(self.ref, self._count)

    @property
    def sample_placeholder(self) -> str:
        """Returns a placeholder like the one that stands for the run, but for the digits of its ref."""
        return format_run_placeholder(ANY_REF, self._count)

    @cached_property
    def _count(self) -> int:
        return sum(count for _, count in self._parts)


def _labelled_texts(turn: Turn) -> Iterable[str]:
    if not turn.slots:
        yield f"[{turn.role}]"
    for slot in turn.slots:
        is_plain = slot.kind in ("user", "assistant")
        name = slot.name or (" ".join(turn.extras) if is_plain else "")
        kind = {"tool_call": "call", "tool_result": "result"}.get(slot.kind, slot.kind)
        yield f"[{kind} {name}]\n{slot.text}" if name else f"[{kind}]\n{slot.text or '(an image)'}"


def find_removable_messages(turns: Sequence[Turn], messages: Sequence[Any], pinned: Collection[int]) -> set[int]:
    """Returns the messages that may leave a request whole: one text of the user or the assistant, and nothing else.

    Args:
        turns: The turns of a context.
        messages: The messages themselves.
        pinned: Messages that stay.
    """
    plain = {turn.index for turn in turns if _is_plain(turn, messages[turn.index])}
    if plain.issubset(pinned):
        return set()
    return {i for group in group_tool_rounds(turns) if plain.issuperset(group) for i in group if i not in pinned}


def _is_plain(turn: Turn, message: Any) -> bool:
    if turn.role not in ("user", "assistant") or len(turn.slots) != 1 or turn.call_ids or turn.result_call_ids:
        return False
    slot = turn.slots[0]
    if not slot.editable or slot.kind != turn.role or slot.path[0] != "content":
        return False
    content = message.get("content") if isinstance(message, dict) else getattr(message, "content", None)
    if isinstance(content, (list, tuple)):  # parts that are no texts, such as recordings, are not in the slots
        part = content[0]
        kind = part.get("type") if isinstance(part, dict) else getattr(part, "type", None)
        return len(content) == 1 and (isinstance(part, str) or kind in _TEXT_PARTS)
    return isinstance(content, str)


def join_runs(
    dropped: Collection[int],
    evicted: Collection[int],
    make_run: Callable[[int, int, int], MessageRun],
    is_shorter: Callable[[MessageRun], bool],
) -> list[MessageRun]:
    """Joins dropped messages into runs.

    Args:
        dropped: Messages of which nothing is kept and that may carry a placeholder.
        evicted: Messages that leave the request in any case.
        make_run: Returns the run from a first message up to another, which a third message carries.
        is_shorter: Returns whether a run takes fewer tokens than its messages do one by one.

    Returns:
        The runs of several messages that are worth their placeholder, in order.
    """
    runs: list[MessageRun] = []
    for start, end in _stretches(sorted({*dropped, *evicted})):
        host = next((i for i in range(start, end) if i in dropped and i not in evicted), None)
        if host is not None and end - start > 1:
            run = make_run(start, end, host)
            if is_shorter(run):
                runs.append(run)
    return runs


def _stretches(indices: Sequence[int]) -> Iterable[tuple[int, int]]:
    """Yields the first index and the last + 1 of each stretch of neighbours."""
    start = 0
    for i in range(1, len(indices) + 1):
        if i == len(indices) or indices[i] != indices[i - 1] + 1:
            yield indices[start], indices[i - 1] + 1
            start = i
