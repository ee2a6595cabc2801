"""The history processor for pydantic-ai, with its real Agent against a real local server and its own test models."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from compressor import BudgetTooSmallError, Compressor
from compressor.context.refs import find_refs
from compressor.sessions import Policy
from compressor.sessions.compact_tool import COMPACT_ANSWER
from support.client_scenarios import ABOVE_BUDGET, EXPAND, NO_COMPACTION, READ, FullStore, expand, sent
from support.client_tools import LOG, NEEDLE, TASK
from support.scripted_server import Call, Fail, Reply, ScriptedServer

pydantic_ai = pytest.importorskip("pydantic_ai")
openai = pytest.importorskip("openai")

from pydantic_ai import Agent, BinaryContent  # noqa: E402
from pydantic_ai.capabilities import ProcessHistory  # noqa: E402
from pydantic_ai.exceptions import ModelHTTPError  # noqa: E402
from pydantic_ai.messages import (  # noqa: E402
    ModelMessage,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel  # noqa: E402
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel  # noqa: E402
from pydantic_ai.models.test import TestModel  # noqa: E402
from pydantic_ai.providers.openai import OpenAIProvider  # noqa: E402

from compressor_agents.pydantic_ai import CompressHistory, history_processor  # noqa: E402
from compressor_agents.pydantic_messages import from_anthropic, to_anthropic  # noqa: E402

LOOP = asyncio.new_event_loop()  # one for all: clients keep their connections


def read_log(path: str) -> str:
    """Reads a log."""
    return LOG


@pytest.fixture(params=["chat", "responses"])
def model_of(request: pytest.FixtureRequest) -> Any:
    def make(server: ScriptedServer) -> Any:
        client = openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="any", max_retries=0)
        kind = OpenAIChatModel if request.param == "chat" else OpenAIResponsesModel
        return kind("gpt-4o", provider=OpenAIProvider(openai_client=client))

    return make


def run_agent_on(agent: Any, task: str, stream: bool = False, history: Any = None) -> Any:
    async def go() -> Any:
        if not stream:
            return await agent.run(task, message_history=history)
        async with agent.run_stream(task, message_history=history) as result:
            text = "".join([piece async for piece in result.stream_text(delta=True)])
            assert text == await result.get_output()
            return result

    return LOOP.run_until_complete(go())


def returns(messages: list[ModelMessage]) -> list[Any]:
    return [part.content for message in messages for part in message.parts if isinstance(part, ToolReturnPart)]


def test_an_agent_reads_expands_and_answers(model_of: Any, compressor: Compressor, stream: bool) -> None:
    compress = CompressHistory(compressor, policy=NO_COMPACTION)
    with ScriptedServer([READ, expand(), READ, Reply("Code E-4711."), Reply("Bye.")]) as server:
        agent = Agent(model_of(server), instructions="Be careful.", tools=[read_log], capabilities=[compress])
        history = run_agent_on(agent, TASK, stream).all_messages()
        again = run_agent_on(agent, "Thanks.", stream, history).all_messages()
    assert not server.problems and server.left == 0
    assert {tuple(sorted(request.tools)) for request in server.requests} == {(EXPAND, "read_log", "recall_context")}
    assert len(sent(server.requests[1])) < 0.8 * len(LOG) and NEEDLE in sent(server.requests[2])
    answers = returns(again)
    assert answers[0] == LOG and NEEDLE in answers[1] and answers[2] == LOG  # what pydantic-ai keeps is the original
    report = compress.cost_report()
    assert report.calls == 5 and report.expansions == 1 and report.actual_tokens < report.baseline_tokens
    assert report.billed_tokens > 0 or stream


def test_an_agent_searches_what_was_cut_and_asks_for_a_compaction(model_of: Any, compressor: Compressor) -> None:
    compress = CompressHistory(compressor, policy=NO_COMPACTION, compact_tool=True)
    question = Reply("", [Call("recall_context", {"query": "What was the error code?", "max_tokens": 200})])
    script = [READ, READ, question, Reply("", [Call("compact_now", {})]), READ, Reply("Code E-4711.")]
    with ScriptedServer(script, extends=None) as server:
        agent = Agent(model_of(server), tools=[read_log], capabilities=[compress])
        answers = returns(run_agent_on(agent, TASK).all_messages())
    assert not server.problems and server.left == 0
    assert NEEDLE in answers[2] and answers[3] == COMPACT_ANSWER and compress.cost_report().compactions == 1
    assert len(sent(server.requests[4])) < len(sent(server.requests[3]))


def test_a_history_processor_works_where_it_writes_back(model_of: Any, compressor: Compressor) -> None:
    processor = history_processor(compressor, policy=NO_COMPACTION)
    script = [READ, Reply("", [Call("read_log", {"path": "b"})]), expand(), Reply("Code E-4711."), Reply("Bye.")]
    with ScriptedServer(script) as server:
        tools: list[Any] = [read_log, processor.expand_tool]
        agent: Any = Agent(model_of(server), tools=tools, capabilities=[ProcessHistory(processor)])
        history = run_agent_on(agent, TASK).all_messages()
        run_agent_on(agent, "Thanks.", history=history)
    assert not server.problems and server.left == 0
    assert find_refs(returns(history)[0]) and NEEDLE in sent(server.requests[3])
    assert processor.cost_report().calls == 5


def test_a_long_run_is_compacted_and_stays_what_a_provider_takes(model_of: Any, compressor: Compressor) -> None:
    compress = CompressHistory(compressor, policy=Policy(target=("tokens", 2_000)))

    def read_part(part: int) -> str:
        return LOG.replace("worker", f"part{part}-worker")

    calls = [Reply("", [Call("read_part", {"part": i})]) for i in range(6)]
    with ScriptedServer([*calls[:4], expand("Hm."), *calls[4:], Reply("Done.")], extends=None) as server:
        agent = Agent(model_of(server), tools=[read_part], capabilities=[compress])
        result = run_agent_on(agent, TASK)
    assert result.output == "Done." and not server.problems and server.left == 0
    assert len(returns(result.all_messages())) == 7
    report = compress.cost_report()
    assert report.compactions >= 1 and report.actual_tokens < 0.6 * report.baseline_tokens


def test_runs_at_once_expand_only_their_own(compressor: Compressor) -> None:
    compress = CompressHistory(compressor, policy=NO_COMPACTION)

    async def model(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        await asyncio.sleep(0.01)
        found = returns(messages)
        if not found:
            return ModelResponse([ToolCallPart("read_log", {"path": "a"})])
        if len(found) == 1:
            return ModelResponse([ToolCallPart(EXPAND, {"ref": find_refs(found[0])[0]})])
        return ModelResponse([TextPart("found" if NEEDLE in found[1] else found[1])])

    agent = Agent(FunctionModel(model), tools=[read_log], capabilities=[compress])

    async def go() -> list[str]:
        return [result.output for result in await asyncio.gather(*[agent.run(f"{TASK} {i}") for i in range(4)])]

    assert LOOP.run_until_complete(go()) == ["found"] * 4


def test_pydantic_ais_test_model_calls_every_tool(compressor: Compressor) -> None:
    agent = Agent(TestModel(), tools=[read_log], capabilities=[CompressHistory(compressor)])
    result = run_agent_on(agent, TASK)
    assert {part.tool_name for m in result.all_messages() for part in m.parts if isinstance(part, ToolReturnPart)} == {
        "read_log",
        "recall_context",
        EXPAND,
    }
    assert run_agent_on(Agent(TestModel(), capabilities=[CompressHistory(compressor, expand=False)]), TASK).output


def _repeat(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """A model that reads the log and answers with what it sees of it."""
    found = returns(messages)
    return ModelResponse([TextPart(found[0]) if found else ToolCallPart("read_log", {"path": "a"})])


def test_our_own_errors_let_the_history_through(caplog: pytest.LogCaptureFixture) -> None:
    full = Compressor(store=FullStore())
    for compress in (CompressHistory(full), ProcessHistory(history_processor(full))):
        caplog.clear()
        agent = Agent(FunctionModel(_repeat), tools=[read_log], capabilities=[compress])
        assert run_agent_on(agent, TASK).output == LOG and caplog.text.count("sent unchanged") == 1


def test_a_budget_that_is_too_small_gives_the_smallest_view_and_one_warning(
    compressor: Compressor, caplog: pytest.LogCaptureFixture
) -> None:
    for compress in (CompressHistory(compressor, budget=5), ProcessHistory(history_processor(compressor, budget=5))):
        caplog.clear()
        agent = Agent(FunctionModel(_repeat), tools=[read_log], capabilities=[compress])
        assert len(run_agent_on(agent, TASK).output) < 0.1 * len(LOG) and caplog.text.count(ABOVE_BUDGET) == 1
    strict = CompressHistory(compressor, budget=5, fail_open=False)
    with pytest.raises(BudgetTooSmallError):
        run_agent_on(Agent(FunctionModel(_repeat), capabilities=[strict]), TASK)
    assert strict.receipts() == []


def test_a_request_that_the_provider_finds_too_long_is_sent_again_smaller(
    model_of: Any, compressor: Compressor
) -> None:
    fail = Fail(400, "This model's maximum context length is 4096 tokens. Please reduce the length of the messages.")
    with ScriptedServer([READ, READ, fail, fail, Reply("Done.")], extends=None) as server:
        agent = Agent(model_of(server), tools=[read_log], capabilities=[CompressHistory(compressor)])
        result = run_agent_on(agent, TASK)
    assert result.output == "Done." and returns(result.all_messages()) == [LOG, LOG]
    sizes = [len(sent(request)) for request in server.requests]
    assert not server.problems and server.left == 0 and sizes[4] < 0.7 * sizes[3] < 0.5 * sizes[2]
    assert TASK in sent(server.requests[4])
    with ScriptedServer([READ, fail, fail, fail], extends=None) as server, pytest.raises(ModelHTTPError):
        run_agent_on(Agent(model_of(server), tools=[read_log], capabilities=[CompressHistory(compressor)]), TASK)
    assert server.left == 0


def test_parts_of_which_nothing_was_cut_stay_the_same_objects() -> None:
    picture = BinaryContent(b"\x89PNG", media_type="image/png")
    messages: list[ModelMessage] = [
        ModelRequest([SystemPromptPart("Be careful."), UserPromptPart(["Look:", picture, "and read."])]),
        ModelResponse(
            [ThinkingPart("Hm.", signature="s"), TextPart("Reading."), ToolCallPart("read", '{"a": 1}', "c1")]
        ),
        ModelRequest([ToolReturnPart("read", {"rows": [1, 2]}, "c1"), UserPromptPart("Go on.")]),
        ModelResponse([ToolCallPart("read", {"b": 2}, "c2"), ToolCallPart("read", None, "c3")]),
        ModelRequest([ToolReturnPart("read", LOG, "c2"), ToolReturnPart("read", [picture], "c3")]),
    ]
    given = to_anthropic(messages)
    assert [body["role"] for body in given] == ["system", "user", "assistant", "user", "assistant", "user"]
    same = from_anthropic(given, given, messages)
    assert all(a is b for a, b in zip(same, messages, strict=True))
    cut = json.loads(json.dumps(given))
    cut[1]["content"][0]["text"] = "L"
    cut[2]["content"] = cut[2]["content"][1:]
    cut[2]["content"][1]["input"] = {"a": "cut"}
    cut[5]["content"][0]["content"] = "short"
    changed: list[Any] = from_anthropic([*cut[:3], *cut[4:]], given, messages)
    assert changed[0].parts[1].content == ["L", picture, "and read."] and changed[0].parts[0] is messages[0].parts[0]
    assert [part.part_kind for part in changed[1].parts] == ["text", "tool-call"]
    assert changed[1].parts[0] is messages[1].parts[1] and changed[1].parts[1].args == {"a": "cut"}
    assert changed[2] is messages[3] and len(changed) == 4
    assert changed[3].parts[0].content == "short" and changed[3].parts[1] is messages[4].parts[1]
    assert changed[3].parts[0].tool_call_id == "c2" and returns(messages)[1] == LOG
