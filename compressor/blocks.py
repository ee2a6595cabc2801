"""Turns a context into blocks and says which of them must stay as they are. Cuts, scores and renders nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compressor.context import Context, Kind, Slot, Turn

#: When a block may be touched. Later levels open only when the earlier ones cannot reach the budget.
PINNED, MATERIAL, SPEECH, HISTORY = 99, 0, 1, 2


@dataclass(slots=True)
class Block:
    """A stretch `[start, end)` of a slot's text. `level` is when it may be touched, `reason` why it is pinned."""

    number: int
    slot: Slot
    kind: Kind
    text: str
    start: int
    end: int
    level: int
    reason: str = ""
    asked: str = ""
    age: int = 0
    tokens: int = 0


def blocks_of(
    context: Context,
    mode: str,
    find_material: Callable[[str], list[tuple[int, int]]],
) -> list[Block]:
    """All blocks of a context, in order.

    Pinned: what is not editable, system text, the first and last user message (long material pasted into them is a
    block of its own and may be compressed), everything said or called in the open tool round. In mode "ingest" all
    but the tool results after the last assistant turn is pinned, so that the prefix keeps its bytes.
    """
    turns = context.turns
    users = [t.index for t in turns if t.role == "user"]
    ends = {users[0], users[-1]} if users else set()
    last_agent = max((t.index for t in turns if t.role == "assistant"), default=-1)
    open_round = _open_round(turns)
    asked = {
        s.call_id: f"{s.name or ''} {s.text}" for t in turns for s in t.slots if s.kind == "tool_call" and s.call_id
    }
    out: list[Block] = []
    for turn in turns:
        for slot in turn.slots:
            level, reason = _level(slot, turn, ends, open_round)
            if mode == "ingest" and not (slot.kind == "tool_result" and turn.index > last_agent and slot.editable):
                level, reason = PINNED, "prefix kept for the provider's cache"
            spans = [(0, len(slot.text), slot.kind, level, reason)]
            if slot.kind == "user" and slot.editable and mode != "ingest":
                spans = _with_material(slot, level, reason, find_material)
            for start, end, kind, level, reason in spans:
                out.append(
                    Block(
                        number=len(out),
                        slot=slot,
                        kind=kind,
                        text=slot.text[start:end],
                        start=start,
                        end=end,
                        level=level,
                        reason=reason,
                        asked=asked.get(slot.call_id or "", ""),
                    )
                )
    age = 0
    for block in reversed(out):
        block.age = age
        age += block.level < PINNED
    return out


def _open_round(turns: Sequence[Turn]) -> set[int]:
    """Indices of the assistant turns of the round that has no assistant or user word after its results yet."""
    out: set[int] = set()
    for turn in reversed(turns):
        if turn.role == "assistant":
            if not turn.calls and out:
                # Some dialects write thinking, words and calls of one step as separate items.
                out.add(turn.index)
                continue
            if not turn.calls:
                break
            out.add(turn.index)
        elif turn.role == "tool" and not out:
            continue
        else:
            break
    return out


def _level(slot: Slot, turn: Turn, ends: set[int], open_round: set[int]) -> tuple[int, str]:
    if not slot.editable:
        return PINNED, "signed or not editable"
    if slot.kind == "system":
        return PINNED, "system prompt"
    if turn.index in open_round:
        return PINNED, "open tool round"
    if turn.role == "user" and slot.kind in ("user", "image") and turn.index in ends:
        return PINNED, "first or last user message"
    if slot.kind in ("tool_result", "document", "image", "example"):
        return MATERIAL, ""
    if slot.kind in ("assistant", "thinking"):
        return SPEECH, ""
    return HISTORY, ""


def _with_material(
    slot: Slot, level: int, reason: str, find_material: Callable[[str], list[tuple[int, int]]]
) -> list[tuple[int, int, Kind, int, str]]:
    """The slot's text cut into instruction and pasted material."""
    out: list[tuple[int, int, Kind, int, str]] = []
    at = 0
    for start, end in find_material(slot.text):
        if start > at:
            out.append((at, start, slot.kind, level, reason))
        out.append((start, end, "document", MATERIAL, ""))
        at = end
    if at < len(slot.text) or not out:
        out.append((at, len(slot.text), slot.kind, level, reason))
    return out
