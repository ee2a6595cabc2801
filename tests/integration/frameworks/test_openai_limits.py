"""The wrapped OpenAI clients at their limits: too small a budget, and prompts that are too long for the provider."""

from __future__ import annotations

from typing import Any

import pytest

from compressor import BudgetTooSmallError, Compressor
from support.client_scenarios import ABOVE_BUDGET, OWN_TOOLS, READ, expand, sent
from support.client_tools import LOG, NEEDLE, TASK, ChatTalk, plain_openai
from support.scripted_server import Call, Fail, Reply, ScriptedServer

openai = pytest.importorskip("openai")

from compressor_agents.openai import with_compression  # noqa: E402


def test_a_budget_that_is_too_small_gives_the_smallest_view_and_one_warning(
    talk_of: Any, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with ScriptedServer([READ, READ, READ, Reply("Done.")], extends=None) as server:
        talk = talk_of(server, budget=5)
        for _ in range(3):
            talk.read_log(stream)
        assert talk.ask(stream).text == "Done."
    assert [request.tools for request in server.requests] == [[*OWN_TOOLS, "read_log"]] * 4 and not server.problems
    assert all(len(sent(request)) < 0.3 * len(LOG) and TASK in sent(request) for request in server.requests)
    assert caplog.text.count(ABOVE_BUDGET) == 1
    with ScriptedServer([READ]) as server, pytest.raises(BudgetTooSmallError):
        talk_of(server, budget=5, fail_open=False).ask(stream)


def test_a_round_inside_that_is_larger_than_the_budget_goes_to_the_model_all_the_same(
    talk_of: Any, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    script: list[Any] = [READ, expand("Look.", query="gave up " * 2_000), Reply("Code E-4711.")]
    with ScriptedServer(script, extends=None) as server:
        talk = talk_of(server, budget=2_800)
        talk.read_log(stream)
        assert talk.ask(stream).text.endswith("Code E-4711.")
    assert not server.problems and server.left == 0 and caplog.text.count(ABOVE_BUDGET) == 1


TOO_LONG = Fail(400, "This model's maximum context length is 4096 tokens. Please reduce the length of the messages.")


def test_a_request_that_the_provider_finds_too_long_is_sent_again_smaller(talk_of: Any, stream: bool) -> None:
    script: list[Any] = [READ, READ, READ, TOO_LONG, TOO_LONG, Reply("Done."), Reply("Bye.")]
    with ScriptedServer(script, extends=None) as server:
        talk = talk_of(server)
        for _ in range(3):
            talk.read_log(stream)
        assert talk.ask(stream).text == "Done."
        talk.say("Thanks.")
        assert talk.ask(stream).text == "Bye."
    assert not server.problems and server.left == 0
    sizes = [len(sent(request)) for request in server.requests]
    assert sizes[4] < 0.6 * sizes[3] and sizes[5] < 0.6 * sizes[4] and sizes[6] < sizes[4]
    assert all(TASK in sent(request) for request in server.requests)


def test_after_two_smaller_requests_the_caller_gets_the_providers_error(talk_of: Any, stream: bool) -> None:
    with (
        ScriptedServer([READ, READ, TOO_LONG, TOO_LONG, TOO_LONG], extends=None) as server,
        pytest.raises(openai.BadRequestError, match="maximum context length"),
    ):
        talk = talk_of(server)
        talk.read_log(stream)
        talk.read_log(stream)
        talk.ask(stream)
    assert not server.problems and server.left == 0
    assert max(len(sent(request)) for request in server.requests) == len(sent(server.requests[2]))


def test_a_round_inside_that_the_provider_finds_too_long_is_sent_again_smaller(talk_of: Any, stream: bool) -> None:
    with ScriptedServer([READ, READ, expand(), TOO_LONG, Reply("Code E-4711.")], extends=None) as server:
        talk = talk_of(server)
        talk.read_log(stream)
        talk.read_log(stream)
        assert talk.ask(stream).text == "Code E-4711."
    assert not server.problems and server.left == 0
    assert len(sent(server.requests[4])) < 0.7 * len(sent(server.requests[3]))


def test_an_expansion_beside_a_callers_own_call_reaches_the_model_in_a_history_of_another_form(
    talk_of: Any, stream: bool
) -> None:
    """Some agents write calls and results as plain text into their next request."""
    own = Call("read_log", {"path": "other.log"})
    with ScriptedServer([READ, expand("Both.", own, query="gave up"), Reply("Code E-4711."), Reply("Bye.")]) as server:
        talk = talk_of(server)
        talk.read_log(stream)
        before = len(talk.history)
        talk.ask(stream)
        calls = [{"role": "assistant", "content": "Both. Calling read_log with other.log."}]
        talk.history[before:] = [*calls, {"role": "user", "content": "Observation: nothing there"}]
        assert talk.ask(stream).text == "Code E-4711."
        talk.say("Thanks.")
        talk.ask(stream)
    assert not server.problems and server.left == 0
    assert NEEDLE in sent(server.requests[2]) and "Observation: nothing there" in sent(server.requests[2])


def test_the_receipts_of_all_conversations(compressor: Compressor) -> None:
    with ScriptedServer([READ, READ, READ, READ, Reply("Done.")], extends=None) as server:
        talk = ChatTalk(with_compression(plain_openai(server), compressor, budget=2_000))
        assert talk.client.receipts() == []
        for _ in range(4):
            talk.read_log()
        talk.ask()
    receipts = talk.client.receipts()
    assert len(receipts) == talk.client.cost_report().compactions >= 1
    assert receipts[-1]["tokens_after"] <= receipts[-1]["budget"] == 2_000
    assert receipts[-1]["tallies"]["user_words"]["in_view"] == 2
