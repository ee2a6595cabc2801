"""Unnamed conversations that several workers serve from one Redis: the provider gets what one worker would send."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from support.client_scenarios import READ, expand, sent
from support.client_tools import LOG, NEEDLE, ChatTalk, MessagesTalk, ResponsesTalk, Talk, ref_in
from support.redis_tools import RedisServer, shared_server
from support.scripted_server import Call, Reply, ScriptedServer
from support.waiting import wait_for

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")
pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from benchmarks.conversation_scripts import greeted, written  # noqa: E402
from benchmarks.service_processes import Serve  # noqa: E402
from benchmarks.shared_conversations import Processes, replay  # noqa: E402
from compressor.service.sharing import shared_store  # noqa: E402
from compressor.storage.wrappers.encryption_keys import Keyring, new_encryption_key  # noqa: E402
from support.service_tools import Service, history, two_tenants  # noqa: E402

STILL = {"compact": False}  # where a test asks whether every request extends the one before it
TALKS: dict[str, type[Talk]] = {"chat": ChatTalk, "responses": ResponsesTalk, "messages": MessagesTalk}


@pytest.fixture
def url() -> str:
    server = shared_server()
    server.admin.execute_command("FLUSHALL")
    return server.url


@pytest.fixture(params=list(TALKS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def workers(script: list[Any], store: str, **settings: Any) -> Iterator[tuple[ScriptedServer, Service, Service]]:
    given: dict[str, Any] = {"store": store, "policy": STILL, **settings}
    with ScriptedServer(script) as server:
        given |= {"upstream": server.url, "upstream_anthropic": server.url}
        with Service(**given) as one, Service(**given) as other:
            yield server, one, other


def client(kind: str, service: Service, **options: Any) -> Any:
    options = {"api_key": "sk-theirs", "max_retries": 0, **options}
    if kind == "messages":
        return anthropic.Anthropic(base_url=service.url, **options)
    return openai.OpenAI(base_url=service.url + "/v1", **options)


def body(*more: dict[str, Any], text: str = LOG) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [*history(text), *more]}


def ask(service: Service, given: dict[str, Any], **headers: str) -> Any:
    response = service.http.post("/v1/chat/completions", json=given, headers=headers)
    assert response.status_code == 200, response.text
    return response


@pytest.mark.slow
def test_workers_send_what_one_worker_sends(url: str) -> None:
    scripts = [*(written(number) for number in range(9)), *(greeted(number) for number in range(5))]

    def play(**settings: Any) -> Any:
        shared_server().admin.execute_command("FLUSHALL")
        made = asyncio.run(replay(scripts, store=url, **settings))
        assert not made.warnings
        return made

    one = play(count=1)
    assert any(len(bodies) > 1 for bodies in one.seen.values())  # some expand
    assert play(count=2, seed=2).differing(one) == []
    assert play(count=3, seed=3, restart=20).differing(one) == []
    assert play(count=2, share_conversations=False).differing(one)  # so the test can fail


@pytest.mark.slow
def test_worker_processes_send_what_one_worker_sends_while_some_are_killed(url: str) -> None:
    scripts = [*(written(number) for number in range(3, 6)), greeted(1)]
    one = asyncio.run(replay(scripts, count=1, store=url))
    shared_server().admin.execute_command("FLUSHALL")
    killed: list[int] = []
    with ExitStack() as running:

        def serve(provider: str) -> Processes:
            flags = ("--workers", "2", "--store", url, "--upstream", provider)
            env = {"COMPRESSOR_UPSTREAM_ANTHROPIC": provider, "COMPRESSOR_LOG": "error"}
            service = running.enter_context(Serve(*flags, env=env))

            def between(number: int) -> None:
                if number in (12, 24):
                    killed.append(max(set(service.family()) - {service.pid}))
                    os.kill(killed[-1], signal.SIGKILL)
                    wait_for(service.ready, 60)

            return Processes(service.url, between)

        many = asyncio.run(replay(scripts, count=0, serve=serve))
    assert len(killed) == 2 and not many.warnings and many.differing(one) == []


@pytest.mark.parametrize("name", ["", "import-42"], ids=["unnamed", "named"])
def test_what_a_call_hid_is_known_to_the_other_worker(url: str, kind: str, stream: bool, name: str) -> None:
    both = expand("", Call("read_log", {"path": "other.log"}))
    script = [READ, expand("Let me look."), Reply("Code E-4711."), both, Reply("Done."), Reply("Bye.")]
    options = {"default_headers": {"x-compressor-session": name}} if name else {}
    with workers(script, url) as (server, one, other):
        talk = TALKS[kind](client(kind, one, **options))
        talk.read_log(stream)
        assert talk.ask(stream).text.replace("\n\n", "") == "Let me look.Code E-4711."
        talk.client = client(kind, other, **options)
        talk.say("Look at the other one as well.")
        answer = talk.ask(stream)
        assert [call[1] for call in answer.calls] == ["read_log"]
        talk.result(answer.calls[0][0], "nothing there")
        talk.client = client(kind, one, **options)
        assert talk.ask(stream).text == "Done."
        talk.client = client(kind, other, **options)
        talk.say("Thanks.")
        assert talk.ask(stream).text == "Bye."
    assert not server.problems and server.left == 0  # each request extends the one before
    assert sent(server.requests[-1]).count("Let me look.") == 1 and NEEDLE in sent(server.requests[-1])


def test_a_response_goes_on_from_its_last_id_in_every_worker(url: str) -> None:
    with workers([READ, expand("Let me look."), Reply("Done."), Reply("Bye.")], url) as (server, one, other):
        talk = ResponsesTalk(client("responses", one))
        talk.read_log()
        tools: Any = talk.tools
        visible = talk.client.responses.create(model="gpt-4o", input=talk.history, tools=tools).id
        more = {"model": "gpt-4o", "previous_response_id": visible, "input": "Thanks."}
        for service in (other, one):
            service.http.post("/v1/responses", json=more)
    later = [
        request.body["previous_response_id"] for request in server.requests if "previous_response_id" in request.body
    ]
    assert len(set(later)) == 1 and later[0] != visible


def test_parallel_repeats_of_one_request_are_equal(url: str) -> None:
    with ScriptedServer([Reply("ok")] * 60, extends="any") as server:
        given: dict[str, Any] = {"store": url, "upstream": server.url}
        with Service(**given) as one, Service(**given) as other, ThreadPoolExecutor(8) as pool:
            messages: list[dict[str, Any]] = []
            for number in range(6):
                messages = [*messages, *history(f"Part {number}.\n{LOG}"), {"role": "assistant", "content": "ok"}]
                said = {"role": "user", "content": f"And {number}?"}
                now = {"model": "gpt-4o", "messages": [*messages, said]}
                places = [one, other] * 4
                answers = list(pool.map(lambda service, given=now: ask(service, given), places))
                assert len({answer.headers["x-compressor-session"] for answer in answers}) == 1
                assert {json.dumps(request.body) for request in server.requests[-8:]} == {
                    json.dumps(server.requests[-1].body)
                }
                messages.append(said)
                messages.append({"role": "assistant", "content": "ok"})


def test_a_worker_without_redis_goes_on_and_catches_up(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_store, "RETRY_SECONDS", 0.05)
    turns = [[{"role": "assistant", "content": "ok"}, {"role": "user", "content": f"And {n}?"}] for n in range(5)]

    def given(count: int) -> dict[str, Any]:
        return body(*(message for turn in turns[:count] for message in turn))

    with workers([Reply("ok")] * 500, server.url) as (provider, one, other):
        id = ask(one, given(0)).headers["x-compressor-session"]
        server.stop()
        away = ask(one, given(1))
        assert "not shared" in away.headers["x-compressor-warning"]
        assert away.headers["x-compressor-session"] == id
        server.start()
        wait_for(lambda: "x-compressor-warning" not in ask(one, given(1)).headers)  # until the breaker lets it through
        back = ask(one, given(2))
        assert "x-compressor-warning" not in back.headers
        assert ask(other, given(3)).headers["x-compressor-session"] == id
    assert not provider.problems


def test_a_tenant_does_not_continue_anothers_conversation(url: str) -> None:
    keys, settings = two_tenants()
    with workers([Reply("ok")] * 3, url, **settings) as (_, one, other):
        ids = [
            ask(service, body(), **{"x-compressor-key": keys[name]}).headers["x-compressor-session"]
            for service, name in ((one, "red"), (other, "red"), (other, "blue"))
        ]
        assert ids[0] == ids[1]
        names = b"\n".join(shared_server().names()).decode()
        assert set(re.findall(r"acr:1:(\w+):\{l:conversation", names)) == {"red", "blue"}


def test_records_with_secrets_are_stored_only_if_they_are_encrypted(url: str) -> None:
    secret = "sk-ant-api03-" + "aB3dE5fG7h" * 9
    text = f"{LOG[:2000]}\nERROR the key {secret} was refused\n{LOG}"
    keyring = Keyring([new_encryption_key()])
    admin = shared_server().admin
    for settings, is_stored in (({}, False), ({"encryption_keys": keyring}, True)):
        admin.execute_command("FLUSHALL")
        with workers([Reply("ok")] * 2, url, **settings) as (server, one, other):
            for service in (one, other):
                ask(service, body(text=text))
        assert secret in sent(server.requests[0]) and server.requests[0].body == server.requests[1].body
        logs = [name for name in shared_server().names() if b"{l:conversation" in name and not name.endswith(b":was")]
        assert bool(logs) == is_stored
        assert not any(secret.encode() in b"".join(admin.execute_command("LRANGE", name, 0, -1)) for name in logs)


def test_a_branch_may_not_expand_what_only_the_other_branch_has_seen(url: str) -> None:
    other_log = LOG.replace("worker", "robot").replace(NEEDLE, "robot-9 failed")
    call = {"id": "call_2", "type": "function", "function": {"name": "read_log", "arguments": "{}"}}
    branch: list[dict[str, Any]] = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_2", "content": other_log},
    ]
    refs: list[str] = []

    def remember(request: Any) -> Reply:
        refs.extend(re.findall(r"cut ref (\d{12})", sent(request)))
        return Reply("ok")

    def peek(request: Any) -> Reply:
        assert refs[-1] != ref_in(request)
        return Reply("", [Call("expand_context", {"ref": refs[-1]})])

    tools = [{"type": "function", "function": {"name": "read_log", "parameters": {"type": "object"}}}]
    with ScriptedServer([Reply("ok"), remember, peek, Reply("Done.")], extends="any") as server:
        given: dict[str, Any] = {"store": url, "upstream": server.url, "policy": STILL}
        with Service(**given) as one, Service(**given) as other:
            ask(one, body() | {"tools": tools})
            ask(one, body(*branch) | {"tools": tools})
            said: list[dict[str, Any]] = [{"role": "assistant", "content": "ok"}]
            said += [{"role": "user", "content": "Anything else?"}]
            ask(other, body(*said) | {"tools": tools})
    answer = server.requests[-1].messages[-1]["content"]
    assert "robot" not in answer


@pytest.mark.slow
def test_many_conversations_begin_with_the_same_word(url: str) -> None:
    with ScriptedServer([Reply("Hello!")] * 300, extends=None) as server:
        given: dict[str, Any] = {"store": url, "upstream": server.url}
        with Service(**given) as one, Service(**given) as other, ThreadPoolExecutor(8) as pool:
            first = [{"role": "system", "content": "You help."}, {"role": "user", "content": "hi"}]

            def play(number: int) -> list[str]:
                messages = list(first)
                ids = []
                for turn in range(3):
                    response = ask((one, other)[(number + turn) % 2], {"model": "gpt-4o", "messages": messages})
                    assert "x-compressor-warning" not in response.headers
                    ids.append(response.headers["x-compressor-session"])
                    messages += [
                        {"role": "assistant", "content": "Hello!"},
                        {"role": "user", "content": f"Case {number}, part {turn}"},
                    ]
                return ids

            found = list(pool.map(play, range(100)))
    assert len({ids[2] for ids in found}) == 100  # nobody got into another one's conversation
    assert sum(ids[1] == ids[2] for ids in found) == 100
