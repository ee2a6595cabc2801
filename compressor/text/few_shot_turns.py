"""Finds few-shot examples that are written as messages of their own.

The rules are conservative, as in `segmenters.few_shot`. An example is a pair of messages named `example_user` and
`example_assistant` (OpenAI's convention), or a labelled pair (`Q: …` answered by `A: …`) at the start of a conversation
whose system prompt mentions examples and whose live question has the same label. The first and the last user message
are never examples, and a message that is no example ends the list.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from compressor.context.blocks import Block
from compressor.context.model import Turn
from compressor.text.segmenters.few_shot_announcements import forbids, is_knowledge, mentions_examples, sentences
from compressor.text.segmenters.few_shot_lines import read_label
from compressor.text.segmenters.few_shot_notes import parts_with_notes
from compressor.text.segmenters.few_shot_obligations import OBLIGES, OBLIGES_FIRST
from compressor.text.segmenters.few_shot_shape import MIN_MODE, MIN_OBLIGING
from compressor.text.segmenters.few_shot_words import IN_LABELS

MIN_EXAMPLES = 3  # labelled pairs; named messages are examples in any number
_NAMES = ("example_user", "example_assistant")
_QUESTIONS = IN_LABELS | {"example"}
_PARAGRAPH = re.compile(r"\n[ \t]*\n")


def find_few_shot_turns(turns: Sequence[Turn], lead: int = 0) -> dict[int, int]:
    """Maps each message that is half of an example to the number of its example.

    Args:
        turns: All turns of the context.
        lead: Messages with an index below this are never examples.

    Returns:
        Example numbers from 0, by message index.
    """
    users = [turn.index for turn in turns if turn.role == "user"]
    ends = {users[0], users[-1]} if users else set()
    out: dict[int, int] = {}
    for pairs in (_named(turns), _labelled(turns)):
        for first, second in _alike(pairs):
            if first.index >= lead and not ends & {first.index, second.index} and _plain(first) and _plain(second):
                number = len(out) // 2
                out[first.index] = out[second.index] = number
    return out


def answers_to_pin(turns: Sequence[Turn], examples: dict[int, int]) -> frozenset[int]:
    """Returns the answers of first user messages that are the first of a list of examples: the pair stays whole.

    Args:
        turns: All turns of the context.
        examples: What `find_few_shot_turns` returned.
    """
    first = next((turn.index for turn in turns if turn.role == "user"), -1)
    return frozenset({first + 1}) if first >= 0 and first + 2 in examples and first + 1 not in examples else frozenset()


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
    """The messages named example_user and example_assistant that follow each other; another message ends the list."""
    if not any(_NAMES[0] in turn.extras for turn in turns):
        return []
    names = [next((text for text in turn.extras if text in _NAMES), "") for turn in turns]
    out: list[tuple[Turn, Turn]] = []
    at = next((i for i, name in enumerate(names) if name == _NAMES[0]), len(turns))
    while at + 1 < len(turns) and (names[at], names[at + 1]) == _NAMES:
        out.append((turns[at], turns[at + 1]))
        at += 2
    return out


def _labelled(turns: Sequence[Turn]) -> list[tuple[Turn, Turn]]:
    """The labelled pairs at the start, if the first message after them is a question with the same label."""
    rest = [turn for turn in turns if turn.role != "system"]
    label = _label(rest[0]) if len(rest) > 1 else ""
    if label not in _QUESTIONS or not (answer := _label(rest[1])):
        return []
    prompt = "\n".join(slot.text for turn in turns if turn.role == "system" for slot in turn.slots)
    if not _announces(prompt):  # a chat after a template looks the same
        return []
    if any(turn.role == "system" and turn.index > rest[0].index for turn in turns):  # an instruction in between
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


def _announces(prompt: str) -> bool:
    """Whether a system prompt mentions examples, and not as the work itself or as knowledge."""
    about = [one for one in sentences(prompt) if mentions_examples(one)]
    return (
        bool(about)
        and not is_knowledge(prompt)
        and not forbids([], "", about, "", is_self=False, is_loose=False, has_context=False)
    )


def _alike(pairs: Sequence[tuple[Turn, Turn]]) -> list[tuple[Turn, Turn]]:
    """The pairs up to the first with other paragraphs than most, or later lines that oblige; not those with a note."""
    texts = [tuple(slot.text for turn in pair for slot in turn.slots) for pair in pairs]
    if not texts:
        return []
    shapes = [tuple(len(_PARAGRAPH.split(text.strip())) for text in pair) for pair in texts]
    obliging = [any(map(_obliges, pair)) for pair in texts]
    mode, count = Counter(shapes).most_common(1)[0] if shapes else ((), 0)
    has_mode = count >= MIN_MODE * len(shapes)
    is_usual = len(pairs) > 2 and sum(obliging) >= MIN_OBLIGING * len(pairs)
    notes = parts_with_notes([list(pair) for pair in texts], may_oblige=True)
    out: list[tuple[Turn, Turn]] = []
    for pair, shape, odd, note in zip(pairs, shapes, obliging, notes, strict=True):
        if (odd and not is_usual) or (has_mode and shape != mode):
            break
        if not note:
            out.append(pair)
    return out


def _obliges(text: str) -> bool:
    return any(OBLIGES_FIRST.match(line) or OBLIGES.search(line) for line in text.strip().split("\n")[1:])


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
    found = read_label(turn.slots[0].text.lstrip().split("\n", 1)[0]) if _plain(turn) else None
    return found.name if found is not None and turn.slots[0].text.strip()[-1:] not in ":：" else ""
