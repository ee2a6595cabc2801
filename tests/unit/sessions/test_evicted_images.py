"""Rounds with images that leave a session's view, and images among their texts."""

from __future__ import annotations

import json

import pytest

from compressor.context.refs import find_refs
from compressor.sessions.evicted_rounds import MAX_LINE_IMAGES, EvictedRound, EvictionIndex
from support.picture_runs import FORMATS, computer_run, dumped, image_parts, page_shot, parse, write_run


@pytest.mark.parametrize("format_name", FORMATS)
def test_an_evicted_round_holds_its_images_behind_refs(format_name: str) -> None:
    pytest.importorskip("PIL")
    messages = write_run(format_name, [page_shot(1), page_shot(2)])
    turns = parse(messages).turns
    found = EvictedRound.from_turns(turns[1:], messages[1:], range(1, len(messages)))
    assert list(found.images.values()) == image_parts(messages)
    assert [ref for ref in find_refs(found.text) if ref in found.images] == list(found.images)
    assert found.text.count("(an image)") == 2 and "base64" not in found.text
    assert json.loads(found.messages_json) == json.loads(dumped(messages[1:]))
    assert "Page 1" in found.text and not any("base64" in text for _, _, text in found.spans)
    assert found.line.count("base64") == 0


@pytest.mark.parametrize("format_name", FORMATS)
def test_the_line_of_a_round_leads_to_its_newest_images(format_name: str) -> None:
    pytest.importorskip("PIL")
    messages = write_run(format_name, [page_shot(i) for i in range(1, MAX_LINE_IMAGES + 2)])
    found = EvictedRound.from_turns(parse(messages).turns[1:], messages[1:], best="Page 3 has the price: 12")
    *images, own = find_refs(found.line)
    assert images == list(found.images)[1:] and own == found.ref
    # Where lines are too long, the best line leaves, not the images.
    index = EvictionIndex().with_rounds([found], len, len(found.line) - 10)
    assert find_refs(index.lines[0]) == [*images, own] and "price" not in index.lines[0]


def test_the_line_of_a_computer_call_says_what_was_done() -> None:
    pytest.importorskip("PIL")
    messages = computer_run([page_shot(1)])
    found = EvictedRound.from_turns(parse(messages).turns[1:], messages[1:])
    assert found.line.startswith(f"click 100 90 left (image […cut ref {next(iter(found.images))}])")
