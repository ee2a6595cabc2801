"""What must hold of every view of a session with images."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from compressor.context.formats.image_parts import image_base64
from compressor.context.refs import find_refs
from compressor.sessions import Conversation
from support.picture_runs import count, dumped, image_parts, parse

_NUMBERED = re.compile(r"\[image (\d+)(?:[:,]| )")
_REFERS = re.compile(r"\[image \d+: (?:as|the same as) image (\d+)")
_CALL = re.compile(r"\[the same image as in the result of call (\w+)\]")


def check_view(session: Conversation, history: Sequence[Any], view: Sequence[Any], model: str = "gpt-4o") -> None:
    """Checks a view.

    Args:
        session: The session that made it.
        history: All that the session was given.
        view: The view.
        model: The model whose tokens are counted.
    """
    parts = image_parts(history)
    known = {image_base64(json.loads(part)): number for number, part in enumerate(parts, 1)}
    assert session.view_tokens == count(view, model)
    whole, noted, texts = set[int](), dict[int, str](), list[str]()
    for turn in parse(view).turns:
        before = ""
        for slot in turn.slots:
            if slot.image is None:
                texts.append(slot.text)
                before = slot.text
                if found := _NUMBERED.match(slot.text):
                    noted[int(found[1])] = slot.text
                continue
            data = image_base64(json.loads(_part(view, turn.index, slot.path)))
            if data in known:
                whole.update(i for i, part in enumerate(parts, 1) if image_base64(json.loads(part)) == data)
            else:
                assert before.startswith("[image "), "a drawn picture without a note"
                if "shown smaller" in before:
                    found = _NUMBERED.match(before)
                    assert found is not None
                    whole.add(int(found[1]))
    answered = {call_id for turn in parse(view).turns for call_id in turn.result_call_ids}
    for text in texts:
        for found in _REFERS.finditer(text):
            # A part is shown beside a whole image, unless a compaction had no room for that; a note about an equal one
            # may refer to the line of that image.
            is_beside = "its part" in text and not session.cost_report().compactions
            named = whole if is_beside else whole | set(noted)
            assert int(found[1]) in named, f"{text[:200]} refers to what is not shown: {sorted(whole)}"
        for found in _CALL.finditer(text):
            assert found[1] in answered, text[:200]
        for ref in find_refs(text):
            session.expand(ref)
    for number, text in noted.items():
        refs = find_refs(text)
        assert refs and session.expand(refs[-1]) == parts[number - 1], (number, text[:200])


def common_tokens(before: Sequence[Any], after: Sequence[Any], model: str = "gpt-4o") -> int:
    """Returns the tokens of the messages at the start that two views have in common."""
    same = 0
    while same < min(len(before), len(after)) and dumped([before[same]]) == dumped([after[same]]):
        same += 1
    return count(after[:same], model)


def _part(messages: Sequence[Any], index: int, path: Any) -> str:
    from compressor.context.formats.json_values import part_json

    return part_json(messages[index], path)
