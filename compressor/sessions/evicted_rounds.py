"""Describes rounds that have left a session's view, and the index that stands in the view for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast, get_args

from compressor.context.formats import serialization
from compressor.context.formats.json_values import part_json, to_plain_dict
from compressor.context.model import Turn
from compressor.context.refs import compute_ref, format_placeholder
from compressor.sessions.summaries.passage import Passage, PassageKind

HEADING = "[index of earlier rounds that were cut from this conversation, oldest first; expand a ref to read one]"
OPEN_HEADING = "[not resolved or still valid, as far as these rounds show]"
INDEX_FRACTION = 0.2  # of the room; when the lines exceed it, older ones become one line
OPEN_FRACTION = 0.2  # of the room, for what is not resolved
MAX_LABEL_CHARS = 90
LABEL_END_CHARS = 30  # of a longer label, the end that is shown
MIN_BARE_LINES = 4  # the newest lines without a best line, which stay as long as others can be shortened
MAX_BEST_CHARS = 140
MAX_LINE_IMAGES = 4  # the newest images of a round, which can be seen without reading the round first
BEST_SIGN = " → "  # between what was called and the best line of the round
PASSAGE_KINDS = get_args(PassageKind)
DISPLAY_NAMES = {"tool_call": "call", "tool_result": "result"}  # shorter names of kinds, for the agent


@dataclass(frozen=True)
class EvictedRound:
    """A round that has left the view.

    Attributes:
        label: What the index says about it; "" for no line.
        best: The line of the round that says most, or "".
        text: What the agent reads when it expands the round.
        messages_json: The exact messages, as JSON text.
        spans: Kind, name and text of each stretch, for a summary.
        message_indices: Numbers of its messages in the whole history.
        images: Its images as JSON, by the refs in the text.
    """

    label: str
    text: str
    messages_json: str
    spans: tuple[tuple[PassageKind, str | None, str], ...] = ()
    message_indices: tuple[int, ...] = ()
    best: str = ""
    images: Mapping[str, str] = field(default_factory=dict)

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
        cls,
        turns: Iterable[Turn],
        messages: Sequence[Any],
        message_indices: Sequence[int] = (),
        best: str = "",
        is_outdated: bool = False,
    ) -> EvictedRound:
        """Makes a round.

        Args:
            turns: Its original turns.
            messages: Its messages.
            message_indices: Their numbers in the whole history.
            best: The line that says most.
            is_outdated: There is a newer version of what it says, so the index must not look as if it were current.
        """
        parts, calls, first_words = [], [], ""
        spans: list[tuple[PassageKind, str | None, str]] = []
        images: dict[str, str] = {}
        for turn, message in zip(turns, messages, strict=True):
            for slot in turn.slots:
                name = f" {slot.name}" if slot.name else ""
                kind = DISPLAY_NAMES.get(slot.kind, slot.kind)
                text = slot.text
                if slot.image is not None:
                    source = part_json(message, slot.path)
                    images[ref := compute_ref(source)] = source
                    text = f"(an image) {format_placeholder(ref)}"
                parts.append(f"[{kind}{name}]\n{text}")
                if slot.kind in PASSAGE_KINDS and slot.text:
                    spans.append((cast(PassageKind, slot.kind), slot.name, slot.text))
                if slot.kind == "tool_call":
                    calls.append(f"{slot.name} (an older version)" if is_outdated else f"{slot.name} {slot.text}")
                elif not first_words and slot.kind in ("user", "assistant"):
                    first_words = f"{slot.kind}: {slot.text}"
            parts += [f"[{turn.role}]\n{text}" for text in turn.unedited_texts if text]
            if turn.call_ids and not any(slot.kind == "tool_call" for slot in turn.slots):
                action = _describe_action(message)
                calls += [action] if action else turn.extras
        label = " ".join((" + ".join(calls) or first_words or "a message").split())
        if len(label) > MAX_LABEL_CHARS:  # calls of one tool often differ at their ends
            label = f"{label[: MAX_LABEL_CHARS - LABEL_END_CHARS - 1]}…{label[-LABEL_END_CHARS:]}"
        exact = json.dumps([serialization.serialize_message(m) for m in messages], ensure_ascii=False)
        return cls(label, "\n\n".join(parts), exact, tuple(spans), tuple(message_indices), best, images)

    @property
    def line(self) -> str:
        """Returns its line in the index."""
        best = f"{BEST_SIGN}{self.best}" if self.best and self.best not in self.label else ""
        shown = " ".join(map(format_placeholder, list(self.images)[-MAX_LINE_IMAGES:]))
        images = f" (image{'s' * (len(self.images) > 1)} {shown})" if shown else ""
        return f"{self.label}{images}{best} {format_placeholder(self.ref)}"


def _describe_action(message: Any) -> str:
    """Returns what a call without arguments does, such as "click left 809 162" of a computer; "" if it does not say."""
    return " ".join(_scalars((to_plain_dict(message) or {}).get("action")))


def _scalars(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _scalars(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def reasoning_text(text: str) -> EvictedRound:
    """Returns reasoning that was removed from a message which stays, in the form of a round."""
    return EvictedRound("reasoning", text, json.dumps(text, ensure_ascii=False))


@dataclass(frozen=True)
class EvictionIndex:
    """The lines that stand in the view for evicted rounds, oldest first.

    Attributes:
        lines: One line for each round.
        numbers: The number of each round's first message, -1 if unknown.
        older_ref: Ref of older lines that are no longer shown, or "".
        older_rounds: Number of rounds behind `older_ref`.
        summary: A summary that follows the lines, or "".
        pending: Texts that have to be stored for `older_ref`, by ref.
        open_lines: Lines about what is not resolved and would not be in view otherwise.
    """

    lines: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    older_ref: str = ""
    older_rounds: int = 0
    summary: str = ""
    pending: Mapping[str, str] = field(default_factory=dict)
    open_lines: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Returns what the view shows."""
        still_open = [OPEN_HEADING, *self.open_lines] if self.open_lines else []
        summary = [self.summary] if self.summary else []
        return "\n".join([HEADING, *self._older_line, *self.lines, *still_open, *summary])

    @property
    def _older_line(self) -> list[str]:
        """Returns the line that stands for older lines, if there are any. `archive` recognises it by its form."""
        if not self.older_ref:
            return []
        return [f"{self.older_rounds} more rounds {format_placeholder(self.older_ref)}"]

    def with_rounds(
        self, evicted: Sequence[EvictedRound], count_tokens: Callable[[str], int], max_tokens: int
    ) -> EvictionIndex:
        """Returns the index with lines for more rounds.

        Where there are too many, those without a best line move behind one ref, then older ones lose their best line,
        and then they move, too.

        Args:
            evicted: The rounds.
            count_tokens: Counts the tokens of a line.
            max_tokens: The most tokens that the lines may have.
        """
        numbered = list(zip(self.numbers, self.lines, strict=True))
        numbered += [(r.message_indices[0] if r.message_indices else -1, r.line) for r in evicted if r.label]
        numbered.sort(key=lambda one: one[0])
        numbers, lines = [number for number, _ in numbered], [line for _, line in numbered]
        sizes = [count_tokens(line) + 1 for line in lines]
        left, moved = sum(sizes), set[int]()
        bare = [i for i, line in enumerate(lines) if BEST_SIGN not in line]
        for i in bare[:-MIN_BARE_LINES]:
            if left > max_tokens:
                moved.add(i)
                left -= sizes[i]
        for i, line in enumerate(lines):
            if left > max_tokens and BEST_SIGN in line:
                lines[i] = line[: line.index(BEST_SIGN)] + line[line.rindex(" [") :]
                left += (shorter := count_tokens(lines[i]) + 1) - sizes[i]
                sizes[i] = shorter
        for i in range(len(lines)):
            if left > max_tokens and i not in moved:
                moved.add(i)
                left -= sizes[i]
        stay = [i for i in range(len(lines)) if i not in moved]
        index = replace(self, lines=tuple(lines[i] for i in stay), numbers=tuple(numbers[i] for i in stay))
        if not moved:
            return index
        page = "\n".join([*self._older_line, *(lines[i] for i in sorted(moved))])
        return replace(
            index,
            older_ref=compute_ref(page),
            older_rounds=self.older_rounds + len(moved),
            pending={**self.pending, compute_ref(page): page},
        )
