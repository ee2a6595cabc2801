"""The names under which the tools of many servers are offered."""

from __future__ import annotations

import re
from typing import Any

from compressor.mcp_proxy.exposed_tools import ToolNames, is_allowed
from support.property_tests import given, settings, st


def tool(name: str) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}}


def names(servers: dict[str, list[str]], **options: Any) -> list[str]:
    given_tools = {server: [tool(name) for name in tools] for server, tools in servers.items()}
    return [found.name for found in ToolNames(["find_tool"], **options).expose(given_tools)]


def test_only_names_that_several_servers_have_are_prefixed() -> None:
    assert names({"a": ["read", "echo"], "b": ["echo"]}) == ["read", "a__echo", "b__echo"]
    assert names({"a": ["read"], "b": ["echo"]}, always_prefix=True) == ["a__read", "b__echo"]


def test_reserved_invalid_and_long_names_are_replaced() -> None:
    found = names({"my files!": ["find_tool", "files.read", "x" * 80, "читать", ""]})
    assert found[:2] == ["my_files__find_tool", "my_files__files_read"] and len(set(found)) == 5
    assert found[2].startswith("my_files__xxx") and found[3] == "my_files__x"


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(st.text(max_size=70), st.lists(st.text(max_size=70), max_size=5), max_size=4),
    st.booleans(),
)
def test_names_are_unique_and_valid(servers: dict[str, list[str]], always_prefix: bool) -> None:
    found = names(servers, always_prefix=always_prefix)
    assert len(found) == len(set(found)) == sum(len(set(tools)) for tools in servers.values())
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) and name != "find_tool" for name in found)


def test_a_tool_keeps_its_name_when_others_come() -> None:
    tool_names = ToolNames([])
    assert [t.name for t in tool_names.expose({"a": [tool("echo")]})] == ["echo"]
    both = tool_names.expose({"a": [tool("echo")], "b": [tool("echo")]})
    assert [(t.name, t.server, t.original_name) for t in both] == [("echo", "a", "echo"), ("b__echo", "b", "echo")]
    assert [t.name for t in tool_names.expose({"b": [tool("echo")]})] == ["b__echo"]


def test_of_a_name_that_one_server_has_twice_the_first_is_used() -> None:
    first, second = {**tool("echo"), "description": "1"}, {**tool("echo"), "description": "2"}
    assert [t.tool["description"] for t in ToolNames([]).expose({"a": [first, second]})] == ["1"]


def test_patterns_allow_and_deny() -> None:
    assert (
        is_allowed("a", "read", [], []) and is_allowed("a", "read", ["r*"], []) and is_allowed("a", "read", ["a/*"], [])
    )
    assert not is_allowed("a", "read", ["write"], []) and not is_allowed("a", "read", ["b/*"], [])
    assert not is_allowed("a", "read", ["read"], ["*/read"]) and is_allowed("a", "READ", [], ["read"])
