"""The budgets of tools and examples in LangChain, on real agents over several turns."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from compressor import Compressor
from compressor.tokens import get_counter
from support.many_tools import office_tools

pytest.importorskip("langchain")

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, SystemMessage, ToolMessage
from langchain_core.tools import StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import Field

from compressor.testing import ScriptedChatModel
from compressor_agents.langchain import ContextCompressorMiddleware

TOOLS = office_tools("mcp")
NAMES = [tool["name"] for tool in TOOLS]
THREAD: Any = {"configurable": {"thread_id": "t"}}
TASK = "Find me a flight to Rome on Friday."


def office(called: list[str]) -> list[StructuredTool]:
    def make(schema: dict[str, Any]) -> StructuredTool:
        def run(**arguments: Any) -> str:
            called.append(schema["name"])
            return "ok"

        async def arun(**arguments: Any) -> str:
            return run(**arguments)

        return StructuredTool.from_function(
            run, arun, name=schema["name"], description=schema["description"], args_schema=schema["inputSchema"]
        )

    return [make(schema) for schema in TOOLS]


class NotingModel(ScriptedChatModel):
    """Notes the names and the schemas of the tools that each request lists."""

    listed: list[list[str]] = Field(default_factory=list)
    schemas: list[list[Any]] = Field(default_factory=list)

    def bind_tools(self, tools: Any, **options: Any) -> Any:
        names = [t.name if hasattr(t, "name") else t.get("function", t).get("name", t.get("type")) for t in tools]
        self.listed.append(names)
        self.schemas.append([t if isinstance(t, dict) else convert_to_openai_tool(t) for t in tools])
        return super().bind_tools(tools, **options)


def call(name: str, **arguments: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": f"c-{name}"}])


@pytest.mark.parametrize("way", ["sync", "async"])
def test_sixty_tools_over_several_turns(way: str) -> None:
    called: list[str] = []
    script = [
        call("search_flight", words="Rome"),
        "Two flights.",
        call("find_tool", query="send somebody a link to a contract"),
        call("share_contract", number="C-1", email="a@b.example"),
        "Shared.",
        call("delete_lamp", number="L-1"),
        "Gone.",
        "Bye.",
    ]
    model = NotingModel(script=script, listed=[])
    middleware = ContextCompressorMiddleware(compressor=Compressor(store="memory"), tools_budget=700, model="gpt-4o")
    search: Any = {"type": "web_search_preview"}  # a tool of the provider
    tools: list[Any] = [*office(called), search]
    agent: Any = create_agent(model, tools, middleware=[middleware], checkpointer=InMemorySaver())
    state: Any = None
    for text in (TASK, "Now C-1 to Ann, please.", "Delete lamp L-1.", "Thanks."):
        given = {"messages": [{"role": "user", "content": text}]}
        state = agent.invoke(given, THREAD) if way == "sync" else asyncio.run(agent.ainvoke(given, THREAD))
    assert state["messages"][-1].text == "Bye." and called == ["search_flight", "share_contract", "delete_lamp"]
    found = next(m for m in state["messages"] if isinstance(m, ToolMessage) and m.name == "find_tool")
    assert "share_contract" in found.text and found.text.startswith("You can call these")
    lists = [set(names) for names in model.listed]
    assert len(lists) == 8 and all({"find_tool", "web_search_preview"} <= names for names in lists)
    assert all(len(names & set(NAMES)) < len(NAMES) for names in lists)
    assert "share_contract" not in lists[0] and "share_contract" in lists[3] and "delete_lamp" in lists[6]
    assert model.listed[1][: len(model.listed[0])] == model.listed[0]
    assert middleware.warnings == []


def test_all_tools_are_listed_if_their_names_fit() -> None:
    called: list[str] = []
    script = [call("find_tool", query="share a contract"), call("share_contract", number="C-1", email="a@b.example")]
    model = NotingModel(script=[*script, "Shared."], listed=[], schemas=[])
    middleware = ContextCompressorMiddleware(compressor=Compressor(store="memory"), tools_budget=1_700, model="gpt-4o")
    agent: Any = create_agent(model, office(called), middleware=[middleware], checkpointer=InMemorySaver())
    agent.invoke({"messages": [{"role": "user", "content": TASK}]}, THREAD)
    assert called == ["share_contract"] and middleware.warnings == []
    for names, schemas in zip(model.listed, model.schemas, strict=True):
        assert set(NAMES) < set(names) and names.count("find_tool") == 1
        assert get_counter("gpt-4o").count_tools(schemas) <= 1_700
    sizes = [
        {s["function"]["name"]: len(s["function"]["parameters"].get("properties", ())) for s in schemas}
        for schemas in model.schemas
    ]
    assert sizes[0]["search_flight"] > 0 and sizes[0]["share_contract"] == 0 and sizes[1]["share_contract"] >= 2


def test_the_warning_of_cut_examples_reaches_the_user(caplog: pytest.LogCaptureFixture) -> None:
    examples = "\n\n".join(
        f"<example>\nMessage {i}: please help me with the {word} number {i}\nIntent: {word}\n</example>"
        for i, word in enumerate(["card", "balance", "transfer", "alarm", "weather"] * 6)
    )
    prompt = f"You name the intent of a message. Examples:\n\n{examples}\n\nAnswer with the label alone."
    model = NotingModel(script=["weather", "card"], listed=[])
    middleware = ContextCompressorMiddleware(compressor=Compressor(store="memory"), examples_budget=0.3, model="gpt-4o")
    agent: Any = create_agent(
        model, [], system_prompt=SystemMessage(prompt), middleware=[middleware], checkpointer=InMemorySaver()
    )
    for text in ("Message: it rains\nIntent:", "Message: my card\nIntent:"):
        agent.invoke({"messages": [{"role": "user", "content": text}]}, THREAD)
    assert [text for text in middleware.warnings if "examples" in text]
