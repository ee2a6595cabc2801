"""The wrapped Anthropic clients against a real local server: messages, whole and streamed, thinking included."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from compressor import BudgetTooSmallError, Compressor, CompressorError
from support import client_scenarios as scenarios
from support.client_scenarios import ABOVE_BUDGET, EXPAND, NO_COMPACTION, OWN_TOOLS, READ, expand, look_up, sent
from support.client_tools import LOG, NEEDLE, TASK, MessagesTalk
from support.scripted_server import Call, Fail, Reply, Request, ScriptedServer

anthropic = pytest.importorskip("anthropic")

from compressor_agents.anthropic import with_compression  # noqa: E402


def plain(server: ScriptedServer, kind: str = "Anthropic", **options: Any) -> Any:
    return getattr(anthropic, kind)(base_url=server.url, api_key="any", **options)


@pytest.fixture(params=["sync", "async"])
def talk_of(request: pytest.FixtureRequest, compressor: Compressor, loop: asyncio.AbstractEventLoop) -> Any:
    """Makes a caller over a wrapped client for a server."""

    def make(server: ScriptedServer, **options: Any) -> MessagesTalk:
        options = {"policy": NO_COMPACTION} | options
        if request.param == "async":
            return MessagesTalk(with_compression(plain(server, "AsyncAnthropic"), compressor, **options), loop)
        return MessagesTalk(with_compression(plain(server), compressor, **options))

    return make


def test_a_long_result_is_cut_and_its_tool_is_there_from_the_first_call_on(talk_of: Any, stream: bool) -> None:
    requests = scenarios.play_long_result(talk_of, stream)
    assert {request.body["system"] for request in requests} == {"You are careful."}


def test_a_call_of_our_tools_is_answered_inside_the_call(talk_of: Any, stream: bool, own_tool: str) -> None:
    _, answer, requests = scenarios.play_two_look_ups(talk_of, stream, own_tool, "Hm.")
    assert answer.reason == "end_turn" and answer.text == "Let me look.Code E-4711."
    asked, answered = requests[4].body["messages"][3:5]
    assert [block["type"] for block in asked["content"]] == ["thinking", "text", "tool_use"]
    assert asked["content"][0]["signature"] == "sig2" and [b["type"] for b in answered["content"]] == ["tool_result"]
    last = requests[4].body["messages"][7]["content"]
    assert [(block["type"], block.get("signature")) for block in last] == [("thinking", "sig4"), ("text", None)]


def test_the_usage_has_the_last_prompt_and_all_that_was_written(talk_of: Any, stream: bool) -> None:
    usage = scenarios.play_usage(talk_of, stream)
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (100, 200, 27)


def test_looking_up_and_calling_in_one_turn_gives_the_caller_its_own_call(
    talk_of: Any, stream: bool, own_tool: str
) -> None:
    answer, requests = scenarios.play_look_up_beside_own_call(talk_of, stream, own_tool, "Hm.")
    assert answer.reason == "tool_use"
    turn, results = requests[2].body["messages"][3:5]
    assert [block["type"] for block in turn["content"]] == ["thinking", "text", "tool_use", "tool_use"]
    assert NEEDLE in json.dumps(results["content"][0]) and results["content"][1]["content"] == "nothing there"


def test_own_calls_after_a_look_up_keep_it_in_the_history(talk_of: Any, stream: bool, own_tool: str) -> None:
    scenarios.play_own_call_after_look_up(talk_of, stream, own_tool)


def test_rounds_are_bounded(talk_of: Any, stream: bool, own_tool: str) -> None:
    with ScriptedServer([READ, *[look_up(own_tool) for _ in range(4)], look_up(own_tool, "Hm.")]) as server:
        talk = talk_of(server)
        talk.read_log(stream)
        answer = talk.ask(stream)
    assert (answer.calls, answer.text, answer.reason) == ([], "Hm.", "end_turn")
    assert len(server.requests) == 6 and "last look-up" in sent(server.requests[5]) and not server.problems


def test_errors_are_the_callers_and_refusals_go_out_again_as_they_were(
    talk_of: Any, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with ScriptedServer([READ, Fail(500), expand(), Fail(529), Reply("Done."), *[Fail(429)] * 3]) as server:
        talk = talk_of(server)
        talk.read_log(stream)
        assert talk.ask(stream).text == "Done."
        talk.say("Thanks.")
        with pytest.raises(anthropic.RateLimitError):
            talk.ask(stream)
    assert not server.problems

    def no_tools_please(request: Request) -> Reply | Fail:
        return Fail(400, "unknown tool") if EXPAND in request.tools else READ

    with ScriptedServer([no_tools_please, no_tools_please, Reply("Done.")], extends=None) as server:
        talk = talk_of(server)
        talk.read_log(stream)
        assert talk.ask(stream).text == "Done."
    assert "unknown tool" in caplog.text and LOG.splitlines()[30] in sent(server.requests[2])


def test_a_budget_that_is_too_small_gives_the_smallest_view_and_one_warning(
    talk_of: Any, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with ScriptedServer([READ, READ, Reply("Done.")], extends=None) as server:
        talk = talk_of(server, budget=5)
        talk.read_log(stream)
        talk.read_log(stream)
        assert talk.ask(stream).text == "Done."
    assert [request.tools for request in server.requests] == [[*OWN_TOOLS, "read_log"]] * 3 and not server.problems
    assert all(len(sent(request)) < 0.3 * len(LOG) and TASK in sent(request) for request in server.requests)
    assert caplog.text.count(ABOVE_BUDGET) == 1
    with ScriptedServer([READ]) as server, pytest.raises(BudgetTooSmallError):
        talk_of(server, budget=5, fail_open=False).ask(stream)


def test_a_request_that_the_provider_finds_too_long_is_sent_again_smaller(talk_of: Any, stream: bool) -> None:
    too_long = Fail(400, "prompt is too long: 210213 tokens > 200000 maximum")
    with ScriptedServer([READ, READ, too_long, Reply("Done.")], extends=None) as server:
        talk = talk_of(server)
        talk.read_log(stream)
        talk.read_log(stream)
        assert talk.ask(stream).text == "Done."
    assert not server.problems and server.left == 0
    assert len(sent(server.requests[3])) < 0.7 * len(sent(server.requests[2])) and TASK in sent(server.requests[3])


def test_an_expansion_beside_a_callers_own_call_reaches_the_model_in_a_history_of_another_form(
    talk_of: Any, stream: bool
) -> None:
    own = Call("read_log", {"path": "other.log"})
    script = [READ, expand("Both.", own, query="gave up", thinking="Hm."), Reply("Code E-4711.")]
    with ScriptedServer(script) as server:
        talk = talk_of(server)
        talk.read_log(stream)
        before = len(talk.history)
        talk.ask(stream)
        calls = [{"role": "assistant", "content": "Both. Calling read_log with other.log."}]
        talk.history[before:] = [*calls, {"role": "user", "content": "Observation: nothing there"}]
        assert talk.ask(stream).text == "Code E-4711."
    assert not server.problems and server.left == 0 and NEEDLE in sent(server.requests[2])


def test_borders_of_the_prompt_cache_may_move(compressor: Compressor) -> None:
    """Callers mark their newest message as the border of what is cached, and take the mark off the one before."""
    with ScriptedServer([READ, expand(), Reply("Done."), Reply("Bye.")], extends=None) as server:
        talk = MessagesTalk(with_compression(plain(server), compressor, policy=NO_COMPACTION))
        talk.read_log()
        border = {"cache_control": {"type": "ephemeral"}}
        talk.history[-1]["content"][0] |= border
        talk.ask()
        del talk.history[-2]["content"][0]["cache_control"]
        talk.history.append({"role": "user", "content": [{"type": "text", "text": "Thanks."} | border]})
        talk.ask()
    before, after = server.requests[2].body["messages"], server.requests[3].body["messages"]
    assert before[2]["content"][0].pop("cache_control") == after[-1]["content"][0].pop("cache_control")
    assert after[: len(before)] == before and not server.problems


def test_the_sdks_own_streams_and_beta_messages_work(compressor: Compressor) -> None:
    script = [READ, expand("Looking."), Reply("Code E-4711."), expand(), Reply("Again.")]
    with ScriptedServer(script, extends=None) as server:
        client = with_compression(plain(server), compressor)
        talk = MessagesTalk(client)
        talk.read_log()
        given: Any = {
            "model": "claude-sonnet-5",
            "max_tokens": 100,
            "system": "You are careful.",
            "messages": talk.history,
            "tools": talk.tools,
        }
        with client.messages.stream(**given) as stream:
            made = [(text, len(server.requests)) for text in stream.text_stream]
            message = stream.get_final_message()
        beta = client.beta.messages.create(**given)
    assert made == [("Looking.", 2), ("Code ", 3), ("E-4711.", 3)]
    assert [block.type for block in message.content] == ["text", "text"] and message.stop_reason == "end_turn"
    assert beta.content[0].text == "Again." and not server.problems


def test_async_streams_of_the_sdk_work(compressor: Compressor) -> None:
    async def run(server: ScriptedServer) -> str:
        async with plain(server, "AsyncAnthropic") as original:
            client = with_compression(original, compressor)
            history: Any = [{"role": "user", "content": "Read the log."}]
            given: Any = {"model": "claude-sonnet-5", "max_tokens": 100, "tools": MessagesTalk(None).tools}
            first = await client.messages.create(messages=history, **given)
            result = {"type": "tool_result", "tool_use_id": first.content[0].id, "content": LOG}
            history += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
            async with client.messages.stream(messages=history, **given) as stream:
                return str(await stream.get_final_text())

    with ScriptedServer([READ, expand(), Reply("Code E-4711.")]) as server:
        assert asyncio.run(run(server)) == "Code E-4711."
    assert not server.problems and len(server.requests) == 3


def test_the_original_client_stays_as_it_is(compressor: Compressor) -> None:
    with ScriptedServer([Reply("One."), Reply("Two.")], extends=None) as server:
        client = plain(server)
        wrapped = with_compression(client, compressor)
        assert isinstance(wrapped, anthropic.Anthropic)
        MessagesTalk(client).ask()
        MessagesTalk(wrapped.with_options(timeout=5)).ask()
    assert [request.tools for request in server.requests] == [["read_log"], [*OWN_TOOLS, "read_log"]]
    assert wrapped.cost_report().calls == 1
    with pytest.raises(CompressorError, match=r"anthropic\.Anthropic"):
        with_compression(object())  # type: ignore[type-var]
