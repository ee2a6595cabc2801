"""What the dashboard says about the texts of a session: each is accounted for, letter for letter."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from compressor import Compressor
from support.example_files import recorded
from support.property_tests import given, settings, st

pytest.importorskip("prometheus_client")

from compressor.service.dashboard import text_alignment
from compressor.service.dashboard.session_inspector import SessionInspector
from compressor.sessions.state import SessionState


@settings(max_examples=200)
@given(st.text(st.sampled_from('ab1\n …{}",:[]'), max_size=80), st.data())
def test_kept_spans_are_letter_for_letter_in_both(original: str, data: st.DataObject) -> None:
    left = data.draw(st.one_of(st.text(st.sampled_from('ab1\n …{}",:[]'), max_size=60), st.just(original)))
    found = text_alignment.align_spans(original, left)
    assert all(0 <= span.start < span.end <= len(original) for span in found)
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert all(original[span.start : span.end] in left for span in found if span.kind == "kept")


@pytest.mark.parametrize(("name", "budget"), [("coding", None), ("coding", 6000), ("airline", 3000)])
def test_every_message_of_a_session_is_accounted_for_and_comes_back_whole(name: str, budget: int | None) -> None:
    messages, compressor = recorded(name), Compressor(store="memory")
    session = compressor.session("s", model="gpt-4o", budget=budget)
    for message in messages:
        if message["role"] == "assistant":
            session.view()
        session.append(message)
    view = session.view()
    data = session.export(originals=False)
    anatomy = SessionInspector(
        compressor.store, "gpt-4o", data["front"], data["messages"], SessionState.from_json(data["state"])
    )
    rows = anatomy.rows()
    assert [row["number"] for row in rows] == list(range(-1, len(messages) - 1)) and not anatomy.missing
    actions = {row["action"] for row in rows}
    assert {"kept", "excerpt" if name == "coding" else "evicted"} <= actions and (budget is None or "index" in actions)
    sent = json.dumps(view, ensure_ascii=False)
    for row, message in zip(rows, messages, strict=True):
        told = anatomy.message(row["number"], original=True)
        assert row["reason"] or row["action"] == "kept"
        for block in told["blocks"]:
            whole = "".join(part["text"] for part in block["parts"])
            if block["kind"] != "tool_call":
                assert whole == (message["content"] or ""), row
            kept = [part["text"] for part in block["parts"] if part["kind"] == "kept"]
            assert all(json.dumps(text, ensure_ascii=False)[1:-1] in sent for text in kept if block["action"] == "kept")
            assert all(text in block["sent"] for text in kept if block["action"] == "excerpt")
            for ref in block["refs"]:
                assert session.expand(ref)
        short = anatomy.message(row["number"])
        hidden = [part for block in short["blocks"] for part in block["parts"] if part["kind"] == "dropped"]
        assert all("text" not in part and part["tokens"] > 0 for part in hidden)
