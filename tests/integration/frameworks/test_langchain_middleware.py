"""The middleware in real agents of LangChain, with a model that plays a script and checks what it is sent."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("langchain")

from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import HumanMessage, RemoveMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.types import Command

from compressor import BudgetError, BudgetTooSmallError, Compressor, CompressorError
from compressor.context.refs import find_refs
from compressor.sessions import Policy, ToolRule
from compressor.storage.memory import MemoryStore
from compressor.testing import ScriptedChatModel, count_shared_parts
from compressor_agents.langchain import ContextCompressorMiddleware
from support.langchain_agents import (
    POLICY,
    TASK,
    ask,
    both,
    breaks,
    check,
    create_agent,
    log_of,
    middleware,
    pairs,
    scripted,
    search,
    thread,
)


def _agent(model: Any, ours: ContextCompressorMiddleware, *tools: Any, **options: Any) -> Any:
    given = {"checkpointer": InMemorySaver(), "system_prompt": "Be brief.", **options}
    return create_agent(model, tools or [search], middleware=[ours], **given)


def _results(out: dict[str, Any]) -> list[Any]:
    return [m for m in out["messages"] if isinstance(m, ToolMessage)]


def test_keeps_a_budget_and_the_prefix() -> None:
    model, ours = scripted(14), middleware(5_000)
    out = _agent(model, ours).invoke({"messages": TASK}, thread())
    report = ours.cost_report("t")
    assert report.compactions >= 1
    check(model.requests, 5_000, report.compactions)
    assert report.calls == 15
    assert report.actual_tokens < 0.6 * report.baseline_tokens
    assert "expand_context" in [t["function"]["name"] for t in model.requests[0].tools]
    assert all("Never order parts above 300 EUR." in r.messages[1].content for r in model.requests)
    assert ours.warnings == []
    assert out["messages"][-1].content == "None leaks."


def test_the_agents_own_messages_stay_as_they_are() -> None:
    model, ours = scripted(10), middleware(4_000)
    out = _agent(model, ours).invoke({"messages": TASK}, thread())
    assert [m.content for m in _results(out)] == [log_of(f"pump {i}") for i in range(10)]
    sent = {m.id: m for r in model.requests for m in r.messages if not isinstance(m, SystemMessage)}
    assert set(sent) <= {m.id for m in out["messages"]}
    assert set(out) == {"messages"}
    cut = [m for m in model.requests[-1].messages if isinstance(m, ToolMessage) and find_refs(str(m.content))]
    assert cut


def test_async_is_sent_the_same() -> None:
    one, two = scripted(10), scripted(10)
    _agent(one, middleware(4_000)).invoke({"messages": TASK}, thread())
    out = asyncio.run(_agent(two, middleware(4_000)).ainvoke({"messages": TASK}, thread()))
    assert [r.wire for r in two.requests] == [r.wire for r in one.requests]
    assert len(_results(out)) == 10


def test_parallel_calls() -> None:
    script = [both(ask(2 * i), ask(2 * i + 1)) for i in range(6)]
    model, ours = ScriptedChatModel(script=[*script, "None leaks."]), middleware(4_000)
    _agent(model, ours).invoke({"messages": TASK}, thread())
    report = ours.cost_report("t")
    check(model.requests, 4_000, report.compactions)


def test_several_turns_of_one_thread() -> None:
    model = ScriptedChatModel(script=[*map(ask, range(5)), "One.", *map(ask, range(5, 10)), "Two."])
    ours = middleware(5_000)
    agent = _agent(model, ours)
    agent.invoke({"messages": TASK}, thread())
    agent.invoke({"messages": "And which is slow?"}, thread())
    report = ours.cost_report("t")
    check(model.requests, 5_000, report.compactions)
    assert report.calls == 12


def test_threads_do_not_meet() -> None:
    ours, saver = middleware(5_000), InMemorySaver()
    for name in ("a", "b"):
        model = scripted(3)
        _agent(model, ours, checkpointer=saver).invoke({"messages": TASK}, thread(name))
        assert len(model.requests[0].messages) == 2
    assert ours.cost_report("a") == ours.cost_report("b")
    with pytest.raises(CompressorError, match="thread 'c'"):
        ours.cost_report("c")


def test_without_a_checkpointer() -> None:
    model, ours = scripted(8), middleware(4_000)
    _agent(model, ours, checkpointer=None).invoke({"messages": TASK})
    report = ours.cost_report()
    assert report.calls == 9
    check(model.requests, 4_000, report.compactions)


def test_system_prompt_and_tool_schemas_count() -> None:
    """The budget holds with them; without them this would not be far from full."""

    @tool(description="Looks something up. " + "It knows much about pumps and valves. " * 60)
    def lookup(query: str) -> str:
        return query

    model, ours = scripted(8), middleware(4_000)
    agent = _agent(model, ours, search, lookup, system_prompt="Be brief, and careful with valves. " * 80)
    agent.invoke({"messages": TASK}, thread())
    report = ours.cost_report("t")
    check(model.requests, 4_000, report.compactions)


def test_a_system_prompt_that_changes_costs_no_history() -> None:
    from langchain.agents.middleware import dynamic_prompt

    @dynamic_prompt
    def now(request: Any) -> str:
        return f"It is minute {len(request.messages)}."

    model, ours = scripted(4), middleware(5_000)
    create_agent(model, [search], middleware=[now, ours]).invoke({"messages": TASK})
    before, after = model.requests[-2:]
    assert before.messages[0].content != after.messages[0].content
    assert [m.content for m in after.messages[1 : len(before.messages)]] == [m.content for m in before.messages[1:]]


# Rules


def test_rules_for_single_tools() -> None:
    @tool
    def read(query: str) -> str:
        """Reads a log."""
        return log_of(query)

    def shares(**options: Any) -> list[float]:
        """What of the result of `search`, and of that of `read`, was sent."""
        model = ScriptedChatModel(script=[ask(0), ask(1, name="read"), "ok"])
        out = _agent(model, middleware(50_000, **options), search, read).invoke({"messages": TASK}, thread())
        sent = [m for m in model.requests[-1].messages if isinstance(m, ToolMessage)]
        return [len(a.content) / len(b.content) for a, b in zip(sent, _results(out), strict=True)]

    usual = shares()
    assert max(usual) < 0.7
    assert shares(never_compress=["read"]) == [usual[0], 1.0]
    assert shares(compress_only=["read"]) == [1.0, usual[1]]
    fewer = shares(tools={"search": ToolRule(max_tokens=100)})
    assert fewer[0] < 0.5 * usual[0]
    assert fewer[1] == usual[1]
    assert shares(policy=replace(POLICY, ingest=False)) == [1.0, 1.0]


@pytest.mark.parametrize(
    "options",
    [
        {"compress_only": ["search"], "never_compress": ["search"]},
        {"compress_only": "search"},
        {"never_compress": "search"},
        {"compress_only": ["search"], "tools": {"*": ToolRule(never_compress=True)}},
        {"never_compress": ["search"], "tools": {"search": ToolRule(max_tokens=100)}},
        {"ingest_at": "birth"},
        {"ingest_at": "tool", "policy": Policy(ingest=False)},
    ],
)
def test_options_that_contradict_each_other_are_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(CompressorError):
        ContextCompressorMiddleware(5_000, **options)


@pytest.mark.parametrize("budget", [0, -5, True, 1.5, "12 apples", float("nan")])
def test_budgets_that_are_none_are_refused_at_once(budget: Any) -> None:
    with pytest.raises(BudgetError):
        ContextCompressorMiddleware(budget)


def test_budgets_in_shares_and_money() -> None:
    """4,000 tokens each: a share of a window of 8,000 that LangChain's profile names, and $0.01 at $2.50 a million."""
    for budget, profile in ((0.5, {"max_input_tokens": 8_000}), ("$0.01", None), (None, {"max_input_tokens": 5_000})):
        model, ours = scripted(10), middleware(budget)
        model.profile = profile  # type: ignore[assignment]
        _agent(model, ours).invoke({"messages": TASK}, thread())
        report = ours.cost_report("t")
        assert report.compactions
        check(model.requests, 4_000, report.compactions)


