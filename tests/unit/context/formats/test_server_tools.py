"""What providers' own tools said, what they cited and what they encrypted: it is read, counted and never edited."""

from __future__ import annotations

from typing import Any

import pytest

from compressor.context.formats import detect_format
from compressor.context.model import Turn
from compressor.tokens import get_counter

USER = {"role": "user", "content": "Look it up."}
PAYLOAD = "Zx9k" * 1_400  # about 1,050 tokens


def _last(*messages: Any) -> Turn:
    return detect_format([USER, *messages]).parse([USER, *messages]).turns[-1]


def _blocks(*blocks: dict[str, Any]) -> dict[str, Any]:
    use = {"type": "server_tool_use", "id": "s1", "name": "tool", "input": {"query": "pumps", "user_id": "U-7"}}
    return {"role": "assistant", "content": [use, *blocks]}


def _result(kind: str, content: Any) -> dict[str, Any]:
    return {"type": kind, "tool_use_id": "s1", "content": content}


_FETCHED = {"type": "document", "title": "Doc", "source": {"type": "text", "media_type": "text/plain", "data": "MARK"}}
ANTHROPIC = [
    _result("bash_code_execution_tool_result", {"type": "bash_code_execution_result", "stdout": "MARK", "stderr": ""}),
    _result("code_execution_tool_result", {"type": "code_execution_result", "stdout": "", "stderr": "MARK"}),
    _result("text_editor_code_execution_tool_result", {"type": "view_result", "content": "MARK", "file_type": "text"}),
    _result("web_search_tool_result", [{"type": "web_search_result", "title": "MARK", "url": "https://e.org"}]),
    _result("web_search_tool_result", [{"type": "web_search_result", "title": "T", "url": "MARK"}]),
    _result("web_fetch_tool_result", {"type": "web_fetch_result", "url": "https://e.org", "content": _FETCHED}),
    _result("mcp_tool_result", [{"type": "text", "text": "MARK"}]),
    _result("mcp_tool_result", "MARK"),
    _result("tool_search_tool_result", {"tool_references": [{"type": "tool_reference", "tool_name": "MARK"}]}),
    _result("advisor_tool_result", {"type": "advisor_result", "text": "MARK"}),
    _result("a_tool_of_next_year_tool_result", {"type": "new", "said": ["MARK"]}),
]


@pytest.mark.parametrize("block", ANTHROPIC)
@pytest.mark.parametrize("langchain", [False, True])
def test_anthropic_server_tools_are_read(block: dict[str, Any], langchain: bool) -> None:
    message: Any = _blocks(block)
    if langchain:
        messages = pytest.importorskip("langchain_core.messages")
        message = messages.AIMessage(message["content"])
        turn = detect_format([message]).parse([message]).turns[0]
    else:
        turn = _last(message)
    assert "MARK" in turn.extras and '{"query": "pumps", "user_id": "U-7"}' in turn.extras
    assert "MARK" in turn.unedited_texts and not turn.slots


RESPONSES = [
    {"type": "web_search_call", "id": "w", "action": {"type": "search", "query": "MARK"}},
    {"type": "web_search_call", "id": "w", "action": {"type": "search", "sources": [{"type": "url", "url": "MARK"}]}},
    {"type": "file_search_call", "id": "f", "queries": ["q"], "results": [{"file_id": "f", "text": "MARK"}]},
    {"type": "mcp_call", "id": "m", "name": "n", "server_label": "s", "arguments": "{}", "output": "MARK"},
    {"type": "mcp_list_tools", "id": "m", "server_label": "s", "tools": [{"name": "MARK", "input_schema": {}}]},
    {"type": "code_interpreter_call", "id": "c", "code": "x", "outputs": [{"type": "logs", "logs": "MARK"}]},
    {"type": "image_generation_call", "id": "i", "result": PAYLOAD, "revised_prompt": "MARK"},
    {"type": "local_shell_call", "id": "l", "call_id": "c", "action": {"type": "exec", "command": ["MARK"]}},
    {"type": "local_shell_call_output", "id": "c", "output": "MARK"},
    {"type": "shell_call", "call_id": "c", "action": {"commands": ["MARK"]}},
    {"type": "apply_patch_call", "call_id": "c", "operation": {"type": "update_file", "path": "a", "diff": "MARK"}},
    {"type": "tool_search_output", "call_id": None, "tools": [{"type": "function", "name": "MARK"}]},
    {"type": "program", "id": "p", "call_id": "c", "code": "MARK", "fingerprint": PAYLOAD},
    {"type": "mcp_approval_request", "id": "a", "name": "n", "server_label": "s", "arguments": "MARK"},
    {"type": "mcp_approval_response", "approval_request_id": "a", "approve": False, "reason": "MARK"},
]


