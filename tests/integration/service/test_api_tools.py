"""The budget of tool schemas in the HTTP API: for one call, for a gateway's conversation, and in sessions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compressor import Compressor
from compressor.tokens import get_counter
from support.many_tools import office_tools

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from support.service_tools import Service, error_of, history

TOOLS = office_tools()
ASKED = [{"role": "user", "content": "Find me a flight to Rome on Friday."}]


def names(tools: list[Any]) -> list[str]:
    return [tool.get("function", tool)["name"] for tool in tools]


def tokens(tools: list[Any], model: str = "gpt-4o") -> int:
    return get_counter(model).count_tools(tools)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service() as running:
        yield running


@pytest.mark.parametrize("kind", ["chat", "responses", "messages", "mcp"])
def test_tools_of_one_call(service: Service, kind: str) -> None:
    tools = office_tools(kind)
    asked = {"tools": tools, "budget": 900, "messages": ASKED, "model": "gpt-4o", "pinned": ["share_visa"]}
    answer = service.http.post("/v1/tools", json=asked)
    assert answer.status_code == 200, answer.text
    made = answer.json()
    want = Compressor(store="memory").select_tools(tools, 900, None, ASKED, ["share_visa"], None, "gpt-4o")
    assert made["tools"] == want.tools and made["tokens_after"] == tokens(made["tools"]) <= 900
    assert made["tokens_before"] == tokens(tools) and made["tokens_saved"] == tokens(tools) - made["tokens_after"]
    assert made["warnings"] == [] and len(made["reports"]) == len(tools)
    pinned = next(report for report in made["reports"] if report["name"] == "share_visa")
    assert pinned["action"] == "pinned" and tools[-1] in made["tools"]
    for report in made["reports"][:5]:
        if report["ref"]:
            original = service.http.get(f"/v1/retrieve/{report['ref']}").json()["original_content"]
            assert json.loads(original) == tools[report["index"]]
    assert set(made["refs"]) == {report["ref"] for report in made["reports"] if report["ref"]}


def test_a_query_a_fraction_and_a_forced_tool(service: Service) -> None:
    forced = {"type": "function", "function": {"name": "archive_song"}}
    asked = {"tools": TOOLS, "budget": 0.2, "query": "delete a recipe", "tool_choice": forced}
    made = service.http.post("/v1/tools", json=asked).json()
    assert made["tokens_after"] <= 0.2 * made["tokens_before"] and "delete_recipe" in names(made["tools"])
    assert next(tool for tool in TOOLS if names([tool]) == ["archive_song"]) in made["tools"]
    assert service.metric("compressions_total", kind="tools") > 0


@pytest.mark.parametrize(
    ("wrong", "status", "kind"),
    [
        ({}, 422, "invalid_request"),
        ({"tools": "all"}, 422, "invalid_request"),
        ({"tools": ["find"]}, 422, "invalid_request"),
        ({"tools": TOOLS, "budget": True}, 422, "invalid_request"),
        ({"tools": TOOLS, "budget": 0}, 400, "invalid_budget"),
        ({"tools": TOOLS, "budget": 1.5}, 400, "invalid_budget"),
        ({"tools": TOOLS, "budget": 5}, 422, "budget_too_small"),
        ({"tools": TOOLS, "budget": 900, "pinned": ["find_me"]}, 400, "invalid_context"),
        ({"tools": [TOOLS[0], TOOLS[0]]}, 400, "invalid_context"),
        ({"tools": [{"type": "function", "function": {}}]}, 400, "invalid_context"),
        ({"tools": TOOLS, "budget": 900, "messages": [{"content": 1}]}, 400, "invalid_context"),
    ],
)
def test_bad_requests_are_refused(service: Service, wrong: dict[str, Any], status: int, kind: str) -> None:
    answer = service.http.post("/v1/tools", json=wrong)
    assert (answer.status_code, error_of(answer)) == (status, kind), answer.text


def test_a_context_with_its_tools(service: Service) -> None:
    body: dict[str, Any] = {"messages": history(), "tools": [*TOOLS, *_read_log()], "model": "gpt-4o", "budget": 3_000}
    plain = service.http.post("/v1/compress", json={**body, "budget": 7_000}).json()
    assert "tools" not in plain
    made = service.http.post("/v1/compress", json={**body, "tools_budget": "20%"}).json()
    assert tokens(made["tools"]) <= 0.2 * tokens(body["tools"]) and "read_log" in names(made["tools"])
    assert made["tokens_before"] == plain["tokens_before"] and made["tokens_after"] <= 3_000
    ref = next(ref for ref in made["refs"] if ref not in plain["refs"])
    assert service.http.get(f"/v1/retrieve/{ref}").status_code == 200
    for wrong, kind in (("most", "invalid_budget"), (3, "budget_too_small")):
        assert error_of(service.http.post("/v1/compress", json={**body, "tools_budget": wrong})) == kind


def _read_log() -> list[Any]:
    schema = {"type": "object", "properties": {}}
    return [{"type": "function", "function": {"name": "read_log", "description": "Reads.", "parameters": schema}}]


def test_a_gateways_conversation_lists_the_same_tools(service: Service) -> None:
    body: dict[str, Any] = {"messages": ASKED, "model": "gpt-4o", "tools": TOOLS, "tools_budget": 900}
    first = service.http.post("/v1/compress", json=body).json()
    assert first["tokens_after"] < first["tokens_before"] and tokens(first["tools"]) <= 900
    more = [*ASKED, {"role": "assistant", "content": "Two flights."}, {"role": "user", "content": "Thanks."}]
    again = service.http.post("/v1/compress", json={**body, "messages": more}).json()
    assert again["tools"] == first["tools"] and "find_tool" not in names(again["tools"])
    small = service.http.post("/v1/compress", json={**body, "tools_budget": 3}).json()  # a gateway waits
    assert small["messages"] == ASKED and small["warnings"] == ["not compressed: budget_too_small"]


def call(name: str, arguments: dict[str, Any], call_id: str) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": call_id, "type": "function", "function": function}],
    }


def test_a_session_keeps_its_tools(tmp_path: Path) -> None:
    store = str(tmp_path / "s.db")
    with Service(store=store) as service, Service(store=store) as other:

        def post(what: str, at: Service = service, **body: Any) -> Any:
            answer = at.http.post(f"/v1/sessions/office/{what}", json=body)
            assert answer.status_code == 200, answer.text
            return answer.json()

        given: dict[str, Any] = {
            "model": "gpt-4o",
            "tools": TOOLS,
            "tools_budget": 600,
            "pinned_tools": ["archive_lamp"],
        }
        post("append", messages=ASKED, **given)
        first = post("view")
        assert "find_tool" in names(first["tools"]) and tokens(first["tools"]) <= 600
        assert next(tool for tool in TOOLS if names([tool]) == ["archive_lamp"]) in first["tools"]
        report = first["cost_report"]
        assert report["baseline_last"] - report["actual_last"] == tokens(TOOLS) - tokens(first["tools"])
        assert post("view")["tools"] == first["tools"]
        assert post("view", at=other)["tools"] == first["tools"]  # another worker continues
        missing = [name for name in names(TOOLS) if name not in names(first["tools"])][-1]
        question = missing.replace("_", " ")
        text = post("find_tool", at=other, query=question)["text"]
        assert missing in text and post("find_tool", query=question)["text"] == text
        answered = {"role": "tool", "tool_call_id": "c1", "content": text}
        post("append", at=other, messages=[call("find_tool", {"query": question}, "c1"), answered])
        found = post("view")["tools"]
        assert missing in names(found) and found[: len(first["tools"])] == first["tools"]
        assert post("view", at=other)["tools"] == found


def test_a_session_refuses_what_makes_no_sense(service: Service) -> None:
    begin = {"messages": ASKED, "tools": TOOLS}
    for wrong, kind in ((0, "invalid_budget"), ("many", "invalid_budget"), (True, "invalid_request")):
        answer = service.http.post("/v1/sessions/wrong/append", json={**begin, "tools_budget": wrong})
        assert error_of(answer) == kind
        assert service.http.post("/v1/sessions/wrong/view", json={}).status_code == 404
    assert service.http.post("/v1/sessions/small/append", json={**begin, "tools_budget": 5}).status_code == 200
    assert error_of(service.http.post("/v1/sessions/small/view", json={})) == "budget_too_small"
    made = service.http.post("/v1/sessions/small/view", json={"best_effort": True}).json()
    assert made["tools"] == TOOLS and made["warnings"] == ["tools not cut: BudgetTooSmallError"]
    assert service.http.post("/v1/sessions/plain/append", json=begin).status_code == 200
    assert "tools" not in service.http.post("/v1/sessions/plain/view", json={}).json()
    assert error_of(service.http.post("/v1/sessions/plain/find_tool", json={"query": "x"})) == "compressor_error"
    assert service.http.post("/v1/sessions/none/find_tool", json={"query": "x"}).status_code == 404
