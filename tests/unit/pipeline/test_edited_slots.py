"""The running count of a context that is cut at random equals the count of the messages that are rendered from it."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from compressor.context.blocks import Priority, split_into_blocks
from compressor.context.formats import detect_format
from compressor.context.refs import format_placeholder, format_run_placeholder
from compressor.pipeline.working_context import WorkingContext
from compressor.text.segmenters import find_pasted_content
from compressor.tokens import get_counter

LOG = "\n".join(f"12:0{i % 10} worker {i} took {i * 37} ms to read /srv/data/part-{i}.csv" for i in range(40))
PROSE = " ".join(f"Sentence {i} says that step {i} of the migration was done by hand." for i in range(12))
ROWS = json.dumps([{"id": i, "name": f"row {i}", "note": "nothing to add " * (i % 4)} for i in range(20)])
PASTED = f"Please look at this file:\n```\n{LOG}\n```\nWhat is wrong with it?"


def conversation(has_tools: bool) -> list[dict[str, Any]]:
    """Returns a chat in which messages may leave in runs, with tool calls or without."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Why does the job fail?"},
    ]
    for i, text in enumerate((PROSE, "Yes.", "And then?", PROSE[:300], PASTED, "I see.", PROSE[200:500])):
        messages.append({"role": ("assistant", "user")[i % 2], "content": text})
    if has_tools:
        for i, text in enumerate((LOG, ROWS)):
            arguments = json.dumps({"command": "cat out.txt", "lines": list(range(30))})
            call = {"id": f"c{i}", "type": "function", "function": {"name": "run", "arguments": arguments}}
            messages.append({"role": "assistant", "content": "I look.", "tool_calls": [call]})
            messages.append({"role": "tool", "tool_call_id": f"c{i}", "content": text})
        messages.append({"role": "assistant", "content": "It failed because a file is missing."})
    messages.append({"role": "user", "content": "Then mend it."})
    return messages


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4", "claude-sonnet-4-5"])
@pytest.mark.parametrize("has_tools", [False, True])
def test_the_running_count_is_the_count_of_what_is_rendered(model: str, has_tools: bool) -> None:
    counter = get_counter(model)
    chance = random.Random(f"{model}{has_tools}")
    message_format = detect_format(conversation(has_tools), None)
    for _ in range(12):
        context = message_format.parse(conversation(has_tools), None)
        before = counter.count_context(context)
        working = WorkingContext(context, split_into_blocks(context, "full", find_pasted_content), counter, before)
        assert working.count_tokens() == before
        for priority in (Priority.ASSISTANT, Priority.HISTORY):
            working.unlock_priority(priority)
            assert working.block_edits
            for _ in range(4):
                density = chance.choice((0.0, 0.1, 0.5, 1.0))
                for edit in chance.sample(working.block_edits, chance.randint(1, len(working.block_edits))):
                    edit.apply_mask(np.array([chance.random() < density for _ in edit.layout.spans], np.bool_))
                chance.choice(working.block_edits).apply_lossless(None)
                count = working.count_tokens()
                rendered = message_format.render(context, working.edits(), tuple(sorted(working.left_out)))
                assert counter.count_context(message_format.parse(rendered, None)) == count
                assert sum(working.message_tokens().values()) == count - counter.reply_overhead
                fresh = WorkingContext(context, working.blocks, counter, before)
                fresh.unlock_priority(priority)
                assert fresh.count_tokens() == before


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4"])
def test_all_refs_take_the_same_tokens(model: str) -> None:
    counter = get_counter(model)
    assert counter.counts_refs_alike
    assert {counter.count(f"{number:03d}") for number in range(1000)} == {1}
    refs = ["0" * 12, "9" * 12, *(f"{random.Random(i).randrange(10**12):012d}" for i in range(200))]
    assert len({counter.count(format_placeholder(ref)) for ref in refs}) == 1
    assert len({counter.count(format_run_placeholder(ref, 12)) for ref in refs}) == 1