@pytest.mark.parametrize("item", RESPONSES)
def test_hosted_tools_are_read(item: dict[str, Any]) -> None:
    turn = _last(item)
    assert "MARK" in turn.extras and not turn.slots and turn.opaque_tokens == 0
    assert PAYLOAD not in turn.unedited_texts


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text", "text": "Yes.", "citations": [{"type": "char_location", "cited_text": "MARK"}]},
        {
            "type": "text",
            "text": "Yes.",
            "citations": [{"cited_text": "c", "title": "MARK", "encrypted_index": "Zx9k"}],
        },
        {"type": "output_text", "text": "Yes.", "annotations": [{"type": "url_citation", "title": "MARK", "url": "u"}]},
        {"type": "output_text", "text": "Yes.", "annotations": [{"type": "file_citation", "filename": "MARK"}]},
    ],
)
def test_citations_are_known_and_not_billed(part: dict[str, Any]) -> None:
    cited = _last({"role": "assistant", "content": [part]})
    plain = _last({"role": "assistant", "content": [{"type": part["type"], "text": "Yes."}]})
    assert "MARK" in cited.unbilled and "MARK" in cited.unedited_texts and not cited.extras
    counter = get_counter("claude-sonnet-4-5")
    assert counter.count_turn(cited, "any") == counter.count_turn(plain, "any")


def test_citations_of_chat_messages() -> None:
    cited = {"type": "url_citation", "url_citation": {"title": "MARK", "url": "https://e.org", "end_index": 3}}
    turn = _last({"role": "assistant", "content": "Yes.", "annotations": [cited]})
    assert turn.unbilled == ("MARK", "https://e.org") and not turn.extras


def test_langchain_older_versions_keep_tool_outputs_elsewhere() -> None:
    messages = pytest.importorskip("langchain_core.messages")
    message = messages.AIMessage("Yes.", additional_kwargs={"tool_outputs": RESPONSES[2:4]})
    (turn,) = detect_format([message]).parse([message]).turns
    assert turn.extras.count("MARK") == 2


def test_server_blocks_in_a_chat_history_do_not_make_it_another_format() -> None:
    call = {"role": "assistant", "content": "Reading.", "tool_calls": [CHAT_CALL]}
    result = {"role": "tool", "tool_call_id": "c", "content": "ok"}
    messages = [USER, {"role": "assistant", "content": [ANTHROPIC[6], SUMMARY]}, call, result]
    found = detect_format(messages)
    assert found.name == "openai_chat" and found.parse(messages).turns[1].is_summary
    assert detect_format(messages[:2]).name == "anthropic"


def _search(payload: str) -> dict[str, Any]:
    return _blocks(_result("web_search_tool_result", [{"type": "web_search_result", "encrypted_content": payload}]))


def _thinking(payload: str) -> dict[str, Any]:
    return _blocks({"type": "thinking", "thinking": "", "signature": payload})


