"""What sessions make of reasoning, summaries and other dialects, and when the bill says so."""

from __future__ import annotations

from typing import Any

import pytest

from compressor import (
    Compressor,
    CompressorError,
)
from compressor.context.formats import detect_format
from compressor.sessions import Conversation, Policy
from compressor.sessions.summaries import summarizer
from support.session_tools import Message, conversation, prose, replay, text, tokens


def test_usage_is_reported(c: Compressor) -> None:
    session = c.session("a")
    session.append(*conversation(1))
    session.view()
    session.record_usage({"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 60}})
    session.record_usage(
        {"input_tokens": 10, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 0, "output_tokens": 1}
    )
    balance = session.cost_report()
    assert (balance.billed_tokens, balance.billed_cached, balance.cached_fraction) == (200, 150, 0.75)
    assert "calls" in balance.report()
    with pytest.raises(CompressorError):
        session.record_usage("a lot")


def test_cold_cache_is_the_time_to_compact(c: Compressor) -> None:
    now = [0.0]
    policy = Policy(target=("tokens", 3_000))
    talk = Conversation(c, model="claude-sonnet-4-5", policy=policy, scope="t", clock=lambda: now[0])
    messages = conversation(26)
    now[0] = 1.0
    talk.sync(messages[:50])
    talk.view()
    assert talk.cost_report().compactions == 0
    now[0] += 3_600
    talk.sync(messages)
    talk.view()
    assert talk.cost_report().compactions == 1


def test_dialects(c: Compressor) -> None:
    results = [prose(i, 60) for i in range(12)]
    anthropic: list[Message] = [{"role": "user", "content": "Find the copper."}]
    responses: list[Message] = [{"role": "user", "content": "Find the copper."}]
    for i, result in enumerate(results):
        think = {"type": "thinking", "thinking": "hm " * 20, "signature": "sig"}
        use = {"type": "tool_use", "id": f"t{i}", "name": "look", "input": {"page": i}}
        anthropic.append({"role": "assistant", "content": [think, use]})
        anthropic.append(
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"t{i}", "content": result}]}
        )
        responses.append({"type": "function_call", "call_id": f"t{i}", "name": "look", "arguments": f'{{"page": {i}}}'})
        responses.append({"type": "function_call_output", "call_id": f"t{i}", "output": result})
    for name, messages in (("anthropic", anthropic), ("responses", responses)):
        session = c.session(name, budget=3_000, policy=Policy(target=("tokens", 1_200)), system="Be brief.")
        session.append(*messages)
        view = session.view()
        assert session.cost_report().compactions == 1
        detect_format(view).parse(view)
        assert "index of earlier rounds" in text(view)
        signed = [
            p for m in view if isinstance(m.get("content"), list) for p in m["content"] if p.get("type") == "thinking"
        ]
        assert all(p == {"type": "thinking", "thinking": "hm " * 20, "signature": "sig"} for p in signed)


def thinking_block(text: str) -> Message:
    return {"type": "thinking", "thinking": text, "signature": "signed"}


def claude_round(i: int, sentences: int = 40) -> list[Message]:
    use = {"type": "tool_use", "id": f"t{i}", "name": "look", "input": {"page": i}}
    result = {"type": "tool_result", "tool_use_id": f"t{i}", "content": prose(i, sentences)}
    return [
        {"role": "assistant", "content": [thinking_block(f"Secret plan {i}. " * 5), use]},
        {"role": "user", "content": [result]},
    ]


def signatures(message: Any) -> list[str]:
    parts = message["content"] if isinstance(message["content"], list) else []
    return [part["thinking"] for part in parts if part["type"] == "thinking"]


@pytest.mark.moderate
@pytest.mark.parametrize("options", [{}, {"budget": 6_000}], ids=["cost", "budget"])
def test_no_signed_block_stands_behind_what_has_changed(c: Compressor, options: Any) -> None:
    """Newer Claude models refuse that. A compaction begins a new head without them, in the middle of a turn, too."""
    talk = Conversation(c, model="claude-fable-5-1", scope="t", **options)
    talk.append({"role": "user", "content": "Find the copper."})
    sent_before: dict[str, list[Any]] = {}
    for i in range(60):
        view = talk.view()
        talk.append(*claude_round(i))
        sent_before[f"Secret plan {i}."] = view
        now = talk.view()
        for at, message in enumerate(now):
            for words in signatures(message):
                assert now[:at] == sent_before[next(key for key in sent_before if words.startswith(key))]
    assert talk.cost_report().compactions
    assert "Secret plan 3." in talk.recall("Secret plan 3", 400)  # not lost
    again = Conversation(c, model="claude-fable-5-1", scope="t", state=talk.state, **options)
    again.restore(talk.head, talk.messages)
    assert again.view() == talk.view()


@pytest.mark.moderate
def test_older_models_keep_the_signed_reasoning_of_the_rounds_that_stay(c: Compressor) -> None:
    talk = Conversation(c, model="claude-sonnet-4-5", budget=4_000, scope="t")
    talk.append({"role": "user", "content": "Find the copper."})
    for i in range(30):
        talk.append(*claude_round(i))
        view = talk.view()
        assert tokens(view) <= 4_000 and signatures(view[-2])
    talk.append({"role": "assistant", "content": "Page 7."}, {"role": "user", "content": "And the maple?"})
    talk.view()
    talk.compact()
    assert not any(map(signatures, talk.view()))


@pytest.mark.moderate
def test_summary_stands_in_the_index_and_is_kept(c: Compressor) -> None:
    asked: list[str] = []

    def writer(prompt: str) -> str:
        asked.append(prompt)
        return "Goal:\n- Find out where the copper is stored.\nFacts:\n- The vault 99887766 is in Atlantis.\n"

    policy = Policy(target=("tokens", 2_000), summarizer=summarizer(writer))
    session = c.session("a", budget=5_000, policy=policy)
    replay(session, conversation(40))
    (index,) = [m for m in session.view() if "index of earlier rounds" in (m["content"] or "")]
    assert asked and "Summary of earlier messages" in index["content"] and index["role"] == "tool"
    assert "99887766" not in index["content"]  # invented
    assert tokens(session.view()) <= 5_000
    assert c.session("a", budget=5_000, policy=policy).view() == session.view()


@pytest.mark.moderate
def test_failing_summarizer_never_costs_the_view(c: Compressor) -> None:
    def broken(prompt: str) -> str:
        raise RuntimeError("no")

    session = c.session("a", budget=5_000, policy=Policy(target=("tokens", 2_000), summarizer=summarizer(broken)))
    for view in replay(session, conversation(30)):
        assert tokens(view) <= 5_000
    assert "Error" not in text(session.view()) and session.warnings
