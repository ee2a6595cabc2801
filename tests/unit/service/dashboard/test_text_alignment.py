"""Which parts of a tool result the page shows as kept, as folded and as dropped, after the real compression."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from compressor import Compressor
from compressor.sessions.state import SessionState
from compressor.text.lossless import encode_losslessly
from support.alignment_texts import UNIQUE, results
from support.cpu_time import cpu_time_below

pytest.importorskip("fastapi")

from compressor.service.dashboard import session_inspector, text_alignment
from compressor.service.dashboard.session_inspector import SessionInspector
from compressor.service.dashboard.token_alignment import align_sequences


def inspect(text: str) -> dict[str, Any]:
    """The block of a tool result in a session, as the page gets it."""
    compressor = Compressor(store="memory")
    session = compressor.session("s", model="gpt-4o")
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    session.append(
        {"role": "user", "content": "find the late orders"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": text},
    )
    session.view()
    data = session.export(originals=False)
    state = SessionState.from_json(data["state"])
    inspector = SessionInspector(compressor.store, "gpt-4o", data["front"], data["messages"], state)
    block: dict[str, Any] = inspector.message(2, original=True)["blocks"][0]
    return block


def check(name: str, text: str, block: dict[str, Any]) -> None:
    """What is marked dropped is absent from what was sent, what is marked kept or folded is there."""
    parts, sent = block["parts"], block["sent"]
    assert "".join(part["text"] for part in parts) == text, name
    inside = set(UNIQUE.findall(sent))
    twice = {word for word, count in Counter(UNIQUE.findall(text)).items() if count > 1}
    for part in parts:
        assert part["kind"] in ("kept", "folded", "dropped", "space"), name
        found = UNIQUE.findall(part["text"])
        if part["kind"] == "dropped" and "reason" not in part:
            assert not inside.intersection(word for word in found if word not in twice), (name, part["text"][:200])
        if part["kind"] in ("kept", "folded"):
            assert inside.issuperset(found), (name, part["text"][:200])
        if part["kind"] == "kept":
            assert part["text"] in sent, (name, part["text"][:200])


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_marks_are_true_for_all_formats(seed: int) -> None:
    for name, text in results(seed, 240):
        block = inspect(text)
        assert block["action"] == "excerpt", name
        check(name, text, block)
        kinds = [part["kind"] for part in block["parts"]]
        # One chip for each stretch that went, none for each key.
        assert 0 < kinds.count("dropped") <= kinds.count("kept") + kinds.count("folded") + 1, name
        if name.startswith("json"):
            assert "folded" in kinds, name
            assert not any('"id": "w' in part["text"] for part in block["parts"] if part["kind"] == "kept"), name


def test_keys_of_a_table_are_folded_and_no_value_is_lost() -> None:
    """300 rows whose keys stand once in a header: 2,264 parts, three chips a row, where only keys and notes went."""
    note = "refund {} for order {}"
    rows = [{"id": i, "name": f"u{i}", "state": "open", "note": note.format(i * 7919, i)} for i in range(300)]
    block = inspect(json.dumps(rows))
    dropped = [part["text"] for part in block["parts"] if part["kind"] == "dropped"]
    assert len(block["parts"]) < 700
    assert not any(text.strip(' ,:"{}[]') in ("id", "name", "state", "note", "open", "") for text in dropped)


@pytest.mark.slow
def test_large_originals_are_marked() -> None:
    """Above 400,000 characters a block said that everything had been dropped."""
    for name, text in results(3, 4_000):
        if name in ("json", "prose"):
            assert len(text) > 400_000
            with cpu_time_below(60, name):
                block = inspect(text)
            kinds = {part["kind"] for part in block["parts"]}
            assert "dropped" in kinds and kinds & {"kept", "folded"}, name
            check(name, text, block)


def test_what_is_too_long_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_alignment, "MAX_ORIGINAL_CHARS", 1_000)
    text = next(text for name, text in results(4, 240) if name == "log")
    block = inspect(text)
    (part,) = block["parts"]
    assert part["kind"] == "unmarked" and part["reason"] == session_inspector._TOO_LONG and part["chars"] == len(text)


def test_lossless_notations_are_folded() -> None:
    """The notations of `text.lossless`, of which a part was cut out."""
    lines = [
        f"2015-07-29 21:34:{i:02},452 - INFO  [main:Server@595] - Established session 0x{i * 7919:x} for /10.1.1.{i}"
        for i in range(60)
    ]
    text = "\n".join([*["Cloning test database ..."] * 30, *lines, "the end of it all"])
    encoded, names = encode_losslessly(text)
    assert names == ("runs", "templates")
    shown = encoded.split("\n")
    sent = "\n".join([*shown[:20], "[…cut ref 123456789012]", *shown[40:]])
    spans = text_alignment.align_spans(text, sent)
    folded = "".join(text[start:end] for start, end, kind in spans if kind == "folded")
    assert folded.count("Established session") == 40
    for start, end, kind in spans:
        assert kind == "folded" or text[start:end] in sent
    kept = "".join(text[start:end] for start, end, _ in spans)
    assert kept.count("Established session") == 40 and kept.count("Cloning") == 30 and "the end of it all" in kept


def test_sequences_are_aligned_in_about_linear_time() -> None:
    ours = [str(i % 1000 if i % 7 else i) for i in range(200_000)]
    theirs = [item for i, item in enumerate(ours) if i % 50 < 3]
    with cpu_time_below(10):
        pairs = align_sequences(ours, theirs)
    assert all(ours[i] == theirs[j] for i, j in pairs) and pairs == sorted(pairs)
    assert len(pairs) > 0.9 * len(theirs)
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(pairs))
