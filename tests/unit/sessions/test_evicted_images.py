"""Rounds with images that leave a session's view, and images among their texts."""

from __future__ import annotations

import json

import pytest

from compressor.context.refs import find_refs
from compressor.sessions.evicted_rounds import EvictedRound
from support.picture_runs import FORMATS, dumped, image_parts, page_shot, parse, write_run


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
