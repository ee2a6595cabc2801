"""Finds worked examples that are written as messages of their own. Knows turns; cuts nothing.

Conservative, as `segments.examples` is: messages named `example_user` and `example_assistant` (OpenAI's convention), or
labelled pairs (`Q: …` answered by `A: …`) at the start of a conversation whose system prompt speaks of examples, and
whose live question has the same label.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from compressor.context.blocks import Block
from compressor.context.model import Turn
from compressor.scoring.query import RECENT_CHARS
from compressor.text.segmenters.few_shot import mentions_examples

MIN_EXAMPLES = 3  # labelled pairs; what is named is an example in any number
_NAMES = ("example_user", "example_assistant")
_LABEL = re.compile(r"\s*([A-Za-z][A-Za-z ]{0,19}?)(?: ?#?\d{1,3})?\s*:\s*\S")
_QUESTIONS = ("q", "question", "input", "problem", "text", "sentence", "review", "utterance", "query", "example")


def find_few_shot_turns(turns: Sequence[Turn], lead: int = 0) -> dict[int, int]:
    """For each message that is half of an example, the number of its example, in order; the first `lead` are none."""
    out: dict[int, int] = {}
    for first, second in [*_named(turns), *_labelled(turns)]:
        if first.index >= lead and _plain(first) and _plain(second):
            number = len(out) // 2
            out[first.index] = out[second.index] = number
    return out


def query_outside_examples(blocks: Sequence[Block]) -> str | None:
    """What the last user message asks for, where there are examples, whose words are not what is asked; else None."""
    if all(block.kind != "example" or block.slot.kind == "system" for block in blocks):
        return None
    said = [block for block in blocks if block.slot.kind == "user" and block.kind == "user"]
    text = "".join(block.text for block in said if block.slot.message == said[-1].slot.message)
    return text[-RECENT_CHARS:] if text.strip() else None


def _named(turns: Sequence[Turn]) -> list[tuple[Turn, Turn]]:
    """Neighbours called example_user and example_assistant."""
    names = [next((text for text in turn.extras if text in _NAMES), "") for turn in turns]
    return [(turns[i], turns[i + 1]) for i in range(len(turns) - 1) if (names[i], names[i + 1]) == _NAMES]


def _labelled(turns: Sequence[Turn]) -> list[tuple[Turn, Turn]]:
    """Questions and answers before the first message that is neither, if that is a question of the same label."""
    rest = [turn for turn in turns if turn.role != "system"]
    label, answer = (_label(rest[0]), _label(rest[1])) if len(rest) > 1 else ("", "")
    prompt = " ".join(slot.text for turn in turns if turn.role == "system" for slot in turn.slots)
    if label not in _QUESTIONS or not answer or not mentions_examples(prompt):  # a chat by template looks the same
        return []
    pairs: list[tuple[Turn, Turn]] = []
    while 2 * len(pairs) + 1 < len(rest):
        asked, reply = rest[2 * len(pairs)], rest[2 * len(pairs) + 1]
        if (asked.role, reply.role) != ("user", "assistant") or (_label(asked), _label(reply)) != (label, answer):
            break
        pairs.append((asked, reply))
    live = rest[2 * len(pairs)] if 2 * len(pairs) < len(rest) else None
    if len(pairs) < MIN_EXAMPLES or live is None or live.role != "user" or _label(live) != label:
        return []
    return pairs


def _plain(turn: Turn) -> bool:
    """Whether a message is nothing but text that may be edited."""
    slots = turn.slots
    return (
        bool(slots)
        and not turn.call_ids
        and not turn.result_call_ids
        and all(s.editable and s.text.strip() for s in slots)
    )


def _label(turn: Turn) -> str:
    found = _LABEL.match(turn.slots[0].text) if _plain(turn) else None
    return found.group(1).lower() if found else ""
