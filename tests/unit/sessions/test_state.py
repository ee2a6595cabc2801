"""The state of a session as data: exact inverses, and fields of newer programs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor import Compressor, CompressorError
from compressor.sessions import Conversation
from compressor.sessions.state import VERSION, MessageRecord, SessionCounters, SessionState
from support.session_tools import conversation

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def unknown_fields(kind: type[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Fields of a newer program, one of which may have the name of the field that keeps them."""
    known = {*kind.__dataclass_fields__, "version"} - {"unknown"}
    return st.dictionaries(st.text(max_size=12).filter(lambda name: name not in known), JSON, max_size=4)


def state() -> dict[str, Any]:
    messages = conversation(4, sentences=200)
    session = Conversation(Compressor(store="memory"), budget=4_000)
    session.append(*messages)
    session.view()
    data: dict[str, Any] = json.loads(json.dumps(session.state))
    return data


STATE = state()


@given(
    unknown_fields(SessionState),
    unknown_fields(SessionCounters),
    st.lists(unknown_fields(MessageRecord), min_size=len(STATE["records"]), max_size=len(STATE["records"])),
)
def test_fields_of_a_newer_program_are_kept_and_written_back(
    top: dict[str, Any], counters: dict[str, Any], records: list[dict[str, Any]]
) -> None:
    data = {
        **STATE,
        **top,
        "counters": {**STATE["counters"], **counters},
        "records": [{**old, **new} for old, new in zip(STATE["records"], records, strict=True)],
    }
    read = SessionState.from_json(data)
    assert read.to_json() == data
    assert SessionState.from_json(json.loads(json.dumps(read.to_json()))) == read


def test_an_older_worker_carries_the_fields_of_a_newer_one_through_its_changes() -> None:
    compressor, messages = Compressor(store="memory"), conversation(12, sentences=60)
    first = Conversation(compressor, budget=3_000)
    first.append(*messages[:9])
    data = first.state
    data["receipts"], data["counters"]["refunds"] = [{"compaction": 1}], 3
    data["records"][0]["layer"] = "rules"
    data["records"][-1]["layer"] = "open item"
    second = Conversation(compressor, budget=3_000, state=data)
    second.restore([], list(first.messages))
    second.append(*messages[9:])
    second.view()
    second.compact()
    now = second.state
    assert now["receipts"] == [{"compaction": 1}] and now["counters"]["refunds"] == 3
    assert now["records"][0]["layer"] == "rules"


@pytest.mark.parametrize(
    "change",
    [
        {"count": "three"},
        {"records": [{"digest": "x"}]},
        {"records": [["index", 1]]},
        {"counters": {"calls": None}},
        {"compact_requested": 1},
        {"scopes": [1]},
        {3: "a field without a name"},
    ],
)
def test_a_damaged_known_field_is_still_an_error(change: dict[Any, Any]) -> None:
    with pytest.raises(CompressorError, match="damaged"):
        SessionState.from_json({**STATE, **change})


def test_another_version_is_an_error() -> None:
    with pytest.raises(CompressorError, match="upgrade this program"):
        SessionState.from_json({**STATE, "version": VERSION + 1})


def test_the_journal_of_a_session_carries_the_fields_of_a_newer_program(tmp_path: Any) -> None:
    data = Compressor(store="memory").session("a").export()
    data["state"]["receipts"], data["state"]["counters"]["refunds"] = [{"compaction": 1}], 3
    path = str(tmp_path / "s.db")
    session = Compressor(store=path).import_session(data, budget=3_000)
    session.append(*conversation(20))
    session.view()
    again = Compressor(store=path).session("a", budget=3_000)
    again.append({"role": "assistant", "content": "Done."})
    for one in (session, again.fork("b")):
        now = one.export()["state"]
        assert now["receipts"] == [{"compaction": 1}] and now["counters"]["refunds"] == 3
