"""The budget of worked examples in the proxy and the wrapped clients, whose choice stays the same in a conversation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compressor import Compressor
from compressor.sessions import Policy
from support.client_tools import ChatTalk, MessagesTalk, ResponsesTalk, Talk, plain_openai
from support.scripted_server import Reply, Request, ScriptedServer

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")
pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from support.service_tools import Service  # noqa: E402

TALKS: dict[str, type[Talk]] = {"chat": ChatTalk, "responses": ResponsesTalk, "messages": MessagesTalk}
SHOWN = {"lost": "card_lost", "balance": "balance", "move": "transfer", "wake": "alarm", "rain": "weather"}
EXAMPLES = "\n\n".join(
    f"<example>\nMessage {i}: please help me with the {word} of number {i}\nIntent: {label}\n</example>"
    for i, (word, label) in enumerate([*SHOWN.items()] * 6)
)
BEFORE, AFTER = "You name the intent of a message. Examples:", "Answer with the label alone. Never explain."
PROMPT = f"{BEFORE}\n\n{EXAMPLES}\n\n{AFTER}"
ASKED = "Message: it looks like rain\nIntent:"


class _Prompted(MessagesTalk):
    """Sends its own system prompt."""

    def request(self, stream: bool) -> Any:
        given = {"model": "claude-sonnet-5", "max_tokens": 9, "system": PROMPT, "messages": self.history}
        return self.client.messages.create(**given, stream=stream)


class _Instructed(ResponsesTalk):
    """Sends its own instructions."""

    def request(self, stream: bool) -> Any:
        return self.client.responses.create(model="gpt-4o", instructions=PROMPT, input=self.history, stream=stream)


def talk_of(kind: str, client: Any) -> Talk:
    made = {"chat": ChatTalk, "responses": _Instructed, "messages": _Prompted}[kind](client)
    made.tools = []
    made.history = [{"role": "system", "content": PROMPT}] if kind == "chat" else []
    made.say(ASKED)
    return made


def through(kind: str, url: str, **headers: str) -> Talk:
    given: dict[str, Any] = {"api_key": "sk", "max_retries": 0}
    given["default_headers"] = {f"x-compressor-{name.replace('_', '-')}": value for name, value in headers.items()}
    if kind == "messages":
        return talk_of(kind, anthropic.Anthropic(base_url=url, **given))
    return talk_of(kind, openai.OpenAI(base_url=url + "/v1", **given))


def prompt_of(request: Request) -> str:
    first = request.messages[0]
    text = first["content"] if isinstance(first, dict) else first
    return text if isinstance(text, str) else "".join(part["text"] for part in text)


@pytest.fixture(params=list(TALKS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def is_cut(prompt: str) -> bool:
    assert prompt.startswith(BEFORE) and prompt.endswith(AFTER)  # the text around the examples stays
    return len(prompt) < 0.6 * len(PROMPT)


def test_examples_are_chosen_once(kind: str, stream: bool) -> None:
    script = [Reply("weather"), Reply("card_lost"), Reply("Bye.")]
    with ScriptedServer(script, extends=None) as server, Service(upstream=server.url) as service:
        talk = through(kind, service.url, examples_budget="30%")
        assert talk.ask(stream).text == "weather"
        talk.say("Message: my card is lost\nIntent:")
        talk.ask(stream)
        talk.say("Thanks.")
        talk.ask(stream)
        assert service.metric("fallbacks_total") == 0
        assert service.metric("tokens_after_total") < service.metric("tokens_before_total")
    assert not server.problems and server.left == 0
    prompts = [prompt_of(request) for request in server.requests]
    assert is_cut(prompts[0]) and prompts[0] == prompts[1] == prompts[2] and "weather" in prompts[0]


def test_another_worker_sends_the_same_examples(kind: str, tmp_path: Path) -> None:
    store, headers = str(tmp_path / "s.db"), {"session": "s-1", "examples_budget": "0.3"}
    with (
        ScriptedServer([Reply("weather"), Reply("x")], extends=None) as server,
        Service(upstream=server.url, store=store) as one,
        Service(upstream=server.url, store=store) as other,
    ):
        talk = through(kind, one.url, **headers)
        talk.ask()
        again = through(kind, other.url, session="s-1")
        again.history = talk.history
        again.say("Message: my card is lost\nIntent:")
        again.ask()
    assert is_cut(prompt_of(server.requests[0])) and prompt_of(server.requests[0]) == prompt_of(server.requests[1])


def test_a_setting_and_prompts_without_examples(kind: str) -> None:
    script = [Reply("One."), Reply("Two.")]
    with (
        ScriptedServer(script, extends=None) as server,
        Service(upstream=server.url, examples_budget="30%") as service,
    ):
        through(kind, service.url).ask()
        own = TALKS[kind](through(kind, service.url).client)
        own.history = [{"role": "user", "content": ASKED}]
        own.ask()
        assert service.metric("warnings_total", reason="examples_not_cut") == 0
    assert is_cut(prompt_of(server.requests[0]))
    assert ASKED in json.dumps(server.requests[1].messages, ensure_ascii=False).replace("\\n", "\n")


def test_trouble_sends_all_examples_and_says_so() -> None:
    with (
        ScriptedServer([Reply("One.")], extends=None) as server,
        Service(upstream=server.url, examples_budget=1) as service,
    ):
        assert through("chat", service.url).ask().text == "One."
        warned = service.metric("warnings_total", reason="examples_not_cut")
    assert prompt_of(server.requests[0]) == PROMPT if warned else is_cut(prompt_of(server.requests[0]))


def test_the_wrapped_client(compressor: Compressor) -> None:
    from compressor_agents.openai import with_compression

    with ScriptedServer([Reply("weather"), Reply("Bye.")], extends=None) as server:
        client = with_compression(plain_openai(server), compressor, examples_budget=0.3, policy=Policy(compact=False))
        talk = talk_of("chat", client)
        talk.ask()
        talk.say("Thanks.")
        talk.ask()
    prompts = [prompt_of(request) for request in server.requests]
    assert is_cut(prompts[0]) and prompts[0] == prompts[1]
    assert client.cost_report().actual_tokens < client.cost_report().baseline_tokens
