"""Finds few-shot examples that are written as messages of their own.

The rules are conservative, as in `segmenters.few_shot`. An example is a pair of messages named `example_user` and
`example_assistant` (OpenAI's convention), or a labelled pair (`Q: …` answered by `A: …`) at the start of a conversation
whose system prompt mentions examples and whose live question has the same label.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from compressor.context.blocks import Block
from compressor.context.model import Turn
from compressor.text.segmenters.few_shot import mentions_examples

MIN_EXAMPLES = 3  # labelled pairs; named messages are examples in any number
_NAMES = ("example_user", "example_assistant")
_LABEL = re.compile(r"\s*([A-Za-z][A-Za-z ]{0,19}?)(?: ?#?\d{1,3})?\s*:\s*\S")
_QUESTIONS = ("q", "question", "input", "problem", "text", "sentence", "review", "utterance", "query", "example")


def find_few_shot_turns(turns: Sequence[Turn], lead: int = 0) -> dict[int, int]:
    """Maps each message that is half of an example to the number of its example.

    Args:
        turns: All turns of the context.
        lead: Messages with an index below this are never examples.

    Returns:
        Example numbers from 0, by message index.
    """
    out: dict[int, int] = {}
    for first, second in [*_named(turns), *_labelled(turns)]:
        if first.index >= lead and _plain(first) and _plain(second):
            number = len(out) // 2
            out[first.index] = out[second.index] = number
    return out


def query_outside_examples(blocks: Sequence[Block], max_chars: int) -> str | None:
    """Returns what the last user message asks for if the context holds examples, whose words are not the question.

    Args:
        blocks: All blocks of the context.
        max_chars: The query is the last `max_chars` characters of the message.

    Returns:
        The query, or None if there are no examples or the message has no text of its own.
    """
    if all(block.kind != "example" or block.slot.kind == "system" for block in blocks):
        return None
    spoken = [block for block in blocks if block.slot.kind == "user" and block.kind == "user"]
    text = "".join(block.text for block in spoken if block.slot.message == spoken[-1].slot.message)
    return text[-max_chars:] if text.strip() else None


def _named(turns: Sequence[Turn]) -> list[tuple[Turn, Turn]]:
    """Neighbouring messages named example_user and example_assistant."""
    names = [next((text for text in turn.extras if text in _NAMES), "") for turn in turns]
    return [(turns[i], turns[i + 1]) for i in range(len(turns) - 1) if (names[i], names[i + 1]) == _NAMES]


def _labelled(turns: Sequence[Turn]) -> list[tuple[Turn, Turn]]:
    """The labelled pairs at the start, if the first message after them is a question with the same label."""
    rest = [turn for turn in turns if turn.role != "system"]
    label, answer = (_label(rest[0]), _label(rest[1])) if len(rest) > 1 else ("", "")
    prompt = " ".join(slot.text for turn in turns if turn.role == "system" for slot in turn.slots)
    if (
        label not in _QUESTIONS or not answer or not mentions_examples(prompt)
    ):  # a chat that follows a template looks the same
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
    """Whether a message holds only text that may be edited."""
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
