"""The scripted chat model: what it plays, what it remembers, how it streams and bills; and that it is loaded late."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

pytest.importorskip("langchain_core")

from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool

from compressor import CompressorError
from compressor.testing import ScriptedChatModel, call, count_shared_parts


@tool
def search(query: str) -> str:
    """Searches."""
    return query


def test_plays_a_list_in_order_and_says_when_it_is_over() -> None:
    model = ScriptedChatModel(script=[call("search", query="pumps"), "Four.", ValueError("no")])
    first = model.invoke("How many pumps?")
    assert first.tool_calls[0]["args"] == {"query": "pumps"}
    assert first.tool_calls[0]["id"]
    assert model.invoke("And?").content == "Four."
    with pytest.raises(ValueError, match="no"):
        model.invoke("Well?")
    with pytest.raises(CompressorError, match="3 replies, but this is request 4"):
        model.invoke("Hm?")


def test_plays_a_function_of_what_it_was_sent() -> None:
    model = ScriptedChatModel(script=lambda messages: f"{len(messages)} messages")
    assert model.invoke([SystemMessage("s"), HumanMessage("h")]).content == "2 messages"


def test_remembers_requests_as_they_were() -> None:
    model = ScriptedChatModel(script=["a", "b"])
    bound = model.bind_tools([search], tool_choice="any", strict=True)
    messages: list[Any] = [HumanMessage("h")]
    bound.invoke(messages)
    messages.append(AIMessage("later"))
    request = model.requests[0]
    assert [m.content for m in request.messages] == ["h"]
    assert [t["function"]["name"] for t in request.tools] == ["search"]
    assert request.settings == {"tool_choice": "any", "strict": True}
    assert len(request.wire) == 2
    assert request.tokens() > 20


def test_calls_get_ids_that_are_new_each_time_and_the_script_is_not_written_to() -> None:
    script = [call("search", query="x"), call("search", query="x")]
    model = ScriptedChatModel(script=script)
    ids = {model.invoke("same").tool_calls[0]["id"] for _ in range(2)}
    assert len(ids) == 2
    assert all(message.tool_calls[0]["id"] is None for message in script)


def test_streams_in_pieces_that_add_up() -> None:
    said = AIMessage(
        "Two words.", tool_calls=[{"name": "search", "args": {"query": "ä b"}, "id": "c1", "type": "tool_call"}]
    )
    chunks = list(ScriptedChatModel(script=[said]).stream("x"))
    assert len(chunks) == 5
    assert sum(bool(chunk.tool_call_chunks) for chunk in chunks) == 2
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert isinstance(whole, AIMessageChunk)
    assert whole.content == said.content
    assert whole.tool_calls == said.tool_calls
    assert whole.usage_metadata == ScriptedChatModel(script=[said]).invoke("x").usage_metadata


async def _stream(model: ScriptedChatModel) -> str:
    return "".join([str(chunk.content) async for chunk in model.astream("x")])


def test_streams_async() -> None:
    import asyncio

    assert asyncio.run(_stream(ScriptedChatModel(script=["Two words."]))) == "Two words."


def test_bills_the_prefix_that_it_has_seen() -> None:
    model = ScriptedChatModel(script=lambda messages: "ok")
    long = "Pump 4 leaks at valve V-221. " * 50
    history = [HumanMessage(long)]
    first = model.invoke(history).usage_metadata
    again = model.invoke([*history, AIMessage("ok"), HumanMessage("And now?")]).usage_metadata
    other = model.invoke([HumanMessage("x" + long)]).usage_metadata
    assert first and again and other
    assert first["input_token_details"] == {"cache_read": 0}
    assert again["input_token_details"]["cache_read"] >= 0.9 * first["input_tokens"]
    assert other["input_token_details"] == {"cache_read": 0}
    assert count_shared_parts(model.requests[0], model.requests[1]) == 1
    assert count_shared_parts(model.requests[0], model.requests[2]) == 0


def test_reuse_sees_a_changed_tool_result() -> None:
    model = ScriptedChatModel(script=lambda messages: "ok")
    asked = AIMessage("", tool_calls=[{"name": "search", "args": {}, "id": "c1", "type": "tool_call"}])
    for text in ("found", "found", "found!"):
        model.invoke([HumanMessage("h"), asked, ToolMessage(text, tool_call_id="c1")])
    one, two, three = model.requests
    assert count_shared_parts(one, two) == 3
    assert count_shared_parts(two, three) == 2


def test_nothing_is_loaded_before_a_name_is_used() -> None:
    code = """
import sys
import compressor.testing, compressor_agents.langchain
assert not any(m.partition(".")[0] in ("langchain", "langchain_core", "langgraph") for m in sys.modules)
sys.modules["langchain_core"] = None
for module, name, package in (
    (compressor.testing, "ScriptedChatModel", "langchain-core"),
    (compressor_agents.langchain, "ContextDocumentCompressor", "langchain-core"),
):
    try:
        getattr(module, name)
    except compressor.MissingDependencyError as error:
        assert package in str(error) and "[langchain]" in str(error), error
    else:
        raise SystemExit(f"no MissingDependencyError for {name}")
    try:
        module.nothing
    except AttributeError:
        pass
    else:
        raise SystemExit("no AttributeError")
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
