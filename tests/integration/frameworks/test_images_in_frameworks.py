"""Screenshots that tools return to a LangChain agent, and in the calls of wrapped clients."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("PIL")

from compressor import Compressor
from compressor.images.policy import ImagePolicy
from support.picture_runs import MODELS, browsing, count, image_data, image_part, page_shot, texts_of, write_run
from support.scripted_server import Reply, ScriptedServer

SHOTS = [*browsing((1, 1, 2, 1, 2)), page_shot(1)]


def make_agent(model: Any, ours: Any) -> Any:
    from langchain_core.tools import tool

    from support.langchain_agents import create_agent

    @tool
    def browser_shot(number: int) -> list[dict[str, Any]]:
        """Shows a page."""
        shot = SHOTS[number % len(SHOTS)]
        return [{"type": "text", "text": shot.text}, image_part("langchain", shot.data)]

    return create_agent(model, [browser_shot], middleware=[ours], system_prompt="Be brief.")


def test_a_langchain_agent_is_shown_fewer_images_and_keeps_its_own() -> None:
    pytest.importorskip("langchain")
    from langchain_core.messages import AIMessage

    from compressor.sessions import Policy
    from compressor.testing import ScriptedChatModel, count_shared_parts
    from support.langchain_agents import middleware, pairs

    calls = [
        AIMessage("", tool_calls=[{"name": "browser_shot", "args": {"number": i}, "id": f"c{i}", "type": "tool_call"}])
        for i in range(len(SHOTS))
    ]
    compressor = Compressor(store="memory", images=ImagePolicy(ocr=False, max_stale_tokens=600))
    ours = middleware(4_000, compressor=compressor, policy=Policy())
    model = ScriptedChatModel(script=[*calls, "Done."])
    out = make_agent(model, ours).invoke({"messages": "Look at all pages."})
    assert out["messages"][-1].content == "Done." and not ours.warnings
    assert image_data(out["messages"]) == [shot.data for shot in SHOTS]
    for request in model.requests:
        pairs(request)
        assert request.tokens("gpt-4o") <= 4_000
    last = model.requests[-1]
    assert len(image_data(last.messages)) < 5
    assert any(text.startswith("[image ") for text in texts_of(last.messages))
    breaks = sum(
        count_shared_parts(a, b) < len(a.wire) for a, b in zip(model.requests, model.requests[1:], strict=False)
    )
    assert breaks <= 2  # where stale screenshots have left together


@pytest.mark.parametrize("format_name", ["openai_chat", "openai_responses", "anthropic"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_wrapped_client_sends_fewer_images(format_name: str, stream: bool) -> None:
    model, messages = MODELS[format_name], write_run(format_name, SHOTS)
    budget = int(0.6 * count(messages, model))
    compressor = Compressor(store="memory", images=ImagePolicy(ocr=False))
    with ScriptedServer([Reply("Done.")], extends=None) as server:
        if format_name == "anthropic":
            anthropic = pytest.importorskip("anthropic")
            from compressor_agents.anthropic import with_compression as wrap_anthropic

            theirs = anthropic.Anthropic(base_url=server.url, api_key="any", max_retries=0)
            client: Any = wrap_anthropic(theirs, budget=budget, compressor=compressor)
            answer = client.messages.create(model=model, max_tokens=100, messages=messages, stream=stream)
        else:
            openai = pytest.importorskip("openai")
            from compressor_agents.openai import with_compression as wrap_openai

            theirs = openai.OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0)
            client = wrap_openai(theirs, budget=budget, compressor=compressor)
            if format_name == "openai_chat":
                answer = client.chat.completions.create(model=model, messages=messages, stream=stream)
            else:
                answer = client.responses.create(model=model, input=messages, stream=stream)
        if stream:
            assert list(answer)
    assert not server.problems
    sent = server.requests[0].body["input" if format_name == "openai_responses" else "messages"]
    assert 0 < len(image_data(sent)) < len(SHOTS)
    assert count(sent, model) <= budget
