"""Turns a context into blocks and says which of them must stay as they are. Cuts, scores and renders nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from compressor.context.model import Context, Kind, TextSlot, Turn
from compressor.context.tool_rounds import open_tool_round

#: When a block may be touched. Later levels open only when the earlier ones cannot reach the budget.
PINNED, MATERIAL, SPEECH, HISTORY = 99, 0, 1, 2

SpanFinder = Callable[[str], list[tuple[int, int]]]  # stretches [start, end) of a text, in order, not overlapping
SlotSpanFinder = Callable[[int, str], list[tuple[int, int]]]  # the same, told which message it is of
_Span = tuple[int, int, Kind, int, str]  # start, end, kind, level, reason
_NONE: Mapping[int, int] = {}


@dataclass(slots=True)
class Block:
    """A stretch `[start, end)` of a slot's text. `level` is when it may be touched, `reason` why it is pinned."""

    number: int
    slot: TextSlot
    kind: Kind
    text: str
    start: int
    end: int
    priority: int
    reason: str = ""
    tool_call_text: str = ""
    age: int = 0
    tokens: int = 0
    example: int = -1  # the number of the example that the whole message is half of: both halves stay or go


def split_into_blocks(
    context: Context,
    mode: str,
    find_pasted: SpanFinder,
    pinned_messages: Collection[int] = (),
    find_constraints: SlotSpanFinder | None = None,
    find_examples: SlotSpanFinder | None = None,
    examples: Mapping[int, int] = _NONE,
) -> list[Block]:
    """All blocks of a context, in order. `pinned` are messages that stay as they are; what `find_constraints` finds in
    user messages stays, too. Lists of examples that `find_examples` finds in system and user messages are blocks of
    their own; `examples`: messages that are halves of an example, and its number.

    Pinned: what is not editable, system text, the first and last user message (long material pasted into them is a
    block of its own and may be compressed), everything said or called in the open tool round. In mode "ingest" all
    but the tool results after the last assistant turn is pinned, so that the prefix keeps its bytes.
    """
    turns = context.turns
    held = {examples[i] for i in pinned_messages if i in examples}
    examples = {} if mode == "ingest" else {i: n for i, n in examples.items() if n not in held}
    users = [t.index for t in turns if t.role == "user" and t.index not in examples]
    ends = {users[0], users[-1]} if users else set()
    last_agent = max((t.index for t in turns if t.role == "assistant"), default=-1)
    opened = open_tool_round(turns)
    asked = {
        s.call_id: f"{s.name or ''} {s.text}" for t in turns for s in t.slots if s.kind == "tool_call" and s.call_id
    }
    out: list[Block] = []
    for turn in turns:
        for slot in turn.slots:
            level, reason = (PINNED, "pinned") if turn.index in pinned_messages else _priority(slot, turn, ends, opened)
            if mode == "ingest" and not (slot.kind == "tool_result" and turn.index > last_agent and slot.editable):
                level, reason = PINNED, "prefix kept for the provider's cache"
            spans: list[_Span] = [(0, len(slot.text), slot.kind, level, reason)]
            if slot.kind == "user" and slot.editable and mode != "ingest" and turn.index not in pinned_messages:
                spans = _with_material(slot, level, reason, find_pasted)
                if find_constraints is not None and level < PINNED:
                    spans = _with_constraints(slot, spans, find_constraints)
            if (
                slot.kind in ("system", "user")
                and slot.editable
                and mode != "ingest"
                and turn.index not in pinned_messages
            ):
                spans = _with_examples(slot, spans, find_examples)
            if turn.index in examples:
                spans = [(0, len(slot.text), "example", MATERIAL, "")]
            for start, end, kind, level, reason in spans:
                out.append(
                    Block(
                        number=len(out),
                        slot=slot,
                        kind=kind,
                        text=slot.text[start:end],
                        start=start,
                        end=end,
                        priority=level,
                        reason=reason,
                        tool_call_text=asked.get(slot.call_id or "", ""),
                        example=examples.get(turn.index, -1),
                    )
                )
    age = 0
    for block in reversed(out):
        block.age = age
        age += block.priority < PINNED
    return out


def _priority(slot: TextSlot, turn: Turn, ends: set[int], opened: set[int]) -> tuple[int, str]:
    if not slot.editable:
        return PINNED, "signed or not editable"
    if slot.kind == "system":
        return PINNED, "system prompt"
    if turn.index in opened:
        return PINNED, "open tool round"
    if turn.role == "user" and slot.kind in ("user", "image") and turn.index in ends:
        return PINNED, "first or last user message"
    if slot.kind in ("tool_result", "document", "image", "example"):
        return MATERIAL, ""
    if slot.kind in ("assistant", "thinking"):
        return SPEECH, ""
    return HISTORY, ""


def _with_constraints(slot: TextSlot, spans: list[_Span], find: SlotSpanFinder) -> list[_Span]:
    """The stretches of a user's own words that constrain the agent become spans that stay."""
    out: list[_Span] = []
    for start, end, kind, level, reason in spans:
        found = find(slot.message, slot.text[start:end]) if kind == slot.kind else []
        at = start
        for first, last in found:
            if start + first > at:
                out.append((at, start + first, kind, level, reason))
            out.append((start + first, start + last, kind, PINNED, "a constraint of the user's"))
            at = start + last
        if at < end or not found:
            out.append((at, end, kind, level, reason))
    return out


def _with_examples(slot: TextSlot, spans: list[_Span], find: SlotSpanFinder | None) -> list[_Span]:
    """Lists of examples in what is the prompt's own text become blocks of their own; material stays material."""
    out: list[_Span] = []
    found = find(slot.message, slot.text) if find is not None else []
    for start, end, kind, level, reason in spans:
        at = start
        for first, last in found if kind == slot.kind else ():
            if start <= first and last <= end:
                if first > at:
                    out.append((at, first, kind, level, reason))
                out.append((first, last, "example", MATERIAL, ""))
                at = last
        if at < end or at == start:
            out.append((at, end, kind, level, reason))
    return out


def _with_material(slot: TextSlot, level: int, reason: str, find_material: SpanFinder) -> list[_Span]:
    """The slot's text cut into instruction and pasted material."""
    out: list[_Span] = []
    at = 0
    for start, end in find_material(slot.text):
        if start > at:
            out.append((at, start, slot.kind, level, reason))
        out.append((start, end, "document", MATERIAL, ""))
        at = end
    if at < len(slot.text) or not out:
        out.append((at, len(slot.text), slot.kind, level, reason))
    return out