@pytest.mark.parametrize(
    "encrypted",
    [
        _search,
        _thinking,
        lambda payload: _blocks({"type": "redacted_thinking", "data": payload}),
        lambda payload: _blocks(_result("advisor_tool_result", {"encrypted_content": payload})),
        lambda payload: _blocks(_result("code_execution_tool_result", {"encrypted_stdout": payload})),
        lambda payload: {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": payload},
        lambda payload: {"type": "compaction", "id": "r", "encrypted_content": payload},
    ],
)
def test_encrypted_payloads_are_counted(encrypted: Any) -> None:
    turn = _last(encrypted(PAYLOAD))
    assert turn.opaque_tokens == 1_050 and PAYLOAD not in turn.unedited_texts
    counter = get_counter("gpt-4o")
    assert counter.count_turn(turn, "any") - counter.count_turn(_last(encrypted("")), "any") == 1_050


def test_readable_reasoning_is_not_counted_twice() -> None:
    summary = [{"type": "summary_text", "text": "because " * 400}]  # 800 tokens of 1,050
    turn = _last({"type": "reasoning", "id": "r", "summary": summary, "encrypted_content": PAYLOAD})
    assert turn.opaque_tokens == 250 and len(turn.slots) == 1
    signed = _last(_blocks({"type": "thinking", "thinking": "Hm.", "signature": PAYLOAD}))
    assert signed.opaque_tokens == 0


CHAT_CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("fields", "payload"),
    [
        ({"reasoning_content": "Hm."}, 0),
        ({"reasoning": "Hm."}, 0),
        ({"reasoning": "Hm.", "reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]}, 0),
        ({"reasoning_details": [{"type": "reasoning.summary", "summary": "Hm."}]}, 0),
        ({"reasoning": "Hm.", "reasoning_details": [{"type": "reasoning.encrypted", "data": PAYLOAD}]}, 1_050),
        ({"reasoning_content": "Hm.", "thinking_blocks": [{"type": "thinking", "thinking": "Hm."}]}, 0),
    ],
)
@pytest.mark.parametrize("langchain", [False, True])
def test_reasoning_fields_count_once_beside_a_call(fields: dict[str, Any], payload: int, langchain: bool) -> None:
    def read(call: bool) -> Turn:
        if langchain:
            messages = pytest.importorskip("langchain_core.messages")
            calls = [{"id": "c", "name": "f", "args": {}}] if call else []
            message = messages.AIMessage("Ok.", tool_calls=calls, additional_kwargs=fields)
            return detect_format([message]).parse([message]).turns[0]
        return _last({"role": "assistant", "content": "Ok.", **({"tool_calls": [CHAT_CALL]} if call else {}), **fields})

    calling = read(call=True)
    thoughts = [slot for slot in calling.slots if slot.kind == "thinking"]
    assert [slot.text for slot in thoughts] == ["Hm."] and not thoughts[0].editable
    assert calling.opaque_tokens == payload
    alone = read(call=False)
    assert [slot.text for slot in alone.slots] == ["Ok."] and alone.unbilled == ("Hm.",) and not alone.opaque_tokens


SUMMARY = {"type": "compaction", "content": "Key K-77 was rotated."}


@pytest.mark.parametrize(
    "message",
    [
        {"type": "compaction", "id": "c", "encrypted_content": "gAAA"},
        {"type": "compaction_summary", "encrypted_content": "gAAA"},
        {"type": "context_compaction", "id": "c", "encrypted_content": "gAAA"},
        {"type": "item_reference", "id": "msg_1"},
        {"role": "assistant", "content": [SUMMARY]},
        {"role": "assistant", "content": [SUMMARY, {"type": "text", "text": "Going on."}]},
        {"role": "assistant", "content": [{"type": "compaction", "content": None, "encrypted_content": "gAAA"}]},
    ],
)
def test_a_providers_summary_is_told_from_other_messages(message: dict[str, Any]) -> None:
    turn = _last(message)
    assert turn.is_summary and turn.role == "assistant"
    assert ("Key K-77 was rotated." in turn.unedited_texts) == ("K-77" in str(message))


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": [{"type": "compaction", "content": None}, {"type": "text", "text": "a"}]},
        {"type": "compaction_trigger"},
        {"role": "assistant", "content": "compaction"},
    ],
)
def test_no_summary(message: dict[str, Any]) -> None:
    assert not _last(message).is_summary


def test_a_tools_result_cannot_be_a_summary() -> None:
    use = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]}
    turn = _last(use, {"role": "user", "content": [_result("tool_result", [SUMMARY]) | {"tool_use_id": "t"}]})
    assert not turn.is_summary and "Key K-77 was rotated." in turn.extras


@pytest.mark.parametrize("block", [SUMMARY, {"type": "non_standard", "value": SUMMARY}])
def test_langchain_summaries(block: dict[str, Any]) -> None:
    messages = pytest.importorskip("langchain_core.messages")
    message = messages.AIMessage([block, {"type": "text", "text": "Going on."}])
    (turn,) = detect_format([message]).parse([message]).turns
    assert turn.is_summary and turn.extras == ("Key K-77 was rotated.",)


def test_added_tools_stay_like_system_messages() -> None:
    turn = _last({"type": "additional_tools", "role": "developer", "tools": [{"type": "function", "name": "f"}]})
    assert turn.role == "system" and turn.extras == ("f",)


def test_fixed_parts_are_counted_and_never_edited() -> None:
    inner: list[dict[str, Any]] = [
        {"type": "text", "text": "Kept."},
        {"type": "image", "source": {"type": "url", "url": "u"}},
    ]
    content: list[dict[str, Any]] = [{"type": "compressor_fixed", "content": inner}, {"type": "text", "text": "Free."}]
    turn = _last(_blocks(*content))
    assert [(slot.text, slot.editable) for slot in turn.slots] == [("Kept.", False), ("", False), ("Free.", True)]
