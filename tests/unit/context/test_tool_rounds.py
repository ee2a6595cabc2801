"""Which messages stay or go together."""

from __future__ import annotations

from typing import Any

import pytest

from compressor.context.formats import detect_format
from compressor.context.tool_rounds import find_round_start, group_tool_rounds
from support.property_tests import given, settings, st
from support.strategies import anthropic_contexts, openai_chat_contexts, responses_contexts

USER = {"role": "user", "content": "Go on."}
SAID = {"role": "assistant", "content": "Done."}


def _groups(messages: list[Any], lenient: bool = False) -> list[list[int]]:
    return group_tool_rounds(detect_format(messages, lenient=lenient).parse(messages, lenient=lenient).turns)


def _call(call_id: str, **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}", **more}


def _output(call_id: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": "ok"}


REQUEST = {"type": "mcp_approval_request", "id": "a1", "name": "pay", "server_label": "bank", "arguments": "{}"}
RESPONSE = {"type": "mcp_approval_response", "approval_request_id": "a1", "approve": True}
PAIRS = [
    (REQUEST, RESPONSE),
    (
        {"type": "local_shell_call", "id": "l", "call_id": "c", "action": {"command": ["ls"]}},
        {"type": "local_shell_call_output", "id": "c", "output": "a.txt"},
    ),
    (
        {"type": "local_shell_call", "id": "l", "call_id": "c", "action": {"command": ["ls"]}},
        {"type": "local_shell_call_output", "id": "l", "output": "a.txt"},
    ),
    (
        {"type": "local_shell_call", "id": "l", "call_id": "c", "action": {"command": ["ls"]}},
        {"type": "local_shell_call_output", "call_id": "c", "output": "a.txt"},
    ),
    (
        {"type": "computer_call", "id": "x", "call_id": "c", "action": {"type": "screenshot"}},
        {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot", "file_id": "f"}},
    ),
    (
        {"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"]}},
        {"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "a.txt"}]},
    ),
    (
        {"type": "apply_patch_call", "call_id": "c", "operation": {"type": "delete_file", "path": "a"}},
        {"type": "apply_patch_call_output", "call_id": "c", "status": "completed"},
    ),
    (
        {"type": "tool_search_call", "call_id": "c", "execution": "client", "arguments": {"q": 1}},
        {"type": "tool_search_output", "call_id": "c", "execution": "client", "tools": []},
    ),
    ({"type": "program", "id": "p", "call_id": "c", "code": "x"}, {"type": "program_output", "call_id": "c"}),
    (_call("c"), _output("c")),
]
OPTIONAL = [PAIRS[i] for i in (0, 1, 7, 8)]


@pytest.mark.parametrize(("call", "output"), PAIRS)
def test_a_pair_stays_together_whoever_speaks_in_between(call: dict[str, Any], output: dict[str, Any]) -> None:
    messages = [USER, SAID, call, USER, output, USER]
    assert _groups(messages) == [[0], [1, 2, 4], [3], [5]]
    turns = detect_format(messages).parse(messages).turns
    assert turns[2].call_ids == turns[4].result_call_ids != ()


@pytest.mark.parametrize(("call", "output"), OPTIONAL)
def test_a_request_may_stay_without_an_answer(call: dict[str, Any], output: dict[str, Any]) -> None:
    messages = [USER, call]
    assert detect_format(messages).parse(messages).turns[1].call_ids  # it may still come
    for later in ([USER], [USER, call, output]):  # the id may be used again
        turns = detect_format([USER, call, *later]).parse([USER, call, *later]).turns
        assert turns[1].call_ids == ()
    turns = detect_format([USER, output, USER]).parse([USER, output, USER]).turns
    assert turns[1].result_call_ids == ()
    assert turns[1].role == "assistant"


def test_a_call_stays_with_its_approval_and_with_its_program() -> None:
    approved = {"type": "mcp_call", "id": "m", "approval_request_id": "a1", "name": "pay", "arguments": "{}"}
    assert _groups([USER, REQUEST, USER, RESPONSE, USER, approved]) == [[0], [1, 3, 5], [2], [4]]
    program = {"type": "program", "id": "p", "call_id": "pg", "code": "x"}
    caller = {"type": "program", "caller_id": "pg"}
    reasoning = {"type": "reasoning", "id": "r", "summary": []}
    rounds = [program, _call("c1", caller=caller), _output("c1"), reasoning, _call("c2", caller=caller), _output("c2")]
    end = {"type": "program_output", "call_id": "pg", "result": "ok"}
    assert _groups([USER, *rounds, end, USER]) == [[0], [1, 2, 3, 4, 5, 6, 7], [8]]


def test_an_output_stays_with_the_references_that_may_stand_for_its_call() -> None:
    reference = {"type": "item_reference", "id": "fc_1"}
    assert _groups([USER, reference, USER, _output("c"), USER]) == [[0], [1, 3], [2], [4]]


def test_a_providers_summary_is_a_group_of_its_own() -> None:
    summary = {"type": "compaction", "id": "c", "encrypted_content": "gAAA"}
    assert _groups([USER, SAID, summary, _call("c"), _output("c")]) == [[0], [1], [2], [3, 4]]


def test_ids_used_again() -> None:
    rounds = [_call("call_0"), _output("call_0")]
    assert _groups([USER, *rounds, *rounds, USER, *rounds]) == [[0], [1, 2], [3, 4], [5], [6, 7]]


def test_malformed_stretches() -> None:
    reasoning = {"type": "reasoning", "id": "r", "summary": []}
    dangling = [USER, SAID, _output("q"), _call("o"), USER, _call("c"), _output("c")]
    assert _groups(dangling, lenient=True) == [[0], [1], [2, 3], [4], [5, 6]]
    assert _groups([USER, reasoning, _call("o"), USER], lenient=True) == [[0], [1, 2], [3]]
    late = [USER, _call("o"), _output("o"), USER, _output("o"), _call("c"), _output("c")]
    assert _groups(late, lenient=True) == [[0], [1, 2, 4], [3], [5, 6]]
    assert _groups([_output("q"), USER, SAID, "x", _call("c"), _output("c")], lenient=True) == [
        [0],
        [1],
        [2],
        [3],
        [4, 5],
    ]


@settings(deadline=None)
@given(st.data())
def test_no_group_is_divided(data: st.DataObject) -> None:
    contexts = st.one_of(openai_chat_contexts(), responses_contexts(), anthropic_contexts())
    messages = [
        *data.draw(contexts),
        *data.draw(st.lists(st.sampled_from([USER, SAID, REQUEST, RESPONSE]), max_size=3)),
    ]
    turns = detect_format(messages, lenient=True).parse(messages, lenient=True).turns
    position = data.draw(st.integers(0, len(turns)))
    start = find_round_start(turns, position)
    assert 0 <= start <= position
    assert group_tool_rounds(turns) == [*group_tool_rounds(turns[:start]), *group_tool_rounds(turns[start:])]


def test_the_newest_round_begins_nearby() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    rounds = [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c", "content": "ok"}]
    messages = [USER, *rounds * 500]
    turns = detect_format(messages).parse(messages).turns
    assert [find_round_start(turns, i) for i in (1001, 1000, 999, 0)] == [1001, 999, 999, 0]
