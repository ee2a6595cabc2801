"""Pickled and deep-copied agents and middleware, as Ray, Celery and `copy.deepcopy(agent)` make them."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import ToolMessage
from langgraph.checkpoint.memory import InMemorySaver

from compressor import Compressor
from compressor.context.refs import find_refs
from compressor.testing import ScriptedChatModel, count_shared_parts
from compressor_agents.langchain import BudgetExampleSelector, ContextDocumentCompressor
from support.client_tools import LOG, NEEDLE, TASK
from support.langchain_agents import TASK as PUMPS
from support.langchain_agents import (
    ask,
    check,
    create_agent,
    expand_call,
    log_of,
    middleware,
    scripted,
    search,
    thread,
)


def by_pickle(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


COPIES = pytest.mark.parametrize("copied", [by_pickle, copy.deepcopy])
Copied = Callable[[Any], Any]


@COPIES
def test_a_copied_middleware_goes_on_with_the_thread_of_its_original(copied: Copied, tmp_path: Any) -> None:
    saver, ours = InMemorySaver(), middleware(compressor=Compressor(store=str(tmp_path / "s.db")))
    model = scripted(8)
    create_agent(model, [search], middleware=[ours], checkpointer=saver).invoke({"messages": PUMPS}, thread())
    made = copied(ours)
    assert repr(made) == repr(ours) and made.cost_report("t") == ours.cost_report("t") and made.warnings == []
    assert [tool.name for tool in made.tools] == [tool.name for tool in ours.tools]
    ref = find_refs(str(model.requests[-1].messages[-1].content))[-1]
    again = ScriptedChatModel(script=[expand_call(ref), ask(90), "Done."])
    agent = create_agent(again, [search], middleware=[made], checkpointer=saver)
    out = agent.invoke({"messages": "And now?"}, thread())
    assert [m.content for m in out["messages"] if isinstance(m, ToolMessage)][-2] == log_of("pump 7")
    assert count_shared_parts(model.requests[-1], again.requests[0]) == len(model.requests[-1].wire)
    assert made.cost_report("t").calls > ours.cost_report("t").calls
    made._guard.warn("Only here.", None)
    assert made.warnings == ["Only here."] and ours.warnings == []


@COPIES
def test_a_copied_middleware_keeps_all_its_options(copied: Copied) -> None:
    options: dict[str, Any] = {"tools_budget": 400, "pinned_tools": ["search"], "examples_budget": 200}
    ours = middleware(5_000, compact_tool=True, name="second", tenant="one", never_compress=["read"], **options)
    made = copied(ours)
    assert [tool.name for tool in made.tools] == ["expand_context", "recall_context", "compact_now", "find_tool"]
    assert (made.name, made.tenant, made.budget, made.policy) == ("second", "one", 5_000, ours.policy)
    assert made.state_schema.__annotations__.keys() == ours.state_schema.__annotations__.keys()
    model = scripted(12)
    agent = create_agent(model, [search], middleware=[made], checkpointer=InMemorySaver())
    agent.invoke({"messages": PUMPS}, thread())
    check(model.requests, 5_000, made.cost_report("t").compactions)


def test_a_deep_copy_of_an_agent_goes_its_own_way_and_reads_what_was_cut() -> None:
    model, ours = scripted(8, "Done."), middleware()
    agent = create_agent(model, [search], middleware=[ours], checkpointer=InMemorySaver())
    agent.invoke({"messages": PUMPS}, thread())
    ref = find_refs(str(model.requests[-1].messages[-1].content))[-1]
    twin = copy.deepcopy(agent)
    twin_state = twin.get_state(thread()).values
    assert twin_state["messages"] == agent.get_state(thread()).values["messages"]
    out = create_agent(
        ScriptedChatModel(script=[expand_call(ref), "Done."]),
        [search],
        middleware=[copy.deepcopy(ours)],
        checkpointer=twin.checkpointer,
    ).invoke({"messages": "And now?"}, thread())
    assert log_of("pump 7") in [m.content for m in out["messages"] if isinstance(m, ToolMessage)]
    assert len(agent.get_state(thread()).values["messages"]) < len(out["messages"])


@COPIES
def test_a_copied_retriever_and_example_selector_work(copied: Copied) -> None:
    from langchain_core.documents import Document
    from langchain_core.prompts import PromptTemplate

    documents = [Document(f"Pump {n} was serviced on {n + 3} March. Its valve is V-{n * 731}.") for n in range(10)]
    short = ContextDocumentCompressor(budget=60, compressor=Compressor(store="memory"))
    query = "When was pump 7 serviced?"
    assert copied(short).compress_documents(documents, query) == short.compress_documents(documents, query)
    prompt = PromptTemplate.from_template("{input} => {output}")
    examples = [{"input": f"pump {i}", "output": f"valve {i}"} for i in range(9)]
    selector = BudgetExampleSelector(examples, budget=30, example_prompt=prompt)
    chosen = selector.select_examples({"input": "pump 7"})
    assert chosen and copied(selector).select_examples({"input": "pump 7"}) == chosen


@COPIES
def test_a_copied_filter_of_the_agents_sdk_goes_on_with_the_same_bytes(copied: Copied, compressor: Compressor) -> None:
    agents = pytest.importorskip("agents")
    from agents.run_config import CallModelData, ModelInputData

    from compressor_agents.openai_agents import CompressorFilter, expand_tool

    def see(compress: Any, items: list[Any]) -> list[Any]:
        agent = agents.Agent(name="a", model="gpt-4o", tools=[expand_tool(compress)])
        data: Any = CallModelData(model_data=ModelInputData(input=items, instructions="Hm."), agent=agent, context=None)
        return list(asyncio.run(compress(data)).input)

    call = {"type": "function_call", "call_id": "c1", "name": "read_log", "arguments": "{}"}
    items: list[Any] = [
        {"role": "user", "content": TASK},
        call,
        {"type": "function_call_output", "call_id": "c1", "output": LOG},
    ]
    compress = CompressorFilter(compressor, budget=32_000)
    before = see(compress, items)
    assert before != items
    made = copied(compress)
    assert made.cost_report() == compress.cost_report()
    after = see(made, [*items, {"role": "assistant", "content": "Hm."}, {"role": "user", "content": "And now?"}])
    assert after[: len(before)] == before
    assert (made.cost_report().calls, compress.cost_report().calls) == (2, 1)
    assert copied(expand_tool(compress)).name == "expand_context"


@COPIES
def test_a_copied_capability_of_pydantic_reads_what_was_cut_in_its_own_runs(
    copied: Copied, compressor: Compressor
) -> None:
    pytest.importorskip("pydantic_ai")
    from pydantic_ai import Agent
    from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart, ToolReturnPart
    from pydantic_ai.models.function import FunctionModel

    from compressor_agents.pydantic_ai import CompressHistory

    def play(messages: Any, info: Any) -> Any:
        results = [p for m in messages for p in m.parts if isinstance(p, ToolReturnPart)]
        if not results:
            return ModelResponse([ToolCallPart("read_log", {})])
        if len(results) == 1:
            ref = find_refs(str(results[0].content))[-1]
            return ModelResponse([ToolCallPart("expand_context", {"ref": ref})])
        return ModelResponse([TextPart(str(NEEDLE in str(results[1].content)))])

    def read_log() -> str:
        """Reads a log."""
        return LOG

    compress = CompressHistory(compressor)
    first = Agent(FunctionModel(play), tools=[read_log], capabilities=[compress])
    history = asyncio.run(first.run(TASK)).all_messages()
    made = copied(compress)
    assert made.cost_report() == compress.cost_report()
    second = Agent(FunctionModel(play), tools=[read_log], capabilities=[made])
    assert asyncio.run(second.run("Again?", message_history=history)).output == "True"
    assert asyncio.run(second.run("Read another log.")).output == "True"
    assert (made.cost_report().calls, compress.cost_report().calls) == (7, 3)  # each counts its own
