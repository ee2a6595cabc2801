"""The filter and the tool for the OpenAI Agents SDK, with its real Runner against a real local server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from compressor import BudgetTooSmallError, Compressor
from compressor.sessions.compact_tool import COMPACT_ANSWER
from support.client_scenarios import ABOVE_BUDGET, NO_COMPACTION, READ, FullStore, expand, sent
from support.client_tools import LOG, NEEDLE, TASK, ref_in
from support.scripted_server import Call, Reply, Request, ScriptedServer

agents = pytest.importorskip("agents")
openai = pytest.importorskip("openai")

from compressor_agents.openai_agents import CompressorFilter, context_tools, expand_tool  # noqa: E402

LOOP = asyncio.new_event_loop()  # one for all: clients keep their connections
agents.set_tracing_disabled(True)


@agents.function_tool  # type: ignore[untyped-decorator,unused-ignore]
def read_log(path: str) -> str:
    """Reads a log."""
    return LOG


def run_agent(agent: Any, given: Any, compress: Any, stream: bool = False, **options: Any) -> Any:
    async def go() -> Any:
        config = agents.RunConfig(call_model_input_filter=compress)
        if not stream:
            return await agents.Runner.run(agent, given, run_config=config, **options)
        result = agents.Runner.run_streamed(agent, given, run_config=config, **options)
        async for _ in result.stream_events():
            pass
        return result

    return LOOP.run_until_complete(go())


def test_an_agent_reads_expands_and_answers(model_of: Any, compressor: Compressor, stream: bool) -> None:
    compress = CompressorFilter(compressor, policy=NO_COMPACTION)
    with ScriptedServer([READ, expand("Hm."), READ, Reply("Code E-4711."), Reply("Bye.")]) as server:
        tools = [read_log, expand_tool(compress)]
        agent = agents.Agent(name="a", instructions="You are careful.", model=model_of(server), tools=tools)
        result = run_agent(agent, TASK, compress, stream)
        assert result.final_output == "Code E-4711."
        again = [*result.to_input_list(), {"role": "user", "content": "Thanks."}]
        assert run_agent(agent, again, compress, stream).final_output == "Bye."
    assert not server.problems and server.left == 0
    assert len(sent(server.requests[1])) < 0.8 * len(LOG)
    answers = [item["output"] for item in result.to_input_list() if item.get("type") == "function_call_output"]
    assert answers[0] == LOG and NEEDLE in answers[1]  # what the SDK keeps is the original
    assert "has no ref" not in answers[1]
    report = compress.cost_report()
    assert report.calls == 5 and report.expansions == 1 and report.actual_tokens < report.baseline_tokens


def test_an_agent_searches_what_was_cut_and_asks_for_a_compaction(model_of: Any, compressor: Compressor) -> None:
    compress = CompressorFilter(compressor, policy=NO_COMPACTION)
    question = Reply("", [Call("recall_context", {"query": "What was the error code?", "max_tokens": 200})])
    script = [READ, READ, question, Reply("", [Call("compact_now", {})]), READ, Reply("Code E-4711.")]
    with ScriptedServer(script, extends=None) as server:
        tools = [read_log, *context_tools(compress, compact=True)]
        result = run_agent(agents.Agent(name="a", model=model_of(server), tools=tools), TASK, compress)
    assert not server.problems and server.left == 0 and result.final_output == "Code E-4711."
    answers = [item["output"] for item in result.to_input_list() if item.get("type") == "function_call_output"]
    assert NEEDLE in answers[2]
    assert answers[3] == COMPACT_ANSWER and compress.cost_report().compactions == 1
    assert len(sent(server.requests[4])) < len(sent(server.requests[3]))


def test_a_handoff_goes_on_in_the_same_conversation(model_of: Any, compressor: Compressor) -> None:
    compress = CompressorFilter(compressor, policy=NO_COMPACTION)
    script = [READ, Reply("", [Call("transfer_to_writer", {})]), expand(), Reply("Report.")]
    with ScriptedServer(script, extends=None) as server:
        model = model_of(server)
        writer = agents.Agent(name="writer", instructions="Write.", model=model, tools=[expand_tool(compress)])
        reader = agents.Agent(name="reader", instructions="Read.", model=model, tools=[read_log], handoffs=[writer])
        result = run_agent(reader, TASK, compress)
    assert result.final_output == "Report." and result.last_agent.name == "writer"
    assert not server.problems and server.left == 0 and NEEDLE in sent(server.requests[3])
    before, after = (json.loads(sent(server.requests[i])) for i in (1, 2))
    assert after[1 : len(before)] == before[1:]  # all but the instructions
    assert compress.cost_report().calls == 4


def test_an_agent_used_as_a_tool_has_a_conversation_of_its_own(model_of: Any, compressor: Compressor) -> None:
    compress = CompressorFilter(compressor, policy=NO_COMPACTION)
    script = [READ, Reply("", [Call("ask", {"input": "Check it."})]), READ, expand(), Reply("Checked."), expand()]
    with ScriptedServer([*script, Reply("Done.")], extends="any") as server:
        model = model_of(server)
        inner = agents.Agent(name="inner", model=model, tools=[read_log, expand_tool(compress)])
        asking = inner.as_tool("ask", "Asks.", run_config=agents.RunConfig(call_model_input_filter=compress))
        outer = agents.Agent(name="outer", model=model, tools=[read_log, asking, expand_tool(compress)])
        assert run_agent(outer, TASK, compress).final_output == "Done."
    assert not [p for p in server.problems if "departs at the tools" not in p] and server.left == 0
    assert NEEDLE in sent(server.requests[4]) and "has no ref" not in sent(server.requests[6])


def test_runs_at_once_expand_only_their_own(model_of: Any, compressor: Compressor) -> None:
    compress = CompressorFilter(compressor, policy=NO_COMPACTION)

    def replies(request: Request) -> Reply:
        text = sent(request)
        rounds = text.count('"tool"') + text.count('"function_call_output"')
        if rounds == 0:
            return READ
        return Reply("", [Call("expand_context", {"ref": ref_in(request)})]) if rounds == 1 else Reply("Done.")

    async def both(agent: Any) -> list[Any]:
        config = agents.RunConfig(call_model_input_filter=compress)
        tasks = [agents.Runner.run(agent, f"{TASK} {i}", run_config=config) for i in range(4)]
        return await asyncio.gather(*tasks)

    with ScriptedServer([replies] * 12, extends=None) as server:
        agent = agents.Agent(name="a", model=model_of(server), tools=[read_log, expand_tool(compress)])
        results = LOOP.run_until_complete(both(agent))
    assert [result.final_output for result in results] == ["Done."] * 4 and not server.problems
    for result in results:
        outputs = [i["output"] for i in result.to_input_list() if i.get("type") == "function_call_output"]
        assert NEEDLE in outputs[1]


def test_a_session_of_the_sdk_keeps_the_originals(model_of: Any, compressor: Compressor) -> None:
    compress = CompressorFilter(compressor, policy=NO_COMPACTION)
    with ScriptedServer([READ, Reply("Stopped."), Reply("Bye.")]) as server:
        agent = agents.Agent(name="a", model=model_of(server), tools=[read_log, expand_tool(compress)])
        session = agents.SQLiteSession("s")
        run_agent(agent, TASK, compress, session=session)
        assert run_agent(agent, "Thanks.", compress, session=session).final_output == "Bye."
        items: Any = LOOP.run_until_complete(session.get_items())
    assert not server.problems and LOG in [item.get("output") for item in items]


def test_our_own_errors_let_the_input_through(model_of: Any, caplog: pytest.LogCaptureFixture) -> None:
    with ScriptedServer([READ, Reply("Done.")]) as server:
        agent = agents.Agent(name="a", model=model_of(server), tools=[read_log])
        assert run_agent(agent, TASK, CompressorFilter(Compressor(store=FullStore()))).final_output == "Done."
    assert NEEDLE in sent(server.requests[1]) and caplog.text.count("sent unchanged") == 1


def test_a_budget_that_is_too_small_gives_the_smallest_view_and_one_warning(
    model_of: Any, compressor: Compressor, caplog: pytest.LogCaptureFixture
) -> None:
    with ScriptedServer([READ, READ, Reply("Done.")], extends=None) as server:
        agent = agents.Agent(name="a", model=model_of(server), tools=[read_log])
        compress = CompressorFilter(compressor, budget=5)
        assert run_agent(agent, TASK, compress).final_output == "Done."
    assert all(len(sent(request)) < 0.3 * len(LOG) and TASK in sent(request) for request in server.requests)
    assert not server.problems and caplog.text.count(ABOVE_BUDGET) == 1
    assert [receipt["budget"] for receipt in compress.receipts()] == [5] * compress.cost_report().compactions
    with ScriptedServer([READ]) as server, pytest.raises(BudgetTooSmallError):
        run_agent(
            agents.Agent(name="a", model=model_of(server)),
            TASK,
            CompressorFilter(compressor, None, 5, fail_open=False),
        )


def test_the_tool_alone_says_that_it_has_no_conversation(compressor: Compressor) -> None:
    assert CompressorFilter(compressor).expand('{"ref": "123456789012"}').startswith("Not answered")