# Messages that are taken back, and others' middleware


def test_a_history_that_is_edited() -> None:
    model = ScriptedChatModel(script=[*map(ask, range(4)), "One.", ask(9), "Two.", "Three."])
    ours = middleware(8_000)
    agent = _agent(model, ours)
    out = agent.invoke({"messages": TASK}, thread())
    gone = out["messages"][7:9]
    assert [m.type for m in gone] == ["ai", "tool"]
    agent.update_state(thread(), {"messages": [RemoveMessage(id=m.id) for m in gone]})
    agent.invoke({"messages": "And pump 9?"}, thread())
    kept, now = model.requests[3], model.requests[5]
    assert count_shared_parts(kept, now) == len(kept.wire), "what was frozen before the edit holds"
    assert '"c3"' not in "".join(now.wire)
    pairs(now)
    agent.update_state(thread(), {"messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES), HumanMessage("Anew.")]})
    agent.invoke({"messages": "Go."}, thread())
    assert [m.content for m in model.requests[-1].messages] == ["Be brief.", "Anew.", "Go."]


def test_an_error_before_the_model_answers_leaves_no_trace() -> None:
    """The retry, and the run after a crash, are sent the same bytes as the call that failed."""
    from langchain.agents.middleware import ModelRetryMiddleware

    script = [*map(ask, range(5)), ConnectionError("down"), ask(5), TimeoutError("late"), "ok"]
    model, ours = ScriptedChatModel(script=script), middleware(4_000)
    retry: Any = ModelRetryMiddleware(max_retries=1, retry_on=(ConnectionError,), initial_delay=0, on_failure="error")
    agent = create_agent(model, [search], middleware=[retry, ours], checkpointer=InMemorySaver())
    with pytest.raises(TimeoutError):
        agent.invoke({"messages": TASK}, thread())
    agent.invoke(None, thread())
    wires = [r.wire for r in model.requests]
    assert wires[5] == wires[6]
    assert wires[7] == wires[8]
    report = ours.cost_report("t")
    assert report.calls == 7, "calls that failed are not billed"
    check(model.requests, 4_000, report.compactions)


@pytest.mark.parametrize("inside", [False, True])
def test_fallback_models(inside: bool) -> None:
    from langchain.agents.middleware import ModelFallbackMiddleware

    first = ScriptedChatModel(script=lambda messages: ConnectionError("down"))
    second = scripted(8)
    second.model_name = "claude-sonnet-4-5"
    ours, fallback = middleware(5_000), ModelFallbackMiddleware(second)
    stack: list[Any] = [ours, fallback] if inside else [fallback, ours]
    create_agent(first, [search], middleware=stack, checkpointer=InMemorySaver()).invoke({"messages": TASK}, thread())
    report = ours.cost_report("t")
    check(second.requests, 5_000, report.compactions)
    counted = [r.tokens("claude-sonnet-4-5") for r in second.requests]
    assert inside or max(counted) <= 5_000, "the budget is of the model that is called"


def test_beside_langchains_own_summarization() -> None:
    from langchain.agents.middleware import SummarizationMiddleware

    from compressor_agents.langchain import compressor_summarizer

    model, ours = scripted(12), middleware(9_000)
    summarize: Any = SummarizationMiddleware(
        model, trigger=("tokens", 6_000), keep=("messages", 4), summarizer=compressor_summarizer(500)
    )
    agent = create_agent(model, [search], middleware=[summarize, ours], checkpointer=InMemorySaver())
    agent.invoke({"messages": TASK}, thread())
    for request in model.requests:
        pairs(request)
        assert request.tokens() <= 9_000
    assert any("Here is a summary" in str(r.messages[0].content) for r in model.requests)


def test_a_request_that_the_provider_finds_too_long_is_compacted_and_sent_again() -> None:
    for is_async in (False, True):
        model = ScriptedChatModel(script=[*map(ask, range(6)), ContextOverflowError("too long"), "ok"])
        ours = middleware(50_000, policy=replace(POLICY, target=("tokens", 1_500)))
        agent = _agent(model, ours)
        if is_async:
            asyncio.run(agent.ainvoke({"messages": TASK}, thread()))
        else:
            agent.invoke({"messages": TASK}, thread())
        long, short = model.requests[-2:]
        assert short.tokens() < 0.9 * long.tokens()
        pairs(short)
        report = ours.cost_report("t")
        assert report.compactions == breaks(model.requests) >= 1


def test_a_provider_that_refuses_again_gets_half_of_it() -> None:
    refusal = ContextOverflowError("too long")
    model = ScriptedChatModel(script=[*map(ask, range(6)), refusal, refusal, "ok", *map(ask, range(6, 12)), "Well."])
    agent = _agent(model, middleware(50_000))
    agent.invoke({"messages": TASK}, thread())
    first, second, third = (request.tokens() for request in model.requests[-3:])
    assert second <= 0.5 * first and third <= 0.5 * second
    agent.invoke({"messages": "And now?"}, thread())
    for request in model.requests:
        pairs(request)
        assert TASK in str(request.messages)


def test_an_integration_without_an_error_of_its_own_is_understood_by_the_text() -> None:
    class Refusal(Exception):
        status_code = 400

    for text in (
        "prompt is too long: 210213 tokens > 200000 maximum",
        "the request exceeds the available context size",
    ):
        model = ScriptedChatModel(script=[*map(ask, range(6)), Refusal(text), "ok"])
        _agent(model, middleware(50_000)).invoke({"messages": TASK}, thread())
        assert model.requests[-1].tokens() <= 0.5 * model.requests[-2].tokens()
    model = ScriptedChatModel(script=[*map(ask, range(6)), Refusal("temperature must be below 2"), "ok"])
    with pytest.raises(Refusal):
        _agent(model, middleware(50_000)).invoke({"messages": TASK}, thread())


def test_one_that_cannot_be_compacted_fails_as_it_would() -> None:
    model = ScriptedChatModel(script=[ContextOverflowError("too long")])
    with pytest.raises(ContextOverflowError):
        _agent(model, middleware(5_000)).invoke({"messages": "Hi."}, thread())
    assert len(model.requests) == 1


def test_two_of_ours_in_one_agent() -> None:
    model = scripted(6)
    one, two = middleware(8_000, never_compress=["other"]), middleware(4_000, name="second")
    agent = create_agent(model, [search], middleware=[one, two], checkpointer=InMemorySaver())
    agent.invoke({"messages": TASK}, thread())
    assert {"compressor", "compressor_second"} < set(agent.get_state(thread()).values)
    for request in model.requests:
        pairs(request)
        assert request.tokens() <= 4_000
    names = [t["function"]["name"] for t in model.requests[0].tools]
    assert sorted(names) == ["expand_context", "recall_context", "search"]


def test_says_that_a_tool_has_the_name_of_ours() -> None:
    @tool
    def expand_context(ref: str) -> str:
        """Something else."""
        return ref

    ours = middleware()
    _agent(scripted(2), ours, search, expand_context).invoke({"messages": TASK}, thread())
    assert len(ours.warnings) == 1
    assert "another tool is called expand_context" in ours.warnings[0]


# Failing open


class BrokenStore(MemoryStore):
    """A store whose disk is full."""

    def put(self, *args: Any, **kwargs: Any) -> Any:
        raise OSError("disk full")


@pytest.mark.parametrize("is_async", [False, True])
def test_fails_open(is_async: bool, caplog: pytest.LogCaptureFixture) -> None:
    model = scripted(4)
    ours = middleware(50_000, compressor=Compressor(store=BrokenStore()), fail_open=True)
    agent = _agent(model, ours)
    given = {"messages": TASK}
    with caplog.at_level(logging.WARNING):
        out = asyncio.run(agent.ainvoke(given, thread())) if is_async else agent.invoke(given, thread())
    assert out["messages"][-1].content == "None leaks."
    assert [m.content for m in model.requests[-1].messages[1:]] == [m.content for m in out["messages"][:-1]]
    assert len(ours.warnings) == 1
    assert "disk full" in ours.warnings[0]
    assert len([r for r in caplog.records if "it was sent unchanged" in r.message]) == 1


def test_raises_if_told_to() -> None:
    agent = _agent(scripted(4), middleware(5_000, compressor=Compressor(store=BrokenStore())))
    with pytest.raises(OSError, match="disk full"):
        agent.invoke({"messages": TASK}, thread())


def test_a_budget_that_is_too_small_gives_the_smallest_view_and_one_warning_per_thread(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ours, requests = middleware(120, fail_open=True), []
    for name in ("t", "u"):
        model = scripted(12)
        out = _agent(model, ours).invoke({"messages": TASK}, thread(name))
        requests += model.requests
        assert out["messages"][-1].content == "None leaks."
    (warning,) = [text for text in ours.warnings if "smallest possible view" in text]
    assert "larger than the budget of 120 tokens" in warning and caplog.text.count(warning) == 2
    for request in requests:
        pairs(request)
        assert TASK in str(request.messages)
    raw = sum(len(str(m.content)) for m in out["messages"])
    assert max(sum(len(str(m.content)) for m in request.messages) for request in requests) < 0.2 * raw
    with pytest.raises(BudgetTooSmallError):
        _agent(scripted(4), middleware(120)).invoke({"messages": TASK}, thread())


def test_receipts_and_balance_of_a_thread() -> None:
    model, ours = scripted(12), middleware(4_000)
    agent = _agent(model, ours)
    assert ours.receipts() == [] and ours.balance().calls == 0
    agent.invoke({"messages": TASK}, thread())
    receipts, state = ours.receipts("t"), agent.get_state(thread()).values
    assert len(receipts) == ours.balance("t").compactions >= 1
    assert [receipt["compaction"] for receipt in receipts] == list(range(1, len(receipts) + 1))
    assert all(receipt["tokens_after"] <= receipt["budget"] == 4_000 for receipt in receipts)
    assert ours.receipts(state) == receipts and state["compressor"]["receipt"] == receipts[-1]
    rules = receipts[-1]["tallies"]["rules"]
    assert rules["in_view"] == 1 and not rules["archived"]
    with pytest.raises(CompressorError, match=r"no cost report of thread 'other'.*known thread ids: 't'"):
        ours.receipts("other")


def test_a_damaged_state_fails_open() -> None:
    model = ScriptedChatModel(script=[ask(0), "One.", "Two."])
    ours = middleware(5_000, fail_open=True)
    agent = _agent(model, ours)
    agent.invoke({"messages": TASK}, thread())
    agent.update_state(thread(), {"compressor": {"version": 99}})
    agent.invoke({"messages": "And?"}, thread())
    assert "upgrade" in ours.warnings[-1]
    assert model.requests[-1].messages[3].content == log_of("pump 0")


def test_says_once_that_it_saves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    @tool
    def tick(query: str) -> str:
        """Ticks."""
        return "tock"

    script = [ask(i, name="tick") for i in range(30)]
    ours = middleware(50_000)
    with caplog.at_level(logging.WARNING):
        _agent(ScriptedChatModel(script=[*script, "ok"]), ours, tick).invoke({"messages": TASK}, thread())
    assert len(ours.warnings) == 1
    assert "saving nothing" in ours.warnings[0]


# Tools that return more than text


def test_artifacts_status_and_commands_pass() -> None:
    @tool(response_format="content_and_artifact")
    def fetch(query: str) -> tuple[str, dict[str, Any]]:
        """Fetches."""
        return log_of(query), {"rows": [1, 2]}

    @tool
    def fail(query: str) -> str:
        """Fails."""
        raise ValueError("no " + log_of(query))

    @tool
    def command(query: str, runtime: Any = None) -> Any:
        """Writes the state itself."""
        return Command(update={"messages": [ToolMessage(log_of(query), tool_call_id="c2")]})

    from langchain.agents.middleware import ToolRetryMiddleware

    for where in ("model", "tool"):
        names = ["fetch", "fail", "command"]
        model = ScriptedChatModel(script=[*(ask(i, name=name) for i, name in enumerate(names)), "ok"])
        ours = middleware(50_000, ingest_at=where)
        retry: Any = ToolRetryMiddleware(max_retries=0, on_failure="continue")
        agent = create_agent(model, [fetch, fail, command], middleware=[ours, retry], checkpointer=InMemorySaver())
        out = agent.invoke({"messages": TASK}, thread())
        fetched, failed, commanded = _results(out)
        assert fetched.artifact == {"rows": [1, 2]}
        assert (fetched.name, fetched.status, failed.status) == ("fetch", "success", "error")
        assert commanded.content == log_of("pump 2")
        assert (fetched.content == log_of("pump 0")) == (where == "model")
        sent = [m for m in model.requests[-1].messages if isinstance(m, ToolMessage)]
        assert [m.status for m in sent] == ["success", "error", "success"]
        assert [m.id for m in sent] == [fetched.id, failed.id, commanded.id]
        assert sent[0].artifact == {"rows": [1, 2]}
        assert len(sent[0].content) < 0.8 * len(log_of("pump 0"))
        assert len(sent[2].content) < 0.8 * len(log_of("pump 2"))


def test_compressed_at_the_tool_the_checkpoint_is_small_too() -> None:
    model, ours = scripted(6), middleware(8_000, ingest_at="tool")
    agent = _agent(model, ours)
    out = agent.invoke({"messages": TASK}, thread())
    whole = [log_of(f"pump {i}") for i in range(6)]
    for result, text in zip(_results(out), whole, strict=True):
        assert len(result.content) < 0.7 * len(text)
        assert [ours.compressor.expand(ref) for ref in find_refs(result.content)] == [text]
    assert [m.content for m in model.requests[-1].messages[1:]] == [m.content for m in out["messages"][:-1]]
    check(model.requests, 8_000, 0)
