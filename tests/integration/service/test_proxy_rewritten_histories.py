"""Clients that write calls and results into their histories as text, as smolagents does."""

from __future__ import annotations

from typing import Any

import pytest

from support.client_scenarios import EXPAND, NEEDLE, READ, expand, sent
from support.client_tools import ChatTalk, MessagesTalk, ResponsesTalk, Talk
from support.scripted_server import Call, Reply, ScriptedServer

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")
pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from support.service_tools import Service  # noqa: E402

TALKS: dict[str, type[Talk]] = {"chat": ChatTalk, "responses": ResponsesTalk, "messages": MessagesTalk}
OTHER = Call("read_log", {"path": "other.log"})


def play_rewriting(kind: str, service: Service, stream: bool) -> None:
    """A call becomes the text of an assistant, and its result that of the user."""
    options = {"api_key": "sk-theirs", "max_retries": 0}
    client: Any = (
        anthropic.Anthropic(base_url=service.url, **options)
        if kind == "messages"
        else openai.OpenAI(base_url=service.url + "/v1", **options)
    )
    talk = TALKS[kind](client)
    talk.read_log(stream)  # as it came, so that there is something to expand
    known = list(talk.history)
    answer = talk.ask(stream)
    assert [call[1] for call in answer.calls] == ["read_log"]
    talk.history = [
        *known,
        {"role": "assistant", "content": f"Calling tools: {answer.calls[0][1:]}"},
        {"role": "user", "content": "Observation: nothing there"},
    ]
    answer = talk.ask(stream)
    assert answer.text == "Done." and not answer.calls


@pytest.mark.parametrize("kind", list(TALKS))
@pytest.mark.parametrize("beside", [True, False], ids=["beside", "before"])
def test_what_the_model_expanded_stays_in_view(kind: str, stream: bool, beside: bool) -> None:
    script = [expand("Both.", OTHER)] if beside else [expand("Let me look."), Reply("", [OTHER])]
    with (
        ScriptedServer([READ, *script, Reply("Done.")]) as server,
        Service(upstream=server.url, upstream_anthropic=server.url, policy={"compact": False}) as service,
    ):
        play_rewriting(kind, service, stream)
        assert service.metric("fallbacks_total") == 0
    assert not server.problems and server.left == 0  # each request extends the one before
    last = sent(server.requests[-1])
    assert EXPAND in last and NEEDLE in last and last.count("worker-") > 150
