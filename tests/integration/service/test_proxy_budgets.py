"""When the proxy compacts and down to what size, what it does if that is too much, and what it says about it."""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import Any

import pytest

from compressor import CompressorError
from compressor.service.settings import Settings
from compressor.sessions.policy_sizes import PRESETS
from support.client_scenarios import EXPAND, OWN_TOOLS, READ, expand, sent
from support.client_tools import LOG, NEEDLE, TASK, ChatTalk, MessagesTalk, ResponsesTalk, Talk, ref_in
from support.long_runs import Event, Said, User, prefixes, reads, to_chat
from support.scripted_server import Call, Fail, Reply, ScriptedServer, Usage

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")
pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from support.service_tools import Service, error_of  # noqa: E402

TALKS: dict[str, type[Talk]] = {"chat": ChatTalk, "responses": ResponsesTalk, "messages": MessagesTalk}
RUN: list[Event] = [User("Look at all parts of job J-7. Never restart it."), *reads(0, 24), Said("Done.")]
TOOLS = [{"type": "function", "function": {"name": "read", "description": "Reads", "parameters": {"type": "object"}}}]


def talk_of(kind: str, service: Service) -> Talk:
    if kind == "messages":
        return MessagesTalk(anthropic.Anthropic(base_url=service.url, api_key="any", max_retries=0))
    return TALKS[kind](openai.OpenAI(base_url=service.url + "/v1", api_key="any", max_retries=0))


