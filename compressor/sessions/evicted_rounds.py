"""Describes rounds that have left a session's view, and the index that stands in the view for them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast, get_args

from compressor.context.formats import serialization
from compressor.context.model import Turn
from compressor.context.refs import compute_ref, format_placeholder
from compressor.sessions.runtime import SessionRuntime
from compressor.sessions.summaries.passage import Passage, PassageKind

HEADING = "[index of earlier rounds that were cut from this conversation, oldest first; expand a ref to read one]"
INDEX_FRACTION = 0.15  # of the compaction target; when the lines exceed it, older ones become one line
MAX_LABEL_CHARS = 90
PASSAGE_KINDS = get_args(PassageKind)
DISPLAY_NAMES = {"tool_call": "call", "tool_result": "result"}  # shorter names of kinds, for the agent


@dataclass(frozen=True)
class EvictedRound:
    """A round that has left the view.

    Attributes:
        label: What the index says about it.
        text: What the agent reads when it expands the round.
        messages_json: The exact messages, as JSON text.
        spans: Kind, name and text of each stretch, for a summary.
        message_indices: Numbers of its messages in the whole history.
    """

    label: str
    text: str
    messages_json: str
    spans: tuple[tuple[PassageKind, str | None, str], ...] = ()
    message_indices: tuple[int, ...] = ()

    @property
    def ref(self) -> str:
        """Returns the ref of the text."""
        return compute_ref(self.text)

    @property
    def passages(self) -> list[Passage]:
        """Returns what a summarizer reads."""
        return [Passage(text, kind, name, self.ref) for kind, name, text in self.spans]

    @classmethod
    def from_turns(
        cls, turns: Iterable[Turn], messages: Sequence[Any], message_indices: Sequence[int] = ()
    ) -> EvictedRound:
        """Makes a round from its original turns and messages, and the messages' numbers."""
        parts, calls, first_words = [], [], ""
        spans: list[tuple[PassageKind, str | None, str]] = []
        for turn in turns:
            for slot in turn.slots:
                name = f" {slot.name}" if slot.name else ""
                kind = DISPLAY_NAMES.get(slot.kind, slot.kind)
                parts.append(f"[{kind}{name}]\n{slot.text or '(an image)'}")
                if slot.kind in PASSAGE_KINDS and slot.text:
                    spans.append((cast(PassageKind, slot.kind), slot.name, slot.text))
                if slot.kind == "tool_call":
                    calls.append(f"{slot.name} {slot.text}")
                elif not first_words and slot.kind in ("user", "assistant"):
                    first_words = f"{slot.kind}: {slot.text}"
            calls += [
                name for name in turn.extras if turn.call_ids and not any(s.kind == "tool_call" for s in turn.slots)
            ]
        label = " ".join((" + ".join(calls) or first_words or "a message").split())
        label = label if len(label) <= MAX_LABEL_CHARS else label[: MAX_LABEL_CHARS - 1] + "…"
        exact = json.dumps([serialization.serialize_message(m) for m in messages], ensure_ascii=False)
        return cls(label, "\n\n".join(parts), exact, tuple(spans), tuple(message_indices))


def reasoning_text(text: str) -> EvictedRound:
    """Returns reasoning that was removed from a message which stays, in the form of a round."""
    return EvictedRound("reasoning", text, json.dumps(text, ensure_ascii=False))


@dataclass(frozen=True)
class EvictionIndex:
    """The lines that stand in the view for evicted rounds, oldest first.

    Attributes:
        lines: One line for each round.
        older_ref: Ref of older lines that are no longer shown, or "".
        older_rounds: Number of rounds behind `older_ref`.
        summary: A summary that follows the lines, or "".
        pending: Texts that have to be stored for `older_ref`, by ref.
    """

    lines: tuple[str, ...] = ()
    older_ref: str = ""
    older_rounds: int = 0
    summary: str = ""
    pending: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Returns what the view shows."""
        return "\n".join([HEADING, *self._older_line, *self.lines, *([self.summary] if self.summary else [])])

    @property
    def _older_line(self) -> list[str]:
        """Returns the line that stands for older lines, if there are any. `archive` recognises it by its form."""
        if not self.older_ref:
            return []
        return [f"{self.older_rounds} rounds before these {format_placeholder(self.older_ref)}"]

    def with_rounds(self, evicted: Sequence[EvictedRound], runtime: SessionRuntime) -> EvictionIndex:
        """Returns the index with lines for more rounds. Where there are too many, the oldest move behind one ref."""
        lines = [*self.lines, *(f"{r.label} {format_placeholder(r.ref)}" for r in evicted)]
        max_tokens = int(INDEX_FRACTION * runtime.policy.compaction_target_tokens)
        sizes = [runtime.counter.count(line) + 1 for line in lines]
        if sum(sizes) <= max_tokens:
            return replace(self, lines=tuple(lines))
        # Half of the tokens stay free, so that the first lines do not change with every round that is evicted.
        moved_count, left = 0, sum(sizes)
        while left > max_tokens // 2:
            left -= sizes[moved_count]
            moved_count += 1
        moved = lines[:moved_count]
        page = "\n".join([*self._older_line, *moved])
        return replace(
            self,
            lines=tuple(lines[moved_count:]),
            older_ref=compute_ref(page),
            older_rounds=self.older_rounds + len(moved),
            pending={**self.pending, compute_ref(page): page},
        )
