"""How likely a call uses an optional parameter: by the parameter, the request, and the calls so far."""

from __future__ import annotations

from typing import Any

from compressor import Compressor
from compressor.pipeline.tools.argument_use import CERTAIN, ArgumentUse, PastCalls
from compressor.scoring.token_index import terms
from support.tool_schemas import LONG, chat, tools

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["owner"],
    "properties": {
        "owner": {"type": "string"},
        "title": {"type": "string", "description": "What it is called."},
        "state": {"type": "string", "enum": ["open", "closed"]},
        "due_date": {"type": "string", "description": "When it must be done."},
        "page": {"type": "integer", "default": 1},
        "per_page": {"type": "integer", "default": 30},
        "filter": {"type": "object", "properties": {"since": {"type": "string"}}},
    },
}


def _levels(request: str, calls: PastCalls | None = None) -> dict[str, int]:
    use = ArgumentUse("write", SCHEMA)
    found = use.levels(set(terms(request)), any(c.isdigit() for c in request), calls)
    return {".".join(path): level for path, level in zip(use.paths, found, strict=True)}


def test_what_the_request_names_is_likely() -> None:
    plain = _levels("do it")
    assert set(plain) == {"title", "state", "due_date", "page", "per_page", "filter", "filter.since"}
    assert _levels("the title")["title"] > plain["title"]
    assert _levels("all closed ones")["state"] > plain["state"]
    assert _levels("page 3")["page"] > plain["page"]
    assert _levels("by the due date")["due_date"] >= _levels("by that date")["due_date"] >= plain["due_date"]
    assert plain["title"] > plain["per_page"]
    assert max(plain.values()) <= CERTAIN and min(plain.values()) >= 0


def test_the_calls_so_far_count() -> None:
    calls = PastCalls([("write", ["owner", "per_page"]), ("write", ["owner", "per_page"])])
    learned, plain = _levels("do it", calls), _levels("do it")
    assert learned["per_page"] > plain["per_page"] and learned["title"] < plain["title"]
    elsewhere = PastCalls([("read", ["per_page"])] * 6)
    assert _levels("do it", elsewhere)["per_page"] > plain["per_page"]
    assert _levels("do it", elsewhere)["title"] == plain["title"]


def test_odd_schemas_have_no_parameters() -> None:
    odd: list[Any] = [None, 3, {"properties": []}, {"properties": {"a": 3}}, {"required": "x", "properties": {"a": {}}}]
    for schema in odd:
        use = ArgumentUse("f", schema)
        assert len(use.levels((), False)) == len(use.paths)
    assert not ArgumentUse("f", {"type": "object"}).paths


def test_arguments_of_earlier_calls_stay_listed(compressor: Compressor) -> None:
    names = ["page", "per_page", "cursor", "fields", "verbose", "locale", "color", "shape"]
    properties = {name: {"type": "string", "description": LONG} for name in ("number", *names)}
    pump = chat("get_pump", f"Looks up one pump by its number. {LONG}", properties, ["number"])
    given = [pump]

    def listed(keys: list[str], budget: int) -> set[str]:
        arguments = "{" + ", ".join(f'"{key}": "x"' for key in keys) + "}"
        call = {"id": "1", "type": "function", "function": {"name": "get_pump", "arguments": arguments}}
        messages = [
            {"role": "user", "content": "And the next pump?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": "on"},
        ]
        found = compressor.select_tools(given, budget, messages=messages)
        return set(found.tools[0]["function"]["parameters"]["properties"])

    budgets = range(36, 120, 3)
    with_locale = [("locale" in listed(["number", "locale"], budget)) for budget in budgets]
    without = [("locale" in listed(["number"], budget)) for budget in budgets]
    assert sum(with_locale) > sum(without)


def test_multi_method_tools_keep_what_their_calls_carry(compressor: Compressor) -> None:
    """A tool that requires only its method is of no use without the fields that the method writes."""
    fields = ["title", "body", "labels", "assignees", "state", "milestone", "type", "reason", "page", "per_page"]
    properties: dict[str, Any] = {name: {"type": "string", "description": f"The {name}. {LONG}"} for name in fields}
    properties["method"] = {
        "type": "string",
        "enum": ["create", "update"],
        "description": "What to do.\n- 'create' - makes a new record.\n- 'update' - changes an existing record.",
    }
    given = [chat("record_write", f"Creates or updates a record. {LONG}", properties, ["method"]), *tools()]
    result = compressor.select_tools(given, 500, query="create a record: the door is broken. Label it urgent")
    sent = result.tools[0]["function"]
    assert sent["name"] == "record_write"
    assert {"title", "body", "labels", "method"} <= sent["parameters"]["properties"].keys()
    assert "makes a new record" in sent["parameters"]["properties"]["method"].get("description", "")
