"""The wrapped OpenAI clients against a real local server: chat completions and Responses, whole and streamed."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from compressor import Compressor, CompressorError
from compressor.sessions import Policy
from support import client_scenarios as scenarios
from support.client_scenarios import EXPAND, NO_COMPACTION, OWN_TOOLS, READ, RECALL, FullStore, expand, look_up, sent
from support.client_tools import LOG, NEEDLE, TASK, ChatTalk, ResponsesTalk, Talk, plain_openai, ref_in
from support.scripted_server import Call, Fail, Reply, Request, ScriptedServer

openai = pytest.importorskip("openai")
pydantic = pytest.importorskip("pydantic")

from compressor.providers.expand_resolver import ResolvedCall  # noqa: E402
from compressor_agents.openai import with_compression  # noqa: E402


def test_a_long_result_is_cut_and_its_tool_is_there_from_the_first_call_on(talk_of: Any, stream: bool) -> None:
    scenarios.play_long_result(talk_of, stream)


def test_a_call_of_our_tools_is_answered_inside_the_call(talk_of: Any, stream: bool, own_tool: str) -> None:
    talk, answer, requests = scenarios.play_two_look_ups(talk_of, stream, own_tool)
    assert answer.reason in ("stop", "completed")
    assert sent(requests[3]).count("gave up") > 1
    assert own_tool not in json.dumps([m if isinstance(m, dict) else m.to_dict() for m in talk.history])


def test_the_usage_has_the_last_prompt_and_all_that_was_written(talk_of: Any, stream: bool) -> None:
    usage = scenarios.play_usage(talk_of, stream)
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
    assert usage.get("prompt_tokens", usage.get("input_tokens")) == 300, "clients compact themselves by it"
    assert usage.get("completion_tokens", usage.get("output_tokens")) == 27
    assert usage["total_tokens"] == 327 and details is not None and details["cached_tokens"] == 200


def test_an_answer_is_not_lost_for_a_usage_that_nobody_knows(talk_of: Any, stream: bool) -> None:
    unknown_usage = {"tokens": 7}  # as some gateways have it
    with ScriptedServer([READ, expand(), Reply("Code E-4711.")]) as server:
        talk = talk_of(server)
        talk.read_log(stream)
        on_turn = ResolvedCall.on_turn

        def with_unknown_usage(call: ResolvedCall, turn: Any) -> bool:
            return on_turn(call, replace(turn, usage=unknown_usage))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ResolvedCall, "on_turn", with_unknown_usage)
            assert talk.ask(stream).text == "Code E-4711."
    assert not server.problems and server.left == 0 and NEEDLE in sent(server.requests[2])


def test_looking_up_and_calling_in_one_turn_gives_the_caller_its_own_call(
    talk_of: Any, stream: bool, own_tool: str
) -> None:
    answer, requests = scenarios.play_look_up_beside_own_call(talk_of, stream, own_tool)
    assert answer.reason in ("tool_calls", "completed")
    assert NEEDLE in sent(requests[2]) and "nothing there" in sent(requests[2])


def test_own_calls_after_a_look_up_keep_it_in_the_history(talk_of: Any, stream: bool, own_tool: str) -> None:
    scenarios.play_own_call_after_look_up(talk_of, stream, own_tool, "Hm.")


def test_both_tools_can_be_called_in_one_turn(talk_of: Any, stream: bool) -> None:
    both = expand("", Call(RECALL, {"query": "which worker gave up", "max_tokens": 100}), Call(RECALL, "no JSON"))
    with ScriptedServer([READ, both, Reply("Code E-4711."), Reply("Bye.")]) as server:
        talk = talk_of(server)
        talk.read_log(stream)
        answer = talk.ask(stream)
        assert answer.text == "Code E-4711." and answer.calls == []
        talk.say("Thanks.")
        assert talk.ask(stream).text == "Bye."
    assert not server.problems and server.left == 0
    results = server.requests[2].messages[-3:]
    expanded, recalled, refused = (str(message.get("content") or message.get("output")) for message in results)
    assert NEEDLE in expanded and NEEDLE in recalled and len(recalled) < 0.3 * len(expanded)
    assert refused.startswith("Not searched: ")


def test_rounds_are_bounded(talk_of: Any, stream: bool, own_tool: str) -> None:
    with ScriptedServer([READ, *[look_up(own_tool) for _ in range(5)], Reply("Still here.")]) as server:
        talk = talk_of(server)
        talk.read_log(stream)
        answer = talk.ask(stream)
        assert answer.calls == [] and answer.text == "" and answer.reason in ("stop", "completed")
        assert len(server.requests) == 6 and "last look-up" in sent(server.requests[5])
        talk.say("And?")
        assert talk.ask(stream).text == "Still here."
    assert not server.problems


def test_a_ref_of_another_conversation_is_not_answered(talk_of: Any) -> None:
    with ScriptedServer([READ, lambda r: Reply(ref_in(r))]) as server:
        talk = talk_of(server)
        talk.read_log()
        ref = talk.ask().text
    with ScriptedServer([READ, Reply("", [Call(EXPAND, {"ref": ref})]), Reply("No.")]) as server:
        other = talk_of(server)
        other.history[-1] = {"role": "user", "content": "Another task."}
        answer = other.ask()
        other.result(answer.calls[0][0], "short")
        assert other.ask().text == "No."
    assert "has no ref" in sent(server.requests[2]) and NEEDLE not in sent(server.requests[2])


def test_text_is_passed_on_before_the_call_inside_is_made(compressor: Compressor) -> None:
    with ScriptedServer([READ, expand("Let me look at that log."), Reply("Code E-4711.")]) as server:
        talk = ChatTalk(with_compression(plain_openai(server), compressor))
        talk.read_log()
        seen = []
        for chunk in talk.request(stream=True):
            if chunk.choices and chunk.choices[0].delta.content:
                seen.append((chunk.choices[0].delta.content, len(server.requests)))
    assert seen[0] == ("Let ", 2) and [text for text, made in seen if made == 2][-1] == "log."
    assert [text for text, made in seen if made == 3] == ["\n\nCode ", "E-4711."]


def test_a_stream_left_early_leaves_nothing_behind(compressor: Compressor) -> None:
    with ScriptedServer([READ, Reply("One two three four."), Reply("Whole.")]) as server:
        talk = ChatTalk(with_compression(plain_openai(server), compressor))
        talk.read_log()
        with talk.request(stream=True) as stream:
            assert isinstance(stream, openai.Stream) and stream.response.status_code == 200
            next(stream)
        assert list(stream) == []
        assert talk.ask().text == "Whole."
    assert not server.problems


def test_a_stream_that_breaks_raises_what_it_raises_without_us(compressor: Compressor) -> None:
    broken = Reply("One two three four five six.", breaks_after=3)
    with ScriptedServer([broken, READ, broken, Reply("Again.")], extends=None) as server:
        client = plain_openai(server, max_retries=0)
        with pytest.raises(Exception) as without:
            ChatTalk(client).ask(stream=True)
        talk = ChatTalk(with_compression(client, compressor))
        talk.read_log()
        with pytest.raises(type(without.value)):
            talk.ask(stream=True)
        assert talk.ask(stream=True).text == "Again."


def test_errors_of_the_provider_are_the_callers(talk_of: Any, stream: bool) -> None:
    busy = [Fail(429)] * 3
    with ScriptedServer([READ, Fail(500), expand(), Fail(500), Reply("Done."), *busy, Reply("Bye.")]) as server:
        talk = talk_of(server)
        talk.read_log(stream)
        assert talk.ask(stream).text == "Done."
        talk.say("Thanks.")
        with pytest.raises(openai.RateLimitError):
            talk.ask(stream)
        assert talk.ask(stream).text == "Bye."
    assert not server.problems


def test_what_the_provider_refuses_goes_out_as_it_was(
    talk_of: Any, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def no_tools_please(request: Request) -> Reply | Fail:
        return Fail(400, "unknown tool") if EXPAND in request.tools else READ

    with ScriptedServer([no_tools_please, no_tools_please, Reply("Done.")], extends=None) as server:
        talk = talk_of(server)
        talk.read_log(stream)
        assert talk.ask(stream).text == "Done."
    assert "unknown tool" in caplog.text
    assert LOG.splitlines()[30] in sent(server.requests[2]) and server.requests[2].tools == ["read_log"]
    with (
        ScriptedServer([Fail(400, "bad temperature")] * 2) as server,
        pytest.raises(openai.BadRequestError, match="bad temperature"),
    ):
        talk_of(server).ask(stream)


def test_our_own_errors_let_the_original_through_and_are_logged_once(
    talk_of: Any, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def full(server: ScriptedServer, **options: Any) -> Talk:
        talk: Talk = talk_of(server, **options)
        talk.client._resolver.tracker.compressor = Compressor(store=FullStore())
        return talk

    with ScriptedServer([READ, Reply("Done.")], extends=None) as server:
        talk = full(server)
        talk.read_log(stream)
        assert talk.ask(stream).text == "Done."
    assert server.requests[1].tools == ["read_log"] and NEEDLE in sent(server.requests[1])
    assert len([r for r in caplog.records if r.name == "compressor_agents"]) == 1 and "disk full" in caplog.text
    with ScriptedServer([READ, Reply("Done.")]) as server:
        talk = full(server, fail_open=False)
        talk.read_log(stream)
        with pytest.raises(OSError, match="disk full"):
            talk.ask(stream)


def test_without_tools_ours_come_with_the_first_ref_and_stay(compressor: Compressor, own_tool: str) -> None:
    with ScriptedServer(
        [Reply("Hello."), look_up(own_tool), Reply("Code E-4711."), Reply("Bye.")], extends=None
    ) as server:
        talk = ChatTalk(with_compression(plain_openai(server), compressor))
        talk.tools = []
        talk.ask()
        call = {"id": "call_a", "type": "function", "function": {"name": "read_log", "arguments": "{}"}}
        talk.history += [{"role": "user", "content": TASK}, {"role": "assistant", "tool_calls": [call]}]
        talk.result("call_a", LOG)
        assert talk.ask().text == "Code E-4711."
        talk.say("Thanks.")
        talk.ask()
    assert [request.tools for request in server.requests] == [[], OWN_TOOLS, OWN_TOOLS, OWN_TOOLS]
    assert not server.problems


def test_a_long_run_is_compacted_and_stays_what_a_provider_takes(talk_of: Any, stream: bool) -> None:
    rounds: list[Any] = [
        READ,
        READ,
        expand(),
        READ,
        expand("Hm.", Call("read_log", {"path": "b"})),
        READ,
        Reply("Done."),
    ]
    with ScriptedServer(rounds, extends=None) as server:
        talk = talk_of(server, budget=6_000, policy=Policy(target=("tokens", 2_000)))
        answer = talk.ask(stream)
        while answer.calls:
            talk.result(answer.calls[0][0], LOG.replace("worker", f"worker{len(talk.history)}"))
            answer = talk.ask(stream)
    assert answer.text == "Done." and not server.problems and server.left == 0
    report = talk.client.cost_report()
    assert report.compactions >= 1 and report.actual_tokens < 0.5 * report.baseline_tokens


def test_our_tools_can_be_left_out(talk_of: Any) -> None:
    with ScriptedServer([READ, Reply("Done.")]) as server:
        talk = talk_of(server, expand=False)
        talk.read_log()
        assert talk.ask().text == "Done."
    assert server.requests[1].tools == ["read_log"] and len(sent(server.requests[1])) < 0.8 * len(LOG)


def test_a_tool_of_that_name_is_the_callers_business(compressor: Compressor, own_tool: str, stream: bool) -> None:
    with ScriptedServer([Reply("", [Call(own_tool, {"ref": "1"})])]) as server:
        talk = ChatTalk(with_compression(plain_openai(server), compressor))
        own = json.loads(json.dumps(talk.tools[0]))
        own["function"]["name"] = own_tool
        talk.tools = [own]
        assert [call[1] for call in talk.ask(stream).calls] == [own_tool]
    other = RECALL if own_tool == EXPAND else EXPAND
    assert server.requests[0].tools == [other, own_tool] and not server.problems


def test_conversations_side_by_side_and_branches_do_not_disturb_each_other(compressor: Compressor) -> None:
    with ScriptedServer([READ, READ, READ, *[Reply("Done.")] * 5, expand(), Reply("Bye.")], extends="any") as server:
        client = with_compression(plain_openai(server), compressor, policy=NO_COMPACTION)
        talks = [ChatTalk(client), ChatTalk(client), ChatTalk(client)]
        for talk, task in zip(talks[1:], ("Read about worker-3.", "Read about worker-4."), strict=True):
            talk.history[1] = {"role": "user", "content": task}
        for talk in talks:
            talk.read_log()
        for talk in talks:
            talk.ask()
        branch = ChatTalk(client)
        branch.history = [*talks[0].history[:-1], {"role": "user", "content": "Go on."}]
        branch.ask()
        talks[0].say("Go on, but elsewhere.")  # departs from the branch, which has gone on in the same conversation
        talks[0].ask()
        talks[0].say("And what was cut?")
        talks[0].ask()
    assert not server.problems and server.left == 0 and NEEDLE in sent(server.requests[-1])
    assert client.cost_report().calls == 10 and client.cost_report().expansions == 1


@pytest.mark.parametrize("compact", [False, True])
def test_who_begins_with_the_same_words_gets_nothing_of_the_others(compressor: Compressor, compact: bool) -> None:
    """One client may serve many users, and many of them begin alike."""
    secret = LOG.replace("worker", "secret")
    policy = Policy(target=("tokens", 1_500)) if compact else NO_COMPACTION
    reads = [Reply("", [Call("read_log", {"path": f"{i}"})]) for i in range(5)]
    with ScriptedServer([*reads, lambda r: Reply(ref_in(r))], extends=None) as server:
        client = with_compression(plain_openai(server), compressor, budget=6_000 if compact else None, policy=policy)
        first = ChatTalk(client)
        for i in range(5):
            first.result(first.ask().calls[0][0], secret.replace("secret", f"secret{i}"))
        ref = first.ask().text
    assert bool(client.cost_report().compactions) == compact
    with ScriptedServer([READ, Reply("", [Call(EXPAND, {"ref": ref})]), Reply("No.")], extends=None) as server:
        other = ChatTalk(client.with_options(base_url=server.url + "/v1"))
        other.read_log()
        assert other.ask().text == "No."
    assert "has no ref" in sent(server.requests[2])
    assert "secret" not in "".join(map(sent, server.requests)) and "index of earlier" not in sent(server.requests[1])


def test_threads_can_share_one_client(compressor: Compressor) -> None:
    def replies(request: Request) -> Reply:
        rounds = sum(message["role"] == "tool" for message in request.messages)
        if rounds == 0:
            return READ
        return Reply("", [Call(EXPAND, {"ref": ref_in(request)})]) if rounds == 1 else Reply("Done.")

    def talk(i: int) -> str:
        caller = ChatTalk(client)
        caller.history[1] = {"role": "user", "content": f"{TASK} {i}"}
        caller.read_log(i % 2 == 0)
        first = caller.ask(i % 2 == 0).text
        caller.say("Thanks.")
        return first + caller.ask().text

    with ScriptedServer([replies] * 32, extends="any") as server:
        client = with_compression(plain_openai(server), compressor, policy=NO_COMPACTION)
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(talk, range(8))) == ["Done.Done."] * 8
    assert not server.problems and server.left == 0
    assert client.cost_report().expansions == 8


def test_all_calls_can_belong_to_one_session(compressor: Compressor) -> None:
    session = compressor.session("the-one", model="gpt-4o")
    with ScriptedServer([READ, Reply("Done."), Reply("Bye.")]) as server:
        talk = ChatTalk(with_compression(plain_openai(server), compressor, session=session))
        talk.read_log()
        talk.ask()
        talk.say("Thanks.")
        talk.client = with_compression(plain_openai(server), compressor, session="the-one")  # as after a restart
        talk.ask()
    assert not server.problems
    assert session.cost_report().calls == 3


def test_the_original_client_and_everything_else_stay_as_they_are(compressor: Compressor) -> None:
    with ScriptedServer([Reply("One."), Reply("Two.")], extends=None) as server:
        client = plain_openai(server, max_retries=1)
        client.chat.completions  # noqa: B018  # made, and kept, by the original
        wrapped = with_compression(client, compressor)
        assert isinstance(wrapped, openai.OpenAI) and wrapped.base_url == client.base_url
        assert wrapped.max_retries == 1 and wrapped.with_options(max_retries=7).max_retries == 7
        ChatTalk(client).ask()
        ChatTalk(wrapped.with_options(timeout=5)).ask()
        with pytest.raises(openai.NotFoundError):
            wrapped.models.list()
    assert [request.tools for request in server.requests] == [["read_log"], [*OWN_TOOLS, "read_log"]]
    assert wrapped.cost_report().calls == 1
    with pytest.raises(CompressorError, match=r"openai\.OpenAI"):
        with_compression(object())  # type: ignore[type-var]
    assert with_compression(client, compressor).cost_report().calls == 0


def test_what_does_not_hold_its_history_goes_out_as_it_is(
    compressor: Compressor, caplog: pytest.LogCaptureFixture
) -> None:
    output = {"type": "function_call_output", "call_id": "call_1_0", "output": LOG}
    with ScriptedServer([Reply("One."), Reply("Two."), Reply("Three.")], extends=None) as server:
        client = with_compression(plain_openai(server), compressor)
        raw = client.chat.completions.with_raw_response.create(
            model="gpt-4o", messages=[{"role": "user", "content": TASK}]
        )
        assert raw.parse().choices[0].message.content == "One."
        client.chat.completions.create(model="gpt-4o", n=2, messages=[{"role": "user", "content": LOG}])
    assert NEEDLE in sent(server.requests[1]) and "raw response" in caplog.text
    server.requests.clear()
    with ScriptedServer([], extends=None) as server:
        client = with_compression(plain_openai(server, max_retries=0), compressor)
        with pytest.raises(openai.BadRequestError):  # the scripted server keeps no responses
            client.responses.create(model="gpt-4o", previous_response_id="resp_1", input=[output])
    assert server.requests[0].body["input"] == [output]


def test_a_response_can_be_continued_by_the_id_its_stream_showed(compressor: Compressor) -> None:
    with ScriptedServer([READ, expand(), Reply("Done."), Reply("Bye.")], extends=None) as server:
        talk = ResponsesTalk(with_compression(plain_openai(server), compressor))
        talk.read_log()
        events = list(talk.request(stream=True))
        assert {event.response.id for event in events if hasattr(event, "response")} == {"resp_2"}
        talk.client.responses.create(model="gpt-4o", previous_response_id="resp_2", input="Thanks.")
    assert server.requests[3].body == {"model": "gpt-4o", "previous_response_id": "resp_3", "input": "Thanks."}


def test_what_needs_no_change_goes_out_as_it_is(compressor: Compressor) -> None:
    function = {"name": "read_log", "parameters": {"type": "object", "properties": {}}}
    hello: Any = [{"role": "user", "content": "Hello."}]
    with ScriptedServer([Reply("One."), Reply("Two."), Reply("Three.")], extends=None) as server:
        client = with_compression(plain_openai(server), compressor)
        client.responses.create(model="gpt-4o", input="Hello.")
        client.chat.completions.create(model="gpt-4o", messages=hello, extra_body={"top_k": 3})
        client.chat.completions.create(model="gpt-4o", messages=hello, functions=[function])
    assert [request.body for request in server.requests] == [
        {"model": "gpt-4o", "input": "Hello."},
        {"model": "gpt-4o", "messages": hello, "top_k": 3},
        {"model": "gpt-4o", "messages": hello, "functions": [function]},
    ]
    assert client.cost_report().calls == 2  # the last is the same conversation, asked again


class Verdict(pydantic.BaseModel):  # type: ignore[misc,name-defined]
    code: str
    tries: int


@pytest.mark.parametrize("kind", ["chat", "responses"])
def test_structured_output_and_the_sdks_own_streams_work(compressor: Compressor, kind: str) -> None:
    verdict = Reply('{"code": "E-4711", "tries": 9}')
    strict = {"additionalProperties": False}
    with ScriptedServer([READ, expand(), verdict, expand(), verdict], extends=None) as server:
        client = with_compression(plain_openai(server), compressor)
        if kind == "chat":
            talk: Talk = ChatTalk(client)
            tool = talk.tools[0]
            tool["function"] |= {"strict": True, "parameters": tool["function"]["parameters"] | strict}
            talk.read_log()
            given: Any = {"model": "gpt-4o", "messages": talk.history, "tools": [tool], "response_format": Verdict}
            parsed = client.chat.completions.parse(**given).choices[0].message.parsed
            with client.chat.completions.stream(**given) as stream:
                kinds = [event.type for event in stream]
                final = stream.get_final_completion()
            assert "content.delta" in kinds and not any("tool_calls" in kind for kind in kinds)
            streamed = final.choices[0].message.parsed
        else:
            talk = ResponsesTalk(client)
            talk.read_log()
            given = {"model": "gpt-4o", "input": talk.history, "tools": talk.tools, "text_format": Verdict}
            parsed = client.responses.parse(**given).output_parsed
            with client.responses.stream(**given) as stream:
                kinds = [event.type for event in stream]
                response = stream.get_final_response()
            assert "response.output_text.delta" in kinds and "response.function_call_arguments.delta" not in kinds
            streamed = response.output_parsed
    assert parsed == streamed == Verdict(code="E-4711", tries=9)
    assert not server.problems


def test_reasoning_goes_back_sealed_where_nothing_is_stored(compressor: Compressor) -> None:
    with ScriptedServer([READ, expand(thinking="Hm."), Reply("Done.")]) as server:
        client = with_compression(plain_openai(server), compressor, policy=Policy(compact=False))
        talk = ResponsesTalk(client, store=False, include=["reasoning.encrypted_content"])
        talk.read_log()
        talk.ask()
    kinds = [item.get("type", "message") for item in server.requests[2].body["input"]]
    assert kinds[-3:] == ["reasoning", "function_call", "function_call_output"] and not server.problems
    assert "id" not in server.requests[2].body["input"][-2]


def test_a_policy_reaches_the_conversation(compressor: Compressor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with ScriptedServer([READ, Reply("Done.")]) as server:
        talk = ChatTalk(with_compression(plain_openai(server), compressor, policy=Policy(ingest=False, compact=False)))
        talk.read_log()
        talk.ask()
    assert server.requests[1].messages[-1]["content"] == LOG and not caplog.records
