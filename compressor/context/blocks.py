"""Splits a context into blocks and decides which of them must stay unchanged."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from compressor.context.model import Context, Kind, Path, TextSlot, Turn
from compressor.context.running_totals import totals_of
from compressor.context.tool_rounds import open_tool_round

#: Finds spans [start, end) of a text, in order and without overlaps.
SpanFinder = Callable[[str], Sequence[tuple[int, int]]]
#: The same for the text of a message whose index comes first.
SlotSpanFinder = Callable[[int, str], Sequence[tuple[int, int]]]


class Priority(IntEnum):
    """The order in which blocks are compressed: a level is touched only if the lower ones cannot reach the budget.

    Attributes:
        TOOL_OUTPUT: Tool results, documents, images and examples.
        ASSISTANT: What the assistant wrote and thought; in a chat without tools also what the user wrote.
        HISTORY: The rest, such as older user messages and tool calls.
        PINNED: Never compressed.
    """

    TOOL_OUTPUT = 0
    ASSISTANT = 1
    HISTORY = 2
    PINNED = 99


#: The reason why the blocks of a slot that is not editable are pinned.
NOT_EDITABLE = "signed or not editable"
_Span = tuple[int, int, Kind, Priority, str]  # start, end, kind, priority, reason
_NO_EXAMPLES: Mapping[int, int] = {}


@dataclass(slots=True)
class Block:
    """A part of one message that is compressed, or kept, as a whole.

    Attributes:
        number: Index of the block in its context.
        slot: The slot whose text the block is a part of.
        kind: The kind of content; it differs from the slot's for pasted documents and examples.
        text: The block's text.
        start: Offset of its first character in the slot's text.
        end: Offset behind its last character.
        priority: When the block may be compressed.
        reason: Why it is pinned; "" if it is not.
        tool_call_text: For a tool result, the name and arguments of its call.
        age: Number of compressible blocks behind this one.
        tokens: Tokens of the text.
        example: The number of the example that the whole message is half of, because both halves stay or go together;
            -1 for other messages.
    """

    number: int
    slot: TextSlot
    kind: Kind
    text: str
    start: int
    end: int
    priority: Priority
    reason: str = ""
    tool_call_text: str = ""
    age: int = 0
    tokens: int = 0
    example: int = -1


def split_into_blocks(
    context: Context,
    mode: str,
    find_pasted: SpanFinder,
    pinned_messages: Collection[int] = (),
    find_constraints: SlotSpanFinder | None = None,
    find_examples: SlotSpanFinder | None = None,
    examples: Mapping[int, int] = _NO_EXAMPLES,
    pinned_slots: Collection[tuple[int, Path]] = (),
) -> list[Block]:
    """Splits a context into blocks.

    Pinned are slots that are not editable, the system prompt and the newest system message, the first and the last user
    message, and the assistant's side of the open tool round. Long material pasted into a user message is a block of its
    own and may be compressed. In mode "ingest" everything is pinned but the tool results after the last assistant turn,
    so that the prefix keeps its bytes and stays in the provider's cache.

    Args:
        context: The parsed messages.
        mode: The compression mode; only "ingest" makes a difference here.
        find_pasted: Finds material pasted into a user message, such as documents or logs.
        pinned_messages: Indices of messages that stay unchanged.
        find_constraints: Finds what the user demands of the agent; these spans are pinned.
        find_examples: Finds lists of examples in system and user messages; they become blocks of their own.
        examples: For messages that are half of an example, the number of that example.
        pinned_slots: Message and path of texts that stay unchanged.

    Returns:
        The blocks, in order of the context.
    """
    if mode == "ingest":
        return split_newest(context, 0, pinned_messages, pinned_slots)
    turns = context.turns
    pinned_examples = {examples[i] for i in pinned_messages if i in examples}
    examples = {i: n for i, n in examples.items() if n not in pinned_examples}
    users = [t.index for t in turns if t.role == "user" and t.index not in examples]
    ends = {users[0], users[-1]} if users else set()
    memories = _older_system_messages(turns)
    open_round = open_tool_round(turns)
    # In a session the constraints of users' older messages stay, so the agent's words go first.
    is_chat = mode != "compact" and not any(t.call_ids or t.result_call_ids or t.role == "tool" for t in turns)
    call_texts = {
        s.call_id: f"{s.name or ''} {s.text}" for t in turns for s in t.slots if s.kind == "tool_call" and s.call_id
    }
    blocks: list[Block] = []
    for turn in turns:
        index = turn.index
        is_turn_pinned, example = index in pinned_messages, examples.get(index, -1)
        for slot in turn.slots:
            text, kind = slot.text, slot.kind
            is_pinned = is_turn_pinned or (bool(pinned_slots) and (index, slot.path) in pinned_slots)
            priority, reason = (Priority.PINNED, "pinned") if is_pinned else _priority(slot, turn, ends, open_round)
            if index in memories and not is_pinned and slot.editable:
                priority, reason = Priority.HISTORY, ""
            if is_chat and kind == "user" and priority == Priority.HISTORY:
                priority = Priority.ASSISTANT
            call_text = call_texts.get(slot.call_id, "") if slot.call_id else ""
            if example >= 0:
                kind, priority, reason = "example", Priority.TOOL_OUTPUT, ""
            elif not is_pinned and slot.editable and kind in ("system", "user"):
                spans = _split_slot(slot, priority, reason, find_pasted, find_constraints, find_examples)
                for start, end, kind, priority, reason in spans:
                    part = text[start:end]
                    blocks.append(Block(len(blocks), slot, kind, part, start, end, priority, reason, call_text))
                continue
            blocks.append(
                Block(len(blocks), slot, kind, text, 0, len(text), priority, reason, call_text, example=example)
            )
    _set_ages(blocks)
    return blocks


def split_newest(
    context: Context,
    first: int,
    pinned_messages: Collection[int] = (),
    pinned_slots: Collection[tuple[int, Path]] = (),
) -> list[Block]:
    """Returns the blocks that `split_into_blocks` makes in mode "ingest" of the messages from `first` on.

    Args:
        context: The parsed messages.
        first: The index of the first message.
        pinned_messages: Indices of messages that stay unchanged.
        pinned_slots: Message and path of texts that stay unchanged.
    """
    outline = totals_of(context).outline
    number, last_agent = outline(first).slots, outline().last_agent
    blocks: list[Block] = []
    for turn in context.turns[first:]:
        for slot in turn.slots:
            priority, reason = Priority.PINNED, "prefix kept for the provider's cache"
            if slot.kind == "tool_result" and turn.index > last_agent and slot.editable:
                is_pinned = turn.index in pinned_messages or (turn.index, slot.path) in pinned_slots
                priority, reason = (Priority.PINNED, "pinned") if is_pinned else (Priority.TOOL_OUTPUT, "")
            blocks.append(Block(number + len(blocks), slot, slot.kind, slot.text, 0, len(slot.text), priority, reason))
    call_texts = _call_texts(context.turns, {block.slot.call_id for block in blocks if block.slot.call_id})
    for block in blocks:
        block.tool_call_text = call_texts.get(block.slot.call_id or "", "")
    _set_ages(blocks)
    return blocks


def _call_texts(turns: Sequence[Turn], wanted: set[str]) -> dict[str, str]:
    """Returns the name and arguments of the newest calls with these ids."""
    out: dict[str, str] = {}
    for turn in reversed(turns):
        if len(out) == len(wanted):
            break
        for slot in reversed(turn.slots):
            if slot.kind == "tool_call" and slot.call_id in wanted:
                out.setdefault(slot.call_id, f"{slot.name or ''} {slot.text}")
    return out


def _set_ages(blocks: list[Block]) -> None:
    age = 0
    for block in reversed(blocks):
        block.age = age
        age += block.priority < Priority.PINNED


def _older_system_messages(turns: Sequence[Turn]) -> set[int]:
    """Returns the indices of system messages in the middle but the newest: memories that a harness adds with each turn.

    Those in front are the system prompt.
    """
    lead = next((i for i, turn in enumerate(turns) if turn.role != "system"), len(turns))
    return {turn.index for turn in turns[lead:] if turn.role == "system"} - {
        max((turn.index for turn in turns if turn.role == "system"), default=-1)
    }


def _priority(slot: TextSlot, turn: Turn, ends: set[int], open_round: set[int]) -> tuple[Priority, str]:
    if not slot.editable:
        return Priority.PINNED, NOT_EDITABLE
    if slot.kind == "system":
        return Priority.PINNED, "system prompt"
    if turn.index in open_round:
        return Priority.PINNED, "open tool round"
    if turn.role == "user" and slot.kind in ("user", "image") and turn.index in ends:
        return Priority.PINNED, "first or last user message"
    if slot.kind in ("tool_result", "document", "image", "example"):
        return Priority.TOOL_OUTPUT, ""
    if slot.kind in ("assistant", "thinking"):
        return Priority.ASSISTANT, ""
    return Priority.HISTORY, ""


def _split_slot(
    slot: TextSlot,
    priority: Priority,
    reason: str,
    find_pasted: SpanFinder,
    find_constraints: SlotSpanFinder | None,
    find_examples: SlotSpanFinder | None,
) -> list[_Span]:
    """Splits what users and system prompts hold into instructions, constraints, pasted material and examples."""
    spans: list[_Span] = [(0, len(slot.text), slot.kind, priority, reason)]
    if slot.kind == "user":
        spans = _with_pasted(slot, priority, reason, find_pasted)
        if find_constraints is not None and priority < Priority.PINNED:
            spans = _with_constraints(slot, spans, find_constraints)
    return _with_examples(slot, spans, find_examples)


def _with_constraints(slot: TextSlot, spans: list[_Span], find: SlotSpanFinder) -> list[_Span]:
    """Pins the spans of a user's own words that constrain the agent."""
    out: list[_Span] = []
    for start, end, kind, priority, reason in spans:
        found = find(slot.message, slot.text[start:end]) if kind == slot.kind else []
        at = start
        for first, last in found:
            if start + first > at:
                out.append((at, start + first, kind, priority, reason))
            out.append((start + first, start + last, kind, Priority.PINNED, "a constraint of the user's"))
            at = start + last
        if at < end or not found:
            out.append((at, end, kind, priority, reason))
    return out


def _with_examples(slot: TextSlot, spans: list[_Span], find: SlotSpanFinder | None) -> list[_Span]:
    """Splits lists of examples off the prompt's own text; pasted material stays as it is."""
    out: list[_Span] = []
    found = find(slot.message, slot.text) if find is not None else []
    for start, end, kind, priority, reason in spans:
        at = start
        for first, last in found if kind == slot.kind else ():
            if start <= first and last <= end:
                if first > at:
                    out.append((at, first, kind, priority, reason))
                out.append((first, last, "example", Priority.TOOL_OUTPUT, ""))
                at = last
        if at < end or at == start:
            out.append((at, end, kind, priority, reason))
    return out


def _with_pasted(slot: TextSlot, priority: Priority, reason: str, find_pasted: SpanFinder) -> list[_Span]:
    """Splits the slot's text into instructions and pasted material."""
    out: list[_Span] = []
    at = 0
    for start, end in find_pasted(slot.text):
        if start > at:
            out.append((at, start, slot.kind, priority, reason))
        out.append((start, end, "document", Priority.TOOL_OUTPUT, ""))
        at = end
    if at < len(slot.text) or not out:
        out.append((at, len(slot.text), slot.kind, priority, reason))
    return out
