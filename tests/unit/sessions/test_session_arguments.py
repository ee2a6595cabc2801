"""What sessions, policies and exports say of arguments that make no sense."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from compressor import Compressor, CompressorError
from compressor.context.refs import find_refs
from compressor.sessions import Policy, ToolRule
from support.session_tools import conversation, said, text, words_of


@pytest.mark.parametrize(
    "options",
    [
        *(
            {"model": 7},
            {"model": []},
            {"policy": "x"},
            {"policy": {"target": ("tokens", 1)}},
            {"tools": "x"},
            {"tools": 7},
        ),
        *({"budget": []}, {"tools": {"look": {}}}, {"tenant": 7}, {"id": 7}, {"id": ""}),
    ],
)
def test_wrong_options(c: Compressor, options: Any) -> None:
    with pytest.raises(CompressorError):
        c.session(**{"id": "a", **options})


@pytest.mark.parametrize(
    "options",
    [
        *(
            {"target": "x"},
            {"target": 1_000},
            {"target": ("tokens", 1.5)},
            {"trigger": ("fraction", float("inf"))},
            {"trigger": "price"},
            {"preset": "cheap"},
            {"tool_result_keep_fraction": "x"},
            {"keep": None},
        ),
        *({"tools": "x"}, {"tools": {"look": 5}}, {"pricing": "x"}, {"summarizer": 5}),
    ],
)
def test_wrong_policies(options: Any) -> None:
    with pytest.raises(CompressorError):
        Policy(**options)


def test_a_policy_from_plain_data() -> None:
    data = {"target": ["tokens", 500], "tools": {"look": {"never_compress": True}, "*": ToolRule(max_tokens=9)}}
    tools = {"look": ToolRule(never_compress=True), "*": ToolRule(max_tokens=9)}
    assert Policy.from_dict(data) == Policy(target=("tokens", 500), tools=tools)
    with pytest.raises(CompressorError, match=r"Policy has no field 'low'; its fields are ingest, .*trigger"):
        Policy.from_dict({"low": 1})
    with pytest.raises(CompressorError, match="ToolRule has no field 'keep'; its fields are never_compress, max_tok"):
        Policy.from_dict({"tools": {"look": {"keep": True}}})
    wrong: list[Any] = [None, [], {"tools": {"look": 5}}, {"tools": 5}, {1: 2}]
    for bad in wrong:
        with pytest.raises(CompressorError):
            Policy.from_dict(bad)


def test_a_dict_is_no_policy(c: Compressor) -> None:
    with pytest.raises(CompressorError, match="policy must be a Policy, such as"):
        c.session("a", policy={"low": 1})  # type: ignore[arg-type]


@pytest.mark.parametrize("id", ["a/b", "../x", "ü\ud800", "x" * 10**5, "\0", " "])
def test_any_text_is_an_id(c: Compressor, id: str) -> None:
    c.session(id, tenant=id).append(*said("Hello."))
    assert words_of(c.session(id, tenant=id)) == ["Hello."]


def test_wrong_arguments(c: Compressor) -> None:
    session = c.session("a")
    session.append(*conversation(1, sentences=200))
    (ref,) = find_refs(text(session.view()))
    wrong: list[Callable[[], Any]] = [
        lambda: session.append(m for m in said("x")),
        lambda: session.append(said("x")),
        lambda: session.sync(m for m in said("x")),  # type: ignore[arg-type]
        lambda: session.sync(said("x"), tools="x"),
        lambda: session.expand(int(ref)),  # type: ignore[arg-type]
        lambda: session.expand(ref, query=7),  # type: ignore[arg-type]
        lambda: session.expand(ref, budget=0),
        lambda: session.expand(ref, budget="9"),  # type: ignore[arg-type]
        lambda: session.recall(None),  # type: ignore[arg-type]
        lambda: session.fork(""),
        lambda: ToolRule(max_tokens="5"),  # type: ignore[arg-type]
    ]
    before = session.export()
    for call in wrong:
        with pytest.raises(CompressorError):
            call()
    assert session.export() == before


def test_wrong_exports(c: Compressor) -> None:
    session = c.session("a")
    session.append(*conversation(1, sentences=200))
    data = json.loads(json.dumps(session.export()))
    state = data["state"]
    wrong: list[Any] = [
        None,
        {**data, "messages": [7] * len(data["messages"])},
        {**data, "front": [7]},
        {**data, "originals": {"grant:x:y": ""}},
        {**data, "originals": {"000000000000": "another text"}},
        {**data, "originals": ["abc"]},
        {**data, "model": []},
        {**data, "state": {**state, "count": "x"}},
        {**data, "state": {**state, "page_refs": 7}},
        {**data, "state": {**state, "counters": {"calls": "x"}}},
    ]
    other = Compressor(store="memory")
    for bad in wrong:
        with pytest.raises(CompressorError):
            other.import_session(bad)
    assert other.import_session(data).view() == session.view()