@pytest.fixture(params=list(TALKS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def play(model: str, headers: dict[str, str], steps: int = 24, **settings: Any) -> tuple[list[str], list[Any]]:
    """Plays a run; returns the messages of each request as they were sent, and the headers of the answers."""
    histories = [to_chat(history) for history in prefixes([RUN[0], *reads(0, steps)])]
    with (
        ScriptedServer([Reply("ok")] * len(histories), extends=None) as server,
        Service(upstream=server.url, **settings) as service,
    ):
        given = [
            service.http.post(
                "/v1/chat/completions", json={"model": model, "messages": messages, "tools": TOOLS}, headers=headers
            ).headers
            for messages in histories
        ]
    assert not server.problems
    return [sent(request) for request in server.requests], given


def tokens_after(headers: list[Any]) -> list[int]:
    return [int(one["x-compressor-tokens-after"]) for one in headers]


def test_the_same_history_gives_the_same_view_whatever_the_models_name() -> None:
    views = {model: play(model, {})[0] for model in ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-5", "my-own-model")}
    assert all(view == views["gpt-4o"] for view in views.values())


def test_without_a_budget_nothing_leaves_for_the_price_alone() -> None:
    requests, headers = play("gpt-4o", {})
    sizes = tokens_after(headers)
    assert sizes == sorted(sizes) and sizes[-1] > 10_000, "it is far below the window, so nothing was compacted"
    assert all(now.startswith(before[:-1]) for before, now in pairwise(requests))


def test_it_compacts_near_the_budget_and_leaves_room() -> None:
    sizes = tokens_after(play("gpt-4o", {}, budget=6_000)[1])
    drops = [(before, after) for before, after in pairwise(sizes) if after < before]
    assert drops and max(sizes) <= 0.85 * 6_000 + 900 and all(after >= 0.5 * 6_000 for _, after in drops)


@pytest.mark.parametrize(
    ("headers", "settings"),
    [
        ({"x-compressor-trigger": "5000", "x-compressor-target": "3000"}, {}),
        ({"x-compressor-trigger": "4.9%", "x-compressor-target": "0.03"}, {}),
        ({}, {"policy": {"trigger": ["tokens", 5_000], "target": ["tokens", 3_000], "keep": ["fraction", 0.5]}}),
        ({"x-compressor-session": "named", "x-compressor-trigger": "5000", "x-compressor-target": "3000"}, {}),
    ],
)
def test_settings_and_headers_say_when_and_down_to_what_size(headers: Any, settings: Any) -> None:
    sizes = tokens_after(play("gpt-4o", headers, **settings)[1])
    drops = [(before, after) for before, after in pairwise(sizes) if after < before]
    assert drops and max(sizes) <= 6_000 and all(2_000 <= after <= 4_500 for _, after in drops), sizes


def test_a_preset_compacts_for_the_price() -> None:
    sizes = {
        preset: tokens_after(play("gpt-4o", {"x-compressor-preset": preset}, 40)[1])
        for preset in ("frugal", "faithful")
    }
    assert max(sizes["frugal"]) < max(sizes["faithful"])
    assert Settings(policy={"preset": "frugal"}).session_policy().sizes(False) == PRESETS["frugal"]
    by_setting = tokens_after(play("gpt-4o", {}, 40, policy={"preset": "frugal"})[1])
    assert by_setting == sizes["frugal"]


def test_what_cannot_be_read_is_said_and_costs_no_request(caplog: pytest.LogCaptureFixture) -> None:
    for headers in (
        {"x-compressor-trigger": "soon"},
        {"x-compressor-target": "0"},
        {"x-compressor-preset": "cheap"},
        {"x-compressor-preset": "cheap", "x-compressor-session": "named"},
        {"x-compressor-keep": "150%"},
    ):
        answers = play("gpt-4o", headers)[1]
        assert answers[0]["x-compressor-warning"] == "not compressed: compressor_error", headers
    for policy in ({"preset": "cheap"}, {"trigger": "soon"}, {"target": ["fraction", 2]}, {"keep": None}):
        with pytest.raises(CompressorError, match="policy"):
            Settings(policy=policy)


def test_the_options_of_a_session_are_kept_and_have_to_be_valid() -> None:
    with Service() as service:
        url = "/v1/sessions/import-42"
        body = {"messages": to_chat(RUN[:12]), "model": "gpt-4o", "trigger": ["tokens", 5_000]}
        assert service.http.post(f"{url}/append", json=body | {"target": ["tokens", 3_000]}).status_code == 200
        viewed = service.http.post(f"{url}/view", json={}).json()
        assert viewed["cost_report"]["view_tokens"] <= 4_500 and viewed["cost_report"]["compactions"] == 1
        for wrong in ({"preset": "cheap"}, {"trigger": "soon"}, {"target": ["fraction", "x"]}):
            assert service.http.post(f"{url}/append", json=wrong).status_code == 422
        assert error_of(service.http.post(f"{url}/append", json={"target": ["fraction", 2.0]})) == "compressor_error"
        assert service.http.post(f"{url}/view", json={}).status_code == 200


def test_receipts_of_named_and_unnamed_conversations_over_http() -> None:
    with (
        ScriptedServer([Reply("ok")] * 50, extends=None) as server,
        Service(upstream=server.url, budget=5_000) as service,
    ):
        for name in ("", "named"):
            headers = {"x-compressor-session": name} if name else {}
            for history in prefixes(RUN):
                body = {"model": "gpt-4o", "messages": to_chat(history), "tools": TOOLS}
                answer = service.http.post("/v1/chat/completions", json=body, headers=headers)
            id = answer.headers["x-compressor-session"]
            found = service.http.get(f"/v1/sessions/{id}/receipts")
            assert found.json()["id"] == id and found.headers["cache-control"] == "no-store"
            receipts = found.json()["receipts"]
            assert [one["compaction"] for one in receipts] == list(range(1, len(receipts) + 1)) and receipts
            assert all(one["tokens_after"] <= one["budget"] == 5_000 for one in receipts)
            assert receipts[-1]["tallies"]["rules"] == {"in_view": 1, "behind_ref": 0, "archived": 0}
        assert error_of(service.http.get("/v1/sessions/none/receipts")) == "unknown_session"
        described = service.http.get("/openapi.json").json()
        assert "tallies" in described["components"]["schemas"]["Receipt"]["properties"]


def test_a_budget_that_is_too_small_gives_the_smallest_view_and_says_so(
    kind: str, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        ScriptedServer([READ, READ, Reply("Done."), Reply("Hm.")], extends=None) as server,
        Service(upstream=server.url, budget=5) as service,
    ):
        talk = talk_of(kind, service)
        with caplog.at_level(logging.WARNING, "compressor.service"):
            talk.read_log(stream)
            talk.read_log(stream)
            assert talk.ask(stream).text == "Done."
        assert service.metric("warnings_total", reason="above_budget") == 1 and not service.metric("fallbacks_total")
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": TASK}]}
        said = service.http.post("/v1/chat/completions", json=body).headers["x-compressor-warning"]
        assert said == "above the budget: the smallest possible view was sent"
    assert not server.problems and [request.tools for request in server.requests[:3]] == [[*OWN_TOOLS, "read_log"]] * 3
    assert all(len(sent(request)) < 0.3 * len(LOG) and TASK in sent(request) for request in server.requests)
    assert caplog.text.count("above the budget") == 2, "once for each of the two conversations"


def test_over_http_the_smallest_view_is_given_to_those_who_ask_for_it() -> None:
    with Service(budget=5) as service:
        url = "/v1/sessions/s"
        service.http.post(f"{url}/append", json={"messages": to_chat(RUN[:8]), "model": "gpt-4o"})
        assert error_of(service.http.post(f"{url}/view", json={})) == "budget_too_small"
        viewed = service.http.post(f"{url}/view", json={"best_effort": True}).json()
        assert "smallest possible view" in viewed["warnings"][0]


TOO_LONG = {
    "chat": "This model's maximum context length is 4096 tokens. Please reduce the length of the messages.",
    "responses": "Your input exceeds the context window of this model. Please adjust your input and try again.",
    "messages": "prompt is too long: 210213 tokens > 200000 maximum",
}


def test_a_request_that_the_provider_finds_too_long_is_sent_again_smaller(kind: str, stream: bool) -> None:
    fail = Fail(400, TOO_LONG[kind])
    with (
        ScriptedServer([READ, READ, fail, fail, Reply("Done."), Reply("Bye.")], extends=None) as server,
        Service(upstream=server.url) as service,
    ):
        talk = talk_of(kind, service)
        talk.read_log(stream)
        talk.read_log(stream)
        assert talk.ask(stream).text == "Done."
        talk.say("Thanks.")
        assert talk.ask(stream).text == "Bye."
        assert service.metric("warnings_total", reason="too_long_for_provider") == 2 and not service.metric(
            "fallbacks_total"
        )
    sizes = [len(sent(request)) for request in server.requests]
    assert not server.problems and server.left == 0 and sizes[4] < 0.7 * sizes[3] < 0.5 * sizes[2]
    assert TASK in sent(server.requests[4])


def test_a_provider_that_always_finds_it_too_long_is_passed_on(kind: str, stream: bool) -> None:
    with (
        ScriptedServer([READ, *[Fail(413, "request too large")] * 3], extends=None) as server,
        Service(upstream=server.url) as service,
    ):
        talk = talk_of(kind, service)
        talk.read_log(stream)
        with pytest.raises((openai.APIStatusError, anthropic.APIStatusError), match="request too large") as caught:
            talk.ask(stream)
    assert caught.value.status_code == 413 and "x-compressor-warning" in caught.value.response.headers
    assert max(len(sent(request)) for request in server.requests) < 1.2 * len(LOG)


def test_a_round_inside_that_the_provider_finds_too_long_is_sent_again_smaller(kind: str, stream: bool) -> None:
    script = [READ, READ, expand(), Fail(400, TOO_LONG[kind]), Reply("Code E-4711.")]
    with ScriptedServer(script, extends=None) as server, Service(upstream=server.url) as service:
        talk = talk_of(kind, service)
        talk.read_log(stream)
        talk.read_log(stream)
        assert talk.ask(stream).text == "Code E-4711."
    assert not server.problems and server.left == 0
    assert len(sent(server.requests[4])) < 0.7 * len(sent(server.requests[3]))


def test_an_error_in_the_middle_of_a_stream_keeps_the_providers_fields(kind: str) -> None:
    with (
        ScriptedServer([READ, expand("Look."), Fail(401, "the key was revoked")]) as server,
        Service(upstream=server.url, policy={"compact": False}) as service,
    ):
        talk = talk_of(kind, service)
        talk.read_log(True)
        with pytest.raises((openai.APIError, anthropic.APIError), match="the key was revoked") as caught:
            talk.ask(True)
    assert "scripted" in f"{caught.value.type} {caught.value.body}"  # the provider's own type


def test_the_sum_over_the_rounds_is_in_the_headers_of_a_whole_answer(kind: str) -> None:
    def expand_first(request: Any) -> Reply:
        return Reply("", [Call(EXPAND, {"ref": ref_in(request)})], usage=Usage(100, 50, 10))

    with (
        ScriptedServer([READ, expand_first, expand_first, Reply("Done.", usage=Usage(300, 200, 7)), READ]) as server,
        Service(upstream=server.url, policy={"compact": False}) as service,
    ):
        talk = talk_of(kind, service)
        talk.read_log()
        raw = talk.client.with_raw_response if hasattr(talk.client, "with_raw_response") else talk.client
        talk.client = raw
        answer = talk.request(False)
        heads = {name: answer.headers.get(f"x-compressor-{name}") for name in ("rounds", "prompt-tokens")}
        heads |= {name: answer.headers.get(f"x-compressor-{name}") for name in ("cached-tokens", "output-tokens")}
        assert heads == {"rounds": "3", "prompt-tokens": "500", "cached-tokens": "300", "output-tokens": "27"}
    assert NEEDLE in sent(server.requests[3])
